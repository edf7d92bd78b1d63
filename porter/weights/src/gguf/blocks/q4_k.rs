//! `Q4_K`: f16 scales of scales and minima, 8 × 6-bit scale and minimum, 256 × 4 bits.

use super::{Block, half, k_scales::scale_and_minimum};

pub(super) struct Q4K;

impl Block<144, 256> for Q4K {
    fn dequantise(block: &[u8; 144], out: &mut [f32; 256]) {
        let (d, dmin) = (half(block, 0), half(block, 2));
        let (packed, qs) = (&block[4..16], &block[16..]);
        for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let (scale, minimum) = scale_and_minimum(packed, group);
            let (scale, minimum) = (d * f32::from(scale), dmin * f32::from(minimum));
            let (start, shift) = (group / 2 * 32, group % 2 * 4);
            for (q, out) in qs[start..start + 32].iter().zip(out) {
                *out = scale * f32::from(q >> shift & 0x0F) - minimum;
            }
        }
    }
}
