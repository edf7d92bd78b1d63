//! Small tensors on the host, for what is computed at import.

use std::sync::Arc;

use porter_ir::{DType, Kind, Literal, LiteralError, TensorType, float};

/// A tensor whose elements are known. Integers and booleans are exact; floats are values of their type,
/// held as `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Element type and shape.
    pub ty: TensorType,
    /// The elements in row-major order.
    pub data: Data,
}

/// The elements of a [`Host`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Integers and booleans.
    Ints(Vec<i128>),
    /// Floats.
    Floats(Vec<f64>),
}

impl Data {
    /// The elements at these places; every place must be in range.
    pub(crate) fn take(&self, places: &[usize]) -> Option<Self> {
        Some(match self {
            Data::Ints(x) => Data::Ints(places.iter().map(|&i| x.get(i).copied()).collect::<Option<_>>()?),
            Data::Floats(x) => {
                Data::Floats(places.iter().map(|&i| x.get(i).copied()).collect::<Option<_>>()?)
            }
        })
    }
}

impl Host {
    /// Reads little-endian host bytes, types below a byte one byte each.
    pub fn from_bytes(ty: TensorType, bytes: &[u8]) -> Option<Self> {
        let width = ty.dtype.host_bytes();
        if Some(bytes.len()) != ty.shape.checked_elements().and_then(|n| n.checked_mul(width)) {
            return None;
        }
        let bits = bytes.chunks_exact(width).map(|chunk| {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word)
        });
        let data = if ty.dtype.is_float() {
            Data::Floats(bits.map(|bits| float::decode(ty.dtype, bits).unwrap_or(f64::NAN)).collect())
        } else {
            Data::Ints(bits.map(|bits| wrap(ty.dtype, i128::from(bits))).collect())
        };
        Some(Self { ty, data })
    }

    /// The constant of a literal.
    pub fn from_literal(literal: &Literal) -> Option<Self> {
        Self::from_bytes(literal.ty().clone(), &literal.bytes())
    }

    /// Integers of `dtype`, one dimension.
    pub fn ints(dtype: DType, values: &[i64]) -> Self {
        let data = Data::Ints(values.iter().map(|&x| i128::from(x)).collect());
        Self { ty: TensorType::new(dtype, [values.len()]), data }
    }

    /// As a constant.
    pub fn literal(&self) -> Result<Literal, LiteralError> {
        let dtype = self.ty.dtype;
        let width = dtype.host_bytes();
        let bytes: Vec<u8> = match &self.data {
            Data::Ints(x) => x.iter().flat_map(|x| x.to_le_bytes().into_iter().take(width)).collect(),
            Data::Floats(x) => {
                let bits = x.iter().map(|&x| float::encode(dtype, x).unwrap_or(0));
                bits.flat_map(|bits| bits.to_le_bytes().into_iter().take(width)).collect()
            }
        };
        Literal::from_bytes(self.ty.clone(), Arc::<[u8]>::from(bytes))
    }

    /// The elements as integers; floats must be whole.
    pub fn to_ints(&self) -> Option<Vec<i64>> {
        match &self.data {
            Data::Ints(x) => x.iter().map(|&x| i64::try_from(x).ok()).collect(),
            Data::Floats(x) => x.iter().map(|&x| (x.fract() == 0.0).then_some(x as i64)).collect(),
        }
    }

    /// The elements as floats.
    pub fn to_floats(&self) -> Vec<f64> {
        match &self.data {
            Data::Ints(x) => x.iter().map(|&x| x as f64).collect(),
            Data::Floats(x) => x.clone(),
        }
    }
}

/// `value` as `dtype` holds it: integers wrap around.
pub(crate) fn wrap(dtype: DType, value: i128) -> i128 {
    let bits = dtype.bits();
    match dtype.kind() {
        Kind::Bool => i128::from(value != 0),
        Kind::Signed => (value << (128 - bits)) >> (128 - bits),
        _ => value & ((1_i128 << bits) - 1),
    }
}

/// `value` rounded to what `dtype` holds.
pub(crate) fn round(dtype: DType, value: f64) -> f64 {
    float::encode(dtype, value).and_then(|bits| float::decode(dtype, bits)).unwrap_or(value)
}

/// The steps from one index to the next in each dimension.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut step = 1_usize;
    let mut strides: Vec<usize> = Vec::with_capacity(shape.len());
    for &size in shape.iter().rev() {
        strides.push(step);
        step = step.saturating_mul(size.max(1));
    }
    strides.reverse();
    strides
}

/// The number of elements of `shape`, `usize::MAX` where it is too large to be counted.
pub(crate) fn elements(shape: &[usize]) -> usize {
    if shape.contains(&0) { 0 } else { shape.iter().fold(1, |count, &size| count.saturating_mul(size)) }
}

/// Every index of `shape` in row-major order.
pub(crate) fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..elements(shape)).map(move |mut flat| {
        let mut index = vec![0; shape.len()];
        for (at, &size) in index.iter_mut().zip(shape).rev() {
            *at = flat % size.max(1);
            flat /= size.max(1);
        }
        index
    })
}
