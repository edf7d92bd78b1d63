//! `IQ3_XXS`: f16 scale; 64 code book rows; for each 32 elements four sign indices, a 4-bit scale.

use super::{
    Block,
    codebook::{even_signs, expand4, signed},
    grids, half, u32_at,
};

pub(super) struct Iq3Xxs;

static ROWS: [[i8; 4]; 256] = expand4(&grids::IQ3_XXS, [0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3e]);

impl Block<98, 256> for Iq3Xxs {
    fn dequantise(block: &[u8; 98], out: &mut [f32; 256]) {
        let d = half(block, 0);
        for (l, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let packed = u32_at(block, 66 + l / 4 * 4);
            let scale = d * (0.5 + (packed >> 28) as f32) * 0.5;
            let signs = even_signs(packed >> (l % 4 * 7));
            let (left, right) = out.split_at_mut(4);
            signed(scale, &ROWS[usize::from(block[2 + 2 * l])], signs, left);
            signed(scale, &ROWS[usize::from(block[3 + 2 * l])], signs >> 4, right);
        }
    }
}
