//! Elements on their way through arithmetic: every float as f64, every integer and boolean as i128.
//!
//! Both hold every value of every element type exactly. A result is rounded, or wrapped around, once:
//! where it is put into its element type. Sums, products, quotients and square roots of f32 and narrower
//! values come out as if they were computed in the type itself, because f64 has more than twice the digits.

use std::sync::LazyLock;

use half::{bf16, f16};
use porter_ir::{DType, Kind, float};

/// Elements of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Lane {
    /// Of a float type.
    Floats(Vec<f64>),
    /// Of an integer type, or booleans as 0 and 1.
    Integers(Vec<i128>),
}

impl Lane {
    /// The elements in `bytes`, in a host buffer's form.
    pub(crate) fn decode(dtype: DType, bytes: &[u8]) -> Self {
        match dtype {
            DType::F64 => Lane::Floats(read(bytes, f64::from_le_bytes)),
            DType::F32 => Lane::Floats(read(bytes, |b| f32::from_le_bytes(b).into())),
            DType::F16 => Lane::Floats(read(bytes, |b| f16::from_le_bytes(b).into())),
            DType::BF16 => Lane::Floats(read(bytes, |b| bf16::from_le_bytes(b).into())),
            DType::F8E4M3FN => Lane::Floats(bytes.iter().map(|&b| E4M3[usize::from(b)]).collect()),
            DType::F8E5M2 => Lane::Floats(bytes.iter().map(|&b| E5M2[usize::from(b)]).collect()),
            DType::F4E2M1FN => Lane::Floats(bytes.iter().map(|&b| E2M1[usize::from(b)]).collect()),
            DType::Bool => Lane::Integers(read(bytes, |[b]: [u8; 1]| i128::from(b != 0))),
            DType::I4 => Lane::Integers(read(bytes, |[b]: [u8; 1]| i128::from((b << 4) as i8 >> 4))),
            DType::U4 => Lane::Integers(read(bytes, |[b]: [u8; 1]| i128::from(b & 15))),
            DType::I8 => Lane::Integers(read(bytes, |b| i8::from_le_bytes(b).into())),
            DType::I16 => Lane::Integers(read(bytes, |b| i16::from_le_bytes(b).into())),
            DType::I32 => Lane::Integers(read(bytes, |b| i32::from_le_bytes(b).into())),
            DType::I64 => Lane::Integers(read(bytes, |b| i64::from_le_bytes(b).into())),
            DType::U8 => Lane::Integers(read(bytes, |b| u8::from_le_bytes(b).into())),
            DType::U16 => Lane::Integers(read(bytes, |b| u16::from_le_bytes(b).into())),
            DType::U32 => Lane::Integers(read(bytes, |b| u32::from_le_bytes(b).into())),
            DType::U64 => Lane::Integers(read(bytes, |b| u64::from_le_bytes(b).into())),
        }
    }

    /// Writes the elements as `dtype`, rounded to it or wrapped around in it.
    pub(crate) fn encode(&self, dtype: DType, bytes: &mut [u8]) {
        match self {
            Lane::Floats(values) => match dtype {
                DType::F64 => write(bytes, values, f64::to_le_bytes),
                DType::F32 => write(bytes, values, |x| (x as f32).to_le_bytes()),
                DType::F16 => write(bytes, values, |x| f16::from_f32(to_odd(x)).to_le_bytes()),
                DType::BF16 => write(bytes, values, |x| bf16::from_f32(to_odd(x)).to_le_bytes()),
                _ => write(bytes, values, |x| [float::encode(dtype, x).unwrap_or(0) as u8]),
            },
            Lane::Integers(values) => match dtype.host_bytes() {
                1 => write(bytes, values, |x| [wrap(dtype, x) as u8]),
                2 => write(bytes, values, |x| (x as u16).to_le_bytes()),
                4 => write(bytes, values, |x| (x as u32).to_le_bytes()),
                _ => write(bytes, values, |x| (x as u64).to_le_bytes()),
            },
        }
    }

    /// The elements as `dtype` holds them.
    pub(crate) fn rounded(mut self, dtype: DType) -> Self {
        match &mut self {
            Lane::Floats(values) => match dtype {
                DType::F64 => {}
                DType::F32 => values.iter_mut().for_each(|x| *x = f64::from(*x as f32)),
                _ => values.iter_mut().for_each(|x| *x = round(dtype, *x)),
            },
            Lane::Integers(values) => values.iter_mut().for_each(|x| *x = wrap(dtype, *x)),
        }
        self
    }

    /// One element, `n` times.
    pub(crate) fn repeated(&self, index: usize, n: usize) -> Self {
        match self {
            Lane::Floats(values) => Lane::Floats(vec![values[index]; n]),
            Lane::Integers(values) => Lane::Integers(vec![values[index]; n]),
        }
    }

    /// The elements at `indices`.
    pub(crate) fn picked(&self, indices: &[usize]) -> Self {
        match self {
            Lane::Floats(values) => Lane::Floats(indices.iter().map(|&i| values[i]).collect()),
            Lane::Integers(values) => Lane::Integers(indices.iter().map(|&i| values[i]).collect()),
        }
    }

