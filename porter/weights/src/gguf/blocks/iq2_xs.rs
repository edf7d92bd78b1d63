//! `IQ2_XS`: f16 scale; 32 × (9-bit code book row, 7-bit sign index); 16 × 4-bit scale.

use super::{
    Block,
    codebook::{IQ2_VALUES, even_signs, expand8, signed},
    grids, half, u16_at,
};

pub(super) struct Iq2Xs;

static ROWS: [[i8; 8]; 512] = expand8(&grids::IQ2_XS, IQ2_VALUES);

impl Block<74, 256> for Iq2Xs {
    fn dequantise(block: &[u8; 74], out: &mut [f32; 256]) {
        let d = half(block, 0);
        let scales = &block[66..];
        for (l, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let nibble = scales[l / 4] >> (l / 2 % 2 * 4) & 0x0F;
            let scale = d * (0.5 + f32::from(nibble)) * 0.25;
            let q = u16_at(block, 2 + 2 * l);
            signed(scale, &ROWS[usize::from(q & 511)], even_signs(u32::from(q >> 9)), out);
        }
    }
}
