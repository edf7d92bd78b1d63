//! Stored bytes to wide numbers.

use porter_ir::DType;

use super::{Decode, bf16_to_f32, f8_e4m3fn_to_f32, f8_e5m2_to_f32, f16_to_f32};
use crate::{Encoding, gguf::blocks};

/// The decoder to `f32` of an encoding that `f32` holds exactly.
pub(super) fn single(from: &Encoding) -> Option<Decode<f32>> {
    let dtype = match from {
        Encoding::Block(block) => return Some(blocks::decoder(*block)),
        Encoding::Other(_) => return None,
        Encoding::Plain(dtype) => *dtype,
    };
    Some(match dtype {
        DType::Bool => |s, o| each(s, o, |[b]: [u8; 1]| f32::from(b != 0)),
        DType::I8 => |s, o| each(s, o, |b| f32::from(i8::from_le_bytes(b))),
        DType::U8 => |s, o| each(s, o, |b| f32::from(u8::from_le_bytes(b))),
        DType::I16 => |s, o| each(s, o, |b| f32::from(i16::from_le_bytes(b))),
        DType::U16 => |s, o| each(s, o, |b| f32::from(u16::from_le_bytes(b))),
        DType::F4E2M1FN => f4_e2m1fn,
        DType::F8E4M3FN => |s, o| each(s, o, |[b]: [u8; 1]| f8_e4m3fn_to_f32(b)),
        DType::F8E5M2 => |s, o| each(s, o, |[b]: [u8; 1]| f8_e5m2_to_f32(b)),
        DType::BF16 => |s, o| each(s, o, |b| bf16_to_f32(u16::from_le_bytes(b))),
        DType::F16 => |s, o| each(s, o, |b| f16_to_f32(u16::from_le_bytes(b))),
        DType::F32 => |s, o| each(s, o, f32::from_le_bytes),
        DType::I4 | DType::U4 | DType::I32 | DType::U32 | DType::I64 | DType::U64 | DType::F64 => {
            return None;
        }
    })
}

/// The decoder to `f64` of the encodings that `f32` does not hold. 64-bit integers are rounded to
/// nearest when `to` is `f64`, and to odd when they will be rounded again.
pub(super) fn double(from: &Encoding, to: DType) -> Option<Decode<f64>> {
    let Encoding::Plain(dtype) = from else { return None };
    Some(match (dtype, to) {
        (DType::F64, _) => |s, o| each(s, o, f64::from_le_bytes),
        (DType::I32, _) => |s, o| each(s, o, |b| f64::from(i32::from_le_bytes(b))),
        (DType::U32, _) => |s, o| each(s, o, |b| f64::from(u32::from_le_bytes(b))),
        (DType::I64, DType::F64) => |s, o| each(s, o, |b| i64::from_le_bytes(b) as f64),
        (DType::U64, DType::F64) => |s, o| each(s, o, |b| u64::from_le_bytes(b) as f64),
        (DType::I64, _) => |s, o| each(s, o, |b| i64_to_odd_f64(i64::from_le_bytes(b))),
        (DType::U64, _) => |s, o| each(s, o, |b| u64_to_odd_f64(u64::from_le_bytes(b))),
        _ => return None,
    })
}

/// The decoder of an integer or truth value to `i128`.
pub(super) fn whole(from: DType) -> Option<Decode<i128>> {
    Some(match from {
        DType::Bool => |s, o| each(s, o, |[b]: [u8; 1]| i128::from(b != 0)),
        DType::I8 => |s, o| each(s, o, |b| i8::from_le_bytes(b).into()),
        DType::I16 => |s, o| each(s, o, |b| i16::from_le_bytes(b).into()),
        DType::I32 => |s, o| each(s, o, |b| i32::from_le_bytes(b).into()),
        DType::I64 => |s, o| each(s, o, |b| i64::from_le_bytes(b).into()),
        DType::U8 => |s, o| each(s, o, |b| u8::from_le_bytes(b).into()),
        DType::U16 => |s, o| each(s, o, |b| u16::from_le_bytes(b).into()),
        DType::U32 => |s, o| each(s, o, |b| u32::from_le_bytes(b).into()),
        DType::U64 => |s, o| each(s, o, |b| u64::from_le_bytes(b).into()),
        _ => return None,
    })
}

fn each<T, const N: usize>(stored: &[u8], out: &mut [T], read: impl Fn([u8; N]) -> T) {
    for (out, bytes) in out.iter_mut().zip(stored.as_chunks::<N>().0) {
        *out = read(*bytes);
    }
}

/// Two to a byte, low half first.
fn f4_e2m1fn(stored: &[u8], out: &mut [f32]) {
    const VALUES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let value =
        |code: u8| if code & 8 == 0 { VALUES[usize::from(code & 7)] } else { -VALUES[usize::from(code & 7)] };
    for (pair, byte) in out.chunks_mut(2).zip(stored) {
        for (out, code) in pair.iter_mut().zip([byte & 0x0F, byte >> 4]) {
            *out = value(code);
        }
    }
}

fn i64_to_odd_f64(x: i64) -> f64 {
    let magnitude = u64_to_odd_f64(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

/// `x` rounded to 53 bits, the last of them set if anything was lost, so that rounding the result
/// to fewer bits gives what rounding `x` would.
fn u64_to_odd_f64(x: u64) -> f64 {
    let lost = (u64::BITS - x.leading_zeros()).saturating_sub(f64::MANTISSA_DIGITS);
    let kept = x >> lost;
    let sticky = u64::from(kept << lost != x);
    ((kept | sticky) << lost) as f64
}
