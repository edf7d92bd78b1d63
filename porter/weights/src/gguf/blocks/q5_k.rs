//! `Q5_K`: f16 scales of scales and minima, 8 × 6-bit scale and minimum, 256 × 5 bits, the fifth
//! bits together.

use super::{Block, half, k_scales::scale_and_minimum};

pub(super) struct Q5K;

impl Block<176, 256> for Q5K {
    fn dequantise(block: &[u8; 176], out: &mut [f32; 256]) {
        let (d, dmin) = (half(block, 0), half(block, 2));
        let (packed, fifth, qs) = (&block[4..16], &block[16..48], &block[48..]);
        for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let (scale, minimum) = scale_and_minimum(packed, group);
            let (scale, minimum) = (d * f32::from(scale), dmin * f32::from(minimum));
            let (start, shift) = (group / 2 * 32, group % 2 * 4);
            for ((q, fifth), out) in qs[start..start + 32].iter().zip(fifth).zip(out) {
                let q = (q >> shift & 0x0F) | (fifth >> group & 1) << 4;
                *out = scale * f32::from(q) - minimum;
            }
        }
    }
}
