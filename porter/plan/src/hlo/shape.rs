//! Arrays as they lie in memory.

use super::proto;

/// Which memory an array lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// High-bandwidth memory.
    Hbm,
    /// Vector memory, on the core.
    Vmem,
    /// Any other: scalar memory, semaphores, the host.
    Other,
}

/// An array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Sizes, outermost first.
    pub dims: Vec<u64>,
    /// Bytes, with what the layout's tiles pad.
    pub bytes: u64,
    /// Where it lies.
    pub space: Space,
}

impl Array {
    /// The bytes in HBM.
    pub fn hbm(&self) -> u64 {
        if self.space == Space::Hbm { self.bytes } else { 0 }
    }

    /// The number of elements.
    pub fn elements(&self) -> f64 {
        self.dims.iter().map(|&dim| dim as f64).product()
    }

    pub(super) fn of(shape: &proto::Shape) -> Self {
        let dims: Vec<u64> = shape.dimensions.iter().map(|&dim| u64::try_from(dim).unwrap_or(0)).collect();
        let layout = shape.layout.clone().unwrap_or_default();
        let own = u64::try_from(layout.element_size_in_bits).ok().filter(|&bits| bits > 0);
        let bits = own.unwrap_or_else(|| bits(shape.element_type));
        let elements = padded(&dims, &layout).into_iter().fold(1, u64::saturating_mul);
        let space = match layout.memory_space {
            0 => Space::Hbm,
            1 => Space::Vmem,
            _ => Space::Other,
        };
        Self { dims, bytes: elements.saturating_mul(bits).div_ceil(8), space }
    }

    /// Every array of a shape, tuples flattened. Tokens and the like are left out.
    pub(super) fn all(shape: &proto::Shape, depth: usize) -> Vec<Self> {
        const TUPLE: i32 = 13;
        match shape.element_type {
            TUPLE if depth > 0 => {
                shape.tuple_shapes.iter().flat_map(|inner| Self::all(inner, depth - 1)).collect()
            }
            other if bits(other) > 0 => vec![Self::of(shape)],
            _ => Vec::new(),
        }
    }
}

/// The dimensions, major first, rounded up to the layout's outermost tile. Tiles inside it pack elements
/// and pad nothing.
fn padded(dims: &[u64], layout: &proto::Layout) -> Vec<u64> {
    let order = layout.minor_to_major.iter().rev();
    let physical: Option<Vec<u64>> =
        order.map(|&dim| usize::try_from(dim).ok().and_then(|dim| dims.get(dim)).copied()).collect();
    let mut physical = physical.filter(|p| p.len() == dims.len()).unwrap_or_else(|| dims.to_vec());
    let tile = layout.tiles.first().map_or(&[] as &[i64], |tile| &tile.dimensions);
    for (dim, &tile) in physical.iter_mut().rev().zip(tile.iter().rev()) {
        if let Some(tile) = u64::try_from(tile).ok().filter(|&tile| tile > 0) {
            *dim = dim.div_ceil(tile).saturating_mul(tile);
        }
    }
    physical
}

/// The bits of an element of an `xla.PrimitiveType`; 0 for what is no array.
fn bits(primitive_type: i32) -> u64 {
    match primitive_type {
        21 | 22 | 32 => 4,
        26 | 27 => 2,
        1 | 2 | 6 | 19 | 20 | 23..=25 | 28 | 29 | 33 => 8,
        3 | 7 | 10 | 16 => 16,
        4 | 8 | 11 => 32,
        5 | 9 | 12 | 15 => 64,
        18 => 128,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(element_type: i32, dims: &[i64], order: &[i64], tiles: &[&[i64]]) -> proto::Shape {
        let tiles = tiles.iter().map(|tile| proto::Tile { dimensions: tile.to_vec() }).collect();
        let layout = proto::Layout { minor_to_major: order.to_vec(), tiles, ..proto::Layout::default() };
        proto::Shape { element_type, dimensions: dims.to_vec(), layout: Some(layout), ..Default::default() }
    }

    /// bf16[8192,64]{0,1:T(8,128)(2,1)} needs no padding, {1,0} doubles it (`facts/tpu.md` part 1.3).
    #[test]
    fn tiles_pad_the_minor_dimensions_of_the_layout() {
        let tiles: &[&[i64]] = &[&[8, 128], &[2, 1]];
        assert_eq!(Array::of(&shape(16, &[8192, 64], &[0, 1], tiles)).bytes, 8192 * 64 * 2);
        assert_eq!(Array::of(&shape(16, &[8192, 64], &[1, 0], tiles)).bytes, 8192 * 128 * 2);
        assert_eq!(Array::of(&shape(21, &[16], &[0], &[])).bytes, 8);
    }

    #[test]
    fn absurd_shapes_saturate() {
        let absurd = shape(11, &[i64::MAX, i64::MAX, -1], &[9, -2, 0], &[&[i64::MAX, 0, -1]]);
        let _ = Array::of(&absurd);
        assert_eq!(Array::of(&shape(11, &[i64::MAX, i64::MAX], &[1, 0], &[])).bytes, u64::MAX.div_ceil(8));
    }
}
