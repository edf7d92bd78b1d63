//! Wide numbers to bytes, rounded to nearest, ties to even.

use porter_ir::DType;

use super::{Encode, f32_to_bf16, f32_to_f8_e4m3fn, f32_to_f8_e5m2, f32_to_f16};

/// The encoder of `f32` tiles to a float dtype other than `f64`.
pub(super) fn single(to: DType) -> Encode<f32> {
    match to {
        DType::F8E4M3FN => |t, o| each(t, o, |x| [f32_to_f8_e4m3fn(x)]),
        DType::F8E5M2 => |t, o| each(t, o, |x| [f32_to_f8_e5m2(x)]),
        DType::BF16 => |t, o| each(t, o, |x| f32_to_bf16(x).to_le_bytes()),
        DType::F16 => |t, o| each(t, o, |x| f32_to_f16(x).to_le_bytes()),
        _ => |t, o| each(t, o, f32::to_le_bytes),
    }
}

/// The encoder of `f64` tiles to a float dtype.
pub(super) fn double(to: DType) -> Encode<f64> {
    match to {
        DType::F8E4M3FN => |t, o| each(t, o, |x| [f32_to_f8_e4m3fn(odd_f32(x))]),
        DType::F8E5M2 => |t, o| each(t, o, |x| [f32_to_f8_e5m2(odd_f32(x))]),
        DType::BF16 => |t, o| each(t, o, |x| f32_to_bf16(odd_f32(x)).to_le_bytes()),
        DType::F16 => |t, o| each(t, o, |x| f32_to_f16(odd_f32(x)).to_le_bytes()),
        DType::F32 => |t, o| each(t, o, |x| (x as f32).to_le_bytes()),
        _ => |t, o| each(t, o, f64::to_le_bytes),
    }
}

pub(super) fn f64_from_f32(tile: &[f32], out: &mut [u8]) {
    each(tile, out, |x| f64::from(x).to_le_bytes());
}

/// The encoder of `i128` tiles to an integer dtype. False if a value does not fit.
pub(super) fn whole(to: DType) -> fn(&[i128], &mut [u8]) -> bool {
    match to {
        DType::I8 => |t, o| fitting(t, o, i8::to_le_bytes),
        DType::I16 => |t, o| fitting(t, o, i16::to_le_bytes),
        DType::I32 => |t, o| fitting(t, o, i32::to_le_bytes),
        DType::U8 => |t, o| fitting(t, o, u8::to_le_bytes),
        DType::U16 => |t, o| fitting(t, o, u16::to_le_bytes),
        DType::U32 => |t, o| fitting(t, o, u32::to_le_bytes),
        DType::U64 => |t, o| fitting(t, o, u64::to_le_bytes),
        _ => |t, o| fitting(t, o, i64::to_le_bytes),
    }
}

fn each<T: Copy, const N: usize>(tile: &[T], out: &mut [u8], write: impl Fn(T) -> [u8; N]) {
    for (out, x) in out.as_chunks_mut::<N>().0.iter_mut().zip(tile) {
        *out = write(*x);
    }
}

fn fitting<T: TryFrom<i128>, const N: usize>(tile: &[i128], out: &mut [u8], write: fn(T) -> [u8; N]) -> bool {
    let mut fits = true;
    for (out, x) in out.as_chunks_mut::<N>().0.iter_mut().zip(tile) {
        match T::try_from(*x) {
            Ok(x) => *out = write(x),
            Err(_) => fits = false,
        }
    }
    fits
}

/// `x` as `f32`, rounded to odd: if anything was lost the last bit is set, so that rounding the
/// result to a narrower type gives what rounding `x` would.
fn odd_f32(x: f64) -> f32 {
    let nearest = x as f32;
    let error = f64::from(nearest) - x;
    if error == 0.0 || error.is_nan() || nearest.to_bits() & 1 == 1 {
        return nearest;
    }
    // The neighbour on the other side of `x` is odd.
    let away = error.is_sign_negative() == x.is_sign_negative();
    f32::from_bits(if away { nearest.to_bits() - 1 } else { nearest.to_bits() + 1 })
}
