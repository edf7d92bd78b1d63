//! `MXFP4`: a power of two (E8M0), 32 × E2M1
//! (<https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf>).

use super::{Block, fp4::DOUBLED};

pub(super) struct Mxfp4;

impl Block<17, 32> for Mxfp4 {
    fn dequantise(block: &[u8; 17], out: &mut [f32; 32]) {
        let d = half_power(block[0]);
        let (low, high) = out.split_at_mut(16);
        for ((q, low), high) in block[1..].iter().zip(low).zip(high) {
            *low = d * f32::from(DOUBLED[usize::from(q & 0x0F)]);
            *high = d * f32::from(DOUBLED[usize::from(q >> 4)]);
        }
    }
}

/// Half of the E8M0 number `x`, for the doubled elements: 2^(x - 128).
fn half_power(x: u8) -> f32 {
    // The two smallest are subnormal in f32.
    let bits = if x < 2 { 0x0020_0000 << x } else { u32::from(x - 1) << 23 };
    f32::from_bits(bits)
}
