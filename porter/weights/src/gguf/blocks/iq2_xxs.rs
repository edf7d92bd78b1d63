//! `IQ2_XXS`: f16 scale; for each 32 elements four code book rows, four sign indices, a 4-bit scale.

use super::{
    Block,
    codebook::{IQ2_VALUES, even_signs, expand8, signed},
    grids, half, u32_at,
};

pub(super) struct Iq2Xxs;

static ROWS: [[i8; 8]; 256] = expand8(&grids::IQ2_XXS, IQ2_VALUES);

impl Block<66, 256> for Iq2Xxs {
    fn dequantise(block: &[u8; 66], out: &mut [f32; 256]) {
        let d = half(block, 0);
        for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let at = 2 + 8 * group;
            let packed = u32_at(block, at + 4);
            let scale = d * (0.5 + (packed >> 28) as f32) * 0.25;
            for (l, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let row = &ROWS[usize::from(block[at + l])];
                signed(scale, row, even_signs(packed >> (7 * l)), out);
            }
        }
    }
}
