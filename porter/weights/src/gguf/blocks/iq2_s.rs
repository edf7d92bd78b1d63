//! `IQ2_S`: f16 scale; 32 × (10-bit code book row, 8 signs); 16 × 4-bit scale.

use super::{
    Block,
    codebook::{IQ2_VALUES, expand8, signed},
    grids, half,
};

pub(super) struct Iq2S;

static ROWS: [[i8; 8]; 1024] = expand8(&grids::IQ2_S, IQ2_VALUES);

impl Block<82, 256> for Iq2S {
    fn dequantise(block: &[u8; 82], out: &mut [f32; 256]) {
        let d = half(block, 0);
        let (low, signs, high, scales) = (&block[2..34], &block[34..66], &block[66..74], &block[74..]);
        for (l, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let nibble = scales[l / 4] >> (l / 2 % 2 * 4) & 0x0F;
            let scale = d * (0.5 + f32::from(nibble)) * 0.25;
            let row = usize::from(low[l]) | usize::from(high[l / 4] >> (l % 4 * 2) & 3) << 8;
            signed(scale, &ROWS[row], signs[l], out);
        }
    }
}
