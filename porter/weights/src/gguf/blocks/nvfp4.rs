//! `NVFP4`: four groups of an unsigned E4M3 scale and 16 × E2M1.

use super::{Block, fp4::DOUBLED};

pub(super) struct Nvfp4;

impl Block<36, 64> for Nvfp4 {
    fn dequantise(block: &[u8; 36], out: &mut [f32; 64]) {
        let (scales, qs) = block.split_at(4);
        for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let d = half_e4m3(scales[group]);
            for l in 0..8 {
                let q = qs[group * 8 + l];
                out[l] = d * f32::from(DOUBLED[usize::from(q & 0x0F)]);
                out[l + 8] = d * f32::from(DOUBLED[usize::from(q >> 4)]);
            }
        }
    }
}

/// Half of the E4M3 number `x`, for the doubled elements. The sign bit is ignored; 0x7F is zero.
fn half_e4m3(x: u8) -> f32 {
    if x == 0 || x == 0x7F {
        return 0.0;
    }
    let (exponent, mantissa) = (i32::from(x >> 3 & 0x0F), f32::from(x & 7));
    let whole = if exponent == 0 {
        mantissa * (1.0 / 512.0)
    } else {
        (1.0 + mantissa / 8.0) * 2_f32.powi(exponent - 7)
    };
    whole * 0.5
}
