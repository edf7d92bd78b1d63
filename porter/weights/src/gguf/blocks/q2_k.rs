//! `Q2_K`: 16 × 4-bit scale and minimum, 256 × 2 bits, f16 scales of both.

use super::{Block, half};

pub(super) struct Q2K;

impl Block<84, 256> for Q2K {
    fn dequantise(block: &[u8; 84], out: &mut [f32; 256]) {
        let (d, dmin) = (half(block, 80), half(block, 82));
        let (scales, qs) = (&block[..16], &block[16..80]);
        for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let scale = d * f32::from(scales[group] & 0x0F);
            let minimum = dmin * f32::from(scales[group] >> 4);
            let (half, shift, start) = (group / 8, group / 2 % 4 * 2, group % 2 * 16);
            for (l, out) in out.iter_mut().enumerate() {
                let q = qs[half * 32 + start + l] >> shift & 3;
                *out = scale * f32::from(q) - minimum;
            }
        }
    }
}
