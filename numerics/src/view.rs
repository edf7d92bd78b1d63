//! A tensor as numbers.

use std::{borrow::Cow, ops::Range};

use half::{bf16, f16};
use porter_ir::{DType, Shape, TensorType};

use crate::CompareError;

/// A tensor's type and its little-endian elements, at any alignment, borrowed where possible.
#[derive(Clone, Debug)]
pub struct View<'a> {
    ty: TensorType,
    bytes: Cow<'a, [u8]>,
}

impl<'a> View<'a> {
    /// A tensor of `dtype` and `shape` over `bytes`, which must be exactly as long as they say.
    /// Types below a byte and the 8-bit floats are refused: they hold weights, not results.
    pub fn new(
        dtype: DType,
        shape: impl Into<Shape>,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self, CompareError> {
        let (ty, bytes) = (TensorType::new(dtype, shape), bytes.into());
        if matches!(dtype, DType::I4 | DType::U4 | DType::F4E2M1FN | DType::F8E4M3FN | DType::F8E5M2) {
            return Err(CompareError::DType { ty });
        }
        let expected = ty.shape.checked_elements().and_then(|n| n.checked_mul(dtype.host_bytes()));
        if expected != Some(bytes.len()) {
            return Err(CompareError::Length { ty, bytes: bytes.len() });
        }
        Ok(Self { ty, bytes })
    }

    /// A tensor over `f32` values.
    pub fn f32(values: &'a [f32], shape: impl Into<Shape>) -> Result<Self, CompareError> {
        Self::new(DType::F32, shape, little_endian(values, f32::to_le_bytes))
    }

    /// A tensor over `f64` values.
    pub fn f64(values: &'a [f64], shape: impl Into<Shape>) -> Result<Self, CompareError> {
        Self::new(DType::F64, shape, little_endian(values, f64::to_le_bytes))
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// The type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The stored bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Elements of `range` as `f64`, in place of what `out` held. Exact for every type but 64-bit
    /// integers beyond 2^53. A range past the end gives the elements that there are.
    pub fn read(&self, range: Range<usize>, out: &mut Vec<f64>) {
        let bytes = self.bytes_of(range);
        out.clear();
        match self.ty.dtype {
            DType::F64 => extend(out, bytes, f64::from_le_bytes),
            DType::F32 => extend(out, bytes, |b| f32::from_le_bytes(b).into()),
            DType::F16 => extend(out, bytes, |b| f16::from_le_bytes(b).into()),
            DType::BF16 => extend(out, bytes, |b| bf16::from_le_bytes(b).into()),
            DType::I64 => extend(out, bytes, |b| i64::from_le_bytes(b) as f64),
            DType::I32 => extend(out, bytes, |b| i32::from_le_bytes(b).into()),
            DType::I16 => extend(out, bytes, |b| i16::from_le_bytes(b).into()),
            DType::I8 => extend(out, bytes, |b| i8::from_le_bytes(b).into()),
            DType::U64 => extend(out, bytes, |b| u64::from_le_bytes(b) as f64),
            DType::U32 => extend(out, bytes, |b| u32::from_le_bytes(b).into()),
            DType::U16 => extend(out, bytes, |b| u16::from_le_bytes(b).into()),
            DType::U8 => extend(out, bytes, |b| u8::from_le_bytes(b).into()),
            DType::Bool => extend(out, bytes, |[b]| f64::from(b != 0)),
            // Refused by `new`.
            DType::I4 | DType::U4 | DType::F4E2M1FN | DType::F8E4M3FN | DType::F8E5M2 => {}
        }
    }

    /// True if every element is a float that an `f32` holds.
    pub(crate) fn holds_singles(&self) -> bool {
        matches!(self.ty.dtype, DType::F32 | DType::F16 | DType::BF16)
    }

    /// Elements of `range` as `f32`, in place of what `out` held; none unless the view holds singles.
    pub(crate) fn read_singles(&self, range: Range<usize>, out: &mut Vec<f32>) {
        let bytes = self.bytes_of(range);
        out.clear();
        match self.ty.dtype {
            DType::F32 => extend(out, bytes, f32::from_le_bytes),
            DType::F16 => extend(out, bytes, |b| f16::from_le_bytes(b).into()),
            DType::BF16 => extend(out, bytes, |b| bf16::from_le_bytes(b).into()),
            _ => {}
        }
    }

    /// Elements of `range` as they are stored, if their type is `dtype`, which must be `T`, and they lie where a
    /// `T` may.
    pub(crate) fn stored<T: bytemuck::AnyBitPattern>(
        &self,
        dtype: DType,
        range: Range<usize>,
    ) -> Option<&[T]> {
        let native = cfg!(target_endian = "little") && self.ty.dtype == dtype;
        native.then(|| bytemuck::try_cast_slice(self.bytes_of(range)).ok()).flatten()
    }

    /// The bytes of the elements of `range` that there are.
    fn bytes_of(&self, range: Range<usize>) -> &[u8] {
        let width = self.ty.dtype.host_bytes();
        let end = range.end.saturating_mul(width).min(self.bytes.len());
        self.bytes.get(range.start.saturating_mul(width)..end).unwrap_or_default()
    }

    /// True if both hold the same type and the same bytes in `range`.
    pub(crate) fn same_bytes(&self, other: &View<'_>, range: Range<usize>) -> bool {
        let width = self.ty.dtype.host_bytes();
        let bytes = range.start.saturating_mul(width)..range.end.saturating_mul(width);
        self.ty.dtype == other.ty.dtype
            && self.bytes.get(bytes.clone()).is_some_and(|ours| Some(ours) == other.bytes.get(bytes))
    }

    /// Every element as `f64`.
    pub fn to_f64(&self) -> Vec<f64> {
        let mut values = Vec::new();
        self.read(0..self.shape().elements(), &mut values);
        values
    }

    /// Every element as `i64`, or `None` unless the type is a signed integer of 32 or 64 bits, as
    /// token ids and masks are.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        let (wide, _) = self.bytes.as_chunks();
        let (narrow, _) = self.bytes.as_chunks();
        match self.ty.dtype {
            DType::I64 => Some(wide.iter().map(|&b| i64::from_le_bytes(b)).collect()),
            DType::I32 => Some(narrow.iter().map(|&b| i32::from_le_bytes(b).into()).collect()),
            _ => None,
        }
    }

    /// The last `kept` positions of axis 1 (`[batch, position, ...]`), as a model that was asked for
    /// only its last logits returns them. The view itself where it has no more than `kept`, or no
    /// axis 1.
    #[must_use]
    pub fn last_positions(&self, kept: usize) -> View<'_> {
        let whole = || View { ty: self.ty.clone(), bytes: Cow::Borrowed(&self.bytes) };
        let [batch, positions, rest @ ..] = &**self.shape() else { return whole() };
        if kept >= *positions || self.bytes.is_empty() {
            return whole();
        }
        let sequence_bytes = self.bytes.len() / batch;
        let skipped = sequence_bytes / positions * (positions - kept);
        let bytes: Vec<u8> = self
            .bytes
            .chunks_exact(sequence_bytes)
            .flat_map(|s| s.get(skipped..).unwrap_or_default())
            .copied()
            .collect();
        let shape: Vec<usize> = [*batch, kept].into_iter().chain(rest.iter().copied()).collect();
        View { ty: TensorType::new(self.ty.dtype, shape), bytes: Cow::Owned(bytes) }
    }
}

