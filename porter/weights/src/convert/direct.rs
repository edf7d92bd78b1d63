//! One pass over the elements, for pairs of 2- and 4-byte floats: no tile between.

use porter_ir::DType;

use super::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use crate::Encoding;

/// Converts stored elements.
pub(super) type Convert = fn(stored: &[u8], out: &mut [u8]);

/// The conversion of a pair, if it is one of these.
pub(super) fn pair(from: &Encoding, to: DType) -> Option<Convert> {
    let Encoding::Plain(from) = from else { return None };
    Some(match (from, to) {
        (DType::F32, DType::BF16) => |s, o| each(s, o, |x| f32_to_bf16(f32::from_le_bytes(x)).to_le_bytes()),
        (DType::F32, DType::F16) => |s, o| each(s, o, |x| f32_to_f16(f32::from_le_bytes(x)).to_le_bytes()),
        (DType::BF16, DType::F32) => |s, o| each(s, o, |x| bf16_to_f32(u16::from_le_bytes(x)).to_le_bytes()),
        (DType::F16, DType::F32) => |s, o| each(s, o, |x| f16_to_f32(u16::from_le_bytes(x)).to_le_bytes()),
        _ => return None,
    })
}

fn each<const N: usize, const M: usize>(stored: &[u8], out: &mut [u8], convert: impl Fn([u8; N]) -> [u8; M]) {
    for (out, stored) in out.as_chunks_mut::<M>().0.iter_mut().zip(stored.as_chunks::<N>().0) {
        *out = convert(*stored);
    }
}
