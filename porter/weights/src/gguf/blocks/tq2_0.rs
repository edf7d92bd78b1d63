//! `TQ2_0`: 256 ternary digits of 2 bits, f16 scale.

use super::{Block, half};

pub(super) struct Tq2_0;

impl Block<66, 256> for Tq2_0 {
    fn dequantise(block: &[u8; 66], out: &mut [f32; 256]) {
        let d = half(block, 64);
        for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let (start, shift) = (group / 4 * 32, group % 4 * 2);
            for (q, out) in block[start..start + 32].iter().zip(out) {
                *out = d * f32::from((q >> shift & 3) as i8 - 1);
            }
        }
    }
}
