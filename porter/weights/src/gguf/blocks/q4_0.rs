//! `Q4_0`: f16 scale, 32 × 4 bits around 8.

use super::{Block, half};

pub(super) struct Q4_0;

impl Block<18, 32> for Q4_0 {
    fn dequantise(block: &[u8; 18], out: &mut [f32; 32]) {
        let d = half(block, 0);
        let (low, high) = out.split_at_mut(16);
        for ((q, low), high) in block[2..].iter().zip(low).zip(high) {
            *low = d * f32::from((q & 0x0F) as i8 - 8);
            *high = d * f32::from((q >> 4) as i8 - 8);
        }
    }
}