fn extend<T, const N: usize>(out: &mut Vec<T>, bytes: &[u8], decode: impl Fn([u8; N]) -> T) {
    let (elements, _) = bytes.as_chunks::<N>();
    out.extend(elements.iter().map(|&b| decode(b)));
}

fn little_endian<T: bytemuck::NoUninit, const N: usize>(
    values: &[T],
    encode: fn(T) -> [u8; N],
) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|&v| encode(v)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_width_are_read_at_any_offset() {
        let bytes: Vec<u8> =
            [1.5_f32, -2.0, 0.25].iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        let view = View::new(DType::BF16, [3], bytes).unwrap();
        assert_eq!(view.to_f64(), [1.5, -2.0, 0.25]);
        let mut tail = vec![9.0];
        view.read(1..7, &mut tail);
        assert_eq!(tail, [-2.0, 0.25]);
        assert_eq!(
            View::new(DType::I64, [1], (-7_i64).to_le_bytes().to_vec()).unwrap().to_i64(),
            Some(vec![-7])
        );
        assert_eq!(View::new(DType::Bool, [2], vec![0, 3]).unwrap().to_f64(), [0.0, 1.0]);
    }

    #[test]
    fn a_length_that_does_not_fit_the_shape_is_refused() {
        assert!(matches!(View::f32(&[1.0], [2]), Err(CompareError::Length { bytes: 4, .. })));
        assert!(matches!(
            View::new(DType::F32, [usize::MAX, 5], vec![]),
            Err(CompareError::Length { bytes: 0, .. })
        ));
        assert!(matches!(View::new(DType::I4, [2], vec![0]), Err(CompareError::DType { .. })));
    }

    #[test]
    fn last_positions_are_taken_of_each_sequence() {
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let view = View::f32(&values, [2, 3, 2]).unwrap();
        let tail = view.last_positions(2);
        assert_eq!(**tail.shape(), [2, 2, 2]);
        assert_eq!(tail.to_f64(), [2.0, 3.0, 4.0, 5.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(view.last_positions(3).shape(), view.shape());
    }
}
