//! `IQ3_S`: f16 scale; 64 × 9-bit code book row; 256 signs; 8 × 4-bit scale.

use super::{
    Block,
    codebook::{expand4, signed},
    grids, half,
};

pub(super) struct Iq3S;

static ROWS: [[i8; 4]; 512] = expand4(&grids::IQ3_S, [0x01, 0x03, 0x05, 0x07, 0x09, 0x0b, 0x0d, 0x0f]);

impl Block<110, 256> for Iq3S {
    fn dequantise(block: &[u8; 110], out: &mut [f32; 256]) {
        let d = half(block, 0);
        let (low, high, signs, scales) = (&block[2..66], &block[66..74], &block[74..106], &block[106..]);
        for (l, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let nibble = scales[l / 16] >> (l / 8 % 2 * 4) & 0x0F;
            let scale = d * f32::from(1 + 2 * nibble);
            let row = usize::from(low[l]) | usize::from(high[l / 8] >> (l % 8) & 1) << 8;
            signed(scale, &ROWS[row], signs[l / 2] >> (l % 2 * 4), out);
        }
    }
}
