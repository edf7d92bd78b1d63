//! Our results against the plugin's.

use porter_executor::Tensor;
use porter_ir::{DType, TensorType, float};

use super::draw::{Tolerance, ulp};

/// Integers and booleans exactly, of types below a byte the bits that they use: plugins do not extend the
/// sign of an i4. Any NaN is like any other.
pub(super) fn close(ours: &Tensor, theirs: &Tensor, tolerance: Tolerance) -> Result<(), String> {
    if ours.ty() != theirs.ty() {
        return Err(format!("{}, the plugin gives {}", ours.ty(), theirs.ty()));
    }
    let dtype = ours.ty().dtype;
    let size = dtype.host_bytes();
    let elements = ours.bytes().chunks_exact(size).zip(theirs.bytes().chunks_exact(size));
    for (i, (ours, theirs)) in elements.enumerate() {
        let (ours, theirs) = (bits(dtype, ours), bits(dtype, theirs));
        let same = match (float::decode(dtype, ours), float::decode(dtype, theirs)) {
            (Some(x), Some(y)) => near(dtype, x, y, tolerance),
            _ => ours == theirs,
        };
        if !same {
            let show =
                |bits| float::decode(dtype, bits).map_or_else(|| format!("{bits:#x}"), |x| format!("{x:?}"));
            return Err(format!("element {i} is {}, the plugin gives {}", show(ours), show(theirs)));
        }
    }
    Ok(())
}

fn bits(dtype: DType, bytes: &[u8]) -> u64 {
    let bits = bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
    if dtype.bits() == 4 { bits & 15 } else { bits }
}

/// The plugin flushes subnormal f32 and f64 numbers, and with them those of bf16, to zero.
fn near(dtype: DType, x: f64, y: f64, tolerance: Tolerance) -> bool {
    let flushed = match dtype {
        DType::F32 | DType::BF16 => f64::from(f32::MIN_POSITIVE),
        DType::F64 => f64::MIN_POSITIVE,
        _ => 0.0,
    };
    let allowed = tolerance.ulps * ulp(dtype, y) + tolerance.absolute + flushed;
    x.is_nan() && y.is_nan() || x.to_bits() == y.to_bits() || (x - y).abs() <= allowed
}

/// An f64 tensor as its declared type; any other as it is.
pub(super) fn rounded(double: &Tensor, declared: &TensorType) -> Tensor {
    if double.ty() == declared {
        return double.clone();
    }
    let narrow = |bytes: &[u8]| {
        let value = f64::from_le_bytes(bytes.try_into().unwrap());
        float::encode(declared.dtype, value).unwrap().to_le_bytes()[..declared.dtype.host_bytes()].to_vec()
    };
    Tensor::new(declared.clone(), double.bytes().chunks_exact(8).flat_map(narrow).collect()).unwrap()
}