    /// Sets element `at[i]` to element `i` of `values`, which is of the same kind.
    pub(crate) fn put(&mut self, at: &[usize], values: &Lane) {
        match (self, values) {
            (Lane::Floats(to), Lane::Floats(from)) => at.iter().zip(from).for_each(|(&i, &x)| to[i] = x),
            (Lane::Integers(to), Lane::Integers(from)) => at.iter().zip(from).for_each(|(&i, &x)| to[i] = x),
            _ => {}
        }
    }

    /// Whether element `index` is true.
    pub(crate) fn truth(&self, index: usize) -> bool {
        match self {
            Lane::Floats(values) => values[index] != 0.0,
            Lane::Integers(values) => values[index] != 0,
        }
    }
}

/// `value` rounded to a float type.
pub(crate) fn round(dtype: DType, value: f64) -> f64 {
    match dtype {
        DType::F64 => value,
        DType::F32 => f64::from(value as f32),
        DType::F16 => f16::from_f32(to_odd(value)).into(),
        DType::BF16 => bf16::from_f32(to_odd(value)).into(),
        _ => float::encode(dtype, value).and_then(|bits| float::decode(dtype, bits)).unwrap_or(value),
    }
}

/// `value` as f32, with the last bit set where that is not exact: a narrower type then rounds as if from f64.
/// (`half` rounds from the upper 32 bits of an f64.)
fn to_odd(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near).to_bits() == value.to_bits() || value.is_nan() {
        return near;
    }
    let beyond = f64::from(near).abs() > value.abs();
    f32::from_bits((near.to_bits() - u32::from(beyond)) | 1)
}

/// `value` wrapped around in an integer type; of a boolean, whether it is not zero.
pub(crate) fn wrap(dtype: DType, value: i128) -> i128 {
    let unused = 128 - dtype.bits();
    match dtype.kind() {
        Kind::Bool => i128::from(value != 0),
        Kind::Signed => value << unused >> unused,
        _ => (value as u128).wrapping_shl(unused as u32).wrapping_shr(unused as u32) as i128,
    }
}

/// The least and the largest value of an integer type.
pub(crate) fn limits(dtype: DType) -> (i128, i128) {
    match dtype.kind() {
        Kind::Signed => (-(1 << (dtype.bits() - 1)), (1 << (dtype.bits() - 1)) - 1),
        _ => (0, (1 << dtype.bits()) - 1),
    }
}

fn read<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&bytes| element(bytes)).collect()
}

fn write<const N: usize, T: Copy>(bytes: &mut [u8], values: &[T], element: impl Fn(T) -> [u8; N]) {
    for (slot, &value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
        *slot = element(value);
    }
}

static E4M3: LazyLock<Vec<f64>> = LazyLock::new(|| table(DType::F8E4M3FN, 0xFF));
static E5M2: LazyLock<Vec<f64>> = LazyLock::new(|| table(DType::F8E5M2, 0xFF));
static E2M1: LazyLock<Vec<f64>> = LazyLock::new(|| table(DType::F4E2M1FN, 0x0F));

/// The value of every byte, of which the bits in `used` count.
fn table(dtype: DType, used: u64) -> Vec<f64> {
    (0..256).map(|byte| float::decode(dtype, byte & used).unwrap_or(f64::NAN)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_one_and_two_bytes_comes_back() {
        for dtype in DType::ALL {
            let (size, patterns) = (dtype.host_bytes(), 1_u32 << dtype.bits().min(16));
            for pattern in 0..patterns {
                let mut bytes = vec![0; size];
                let sign = if dtype == DType::I4 && pattern > 7 { 0xF0 } else { 0 };
                bytes[0] = pattern as u8 | sign;
                if size > 1 {
                    bytes[1] = (pattern >> 8) as u8;
                }
                let lane = Lane::decode(dtype, &bytes);
                let nan = matches!(&lane, Lane::Floats(values) if values[0].is_nan());
                let mut again = vec![0; size];
                lane.encode(dtype, &mut again);
                assert!(again == bytes || nan, "{dtype} {bytes:?} becomes {again:?}");
                assert!(nan || lane.clone().rounded(dtype) == lane, "{dtype} {bytes:?}");
            }
        }
    }

    #[test]
    fn halves_round_once() {
        for value in [
            1.0 + 2_f64.powi(-8) + 2_f64.powi(-40),
            1.0 + 2_f64.powi(-11) + 2_f64.powi(-40),
            1e-40,
            7e-8,
            65_520.0,
        ] {
            for dtype in [DType::BF16, DType::F16] {
                for value in [value, value.next_up(), value.next_down()] {
                    let expected = float::encode(dtype, value).and_then(|bits| float::decode(dtype, bits));
                    assert_eq!(Some(round(dtype, value)), expected, "{dtype} {value:?}");
                }
            }
        }
    }

    #[test]
    fn integers_wrap_around_in_their_width() {
        assert_eq!(wrap(DType::I4, 9), -7);
        assert_eq!(wrap(DType::U4, 17), 1);
        assert_eq!(wrap(DType::U64, -1), i128::from(u64::MAX));
        assert_eq!(wrap(DType::I64, i128::from(u64::MAX)), -1);
        assert_eq!(wrap(DType::Bool, 2), 1);
        assert_eq!(limits(DType::I8), (-128, 127));
        assert_eq!(limits(DType::U64), (0, i128::from(u64::MAX)));
    }
}
