//! `IQ1_M`: 32 × (11-bit code book row and a shift); 16 × 3-bit scale, around an f16 scale whose
//! bits are spread over the top nibbles of the scale words.

use super::{Block, iq1_s::shifted, u16_at};
use crate::convert::f16_to_f32;

pub(super) struct Iq1M;

impl Block<56, 256> for Iq1M {
    fn dequantise(block: &[u8; 56], out: &mut [f32; 256]) {
        let words = [0, 1, 2, 3].map(|word| u16_at(block, 48 + 2 * word));
        let bits = words[0] >> 12 | (words[1] >> 12) << 4 | (words[2] >> 12) << 8 | (words[3] >> 12) << 12;
        let d = f16_to_f32(bits);
        for (l, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let scale = d * f32::from(2 * (words[l / 8] >> (l / 2 % 4 * 3) & 7) + 1);
            let nibble = block[32 + l / 2] >> (l % 2 * 4);
            let row = usize::from(block[l]) | usize::from(nibble & 7) << 8;
            shifted(scale, row, nibble & 8 != 0, out);
        }
    }
}
