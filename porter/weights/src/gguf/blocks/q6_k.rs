//! `Q6_K`: 256 × 6 bits (4 low, 2 high) around 32, 16 × i8 scale, f16 scale.

use super::{Block, half};

pub(super) struct Q6K;

impl Block<210, 256> for Q6K {
    fn dequantise(block: &[u8; 210], out: &mut [f32; 256]) {
        let d = half(block, 208);
        let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
        for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let scale = d * f32::from(scales[group] as i8);
            // Position in its half of 128 elements.
            let (half, start) = (group / 8, group % 8 * 16);
            for (l, out) in out.iter_mut().enumerate() {
                let at = start + l;
                let low = low[half * 64 + at % 64] >> (at / 64 * 4) & 0x0F;
                let high = high[half * 32 + at % 32] >> (at / 32 * 2) & 3;
                *out = scale * f32::from((low | high << 4) as i8 - 32);
            }
        }
    }
}
