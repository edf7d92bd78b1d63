//! `Q8_0`: f16 scale, 32 × i8.

use super::{Block, half};

pub(super) struct Q8_0;

impl Block<34, 32> for Q8_0 {
    fn dequantise(block: &[u8; 34], out: &mut [f32; 32]) {
        let d = half(block, 0);
        for (q, out) in block[2..].iter().zip(out) {
            *out = f32::from(*q as i8) * d;
        }
    }
}
