//! `IQ4_XS`: f16 scale, 8 × 6-bit scale, 256 × 4-bit index into the values of `IQ4_NL`.

use super::{Block, half, iq4_nl::VALUES, u16_at};

pub(super) struct Iq4Xs;

impl Block<136, 256> for Iq4Xs {
    fn dequantise(block: &[u8; 136], out: &mut [f32; 256]) {
        let d = half(block, 0);
        let high = u16_at(block, 2);
        let (low, qs) = (&block[4..8], &block[8..]);
        for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let six = (low[group / 2] >> (group % 2 * 4) & 0x0F) | ((high >> (2 * group)) as u8 & 3) << 4;
            let scale = d * f32::from(six as i8 - 32);
            for l in 0..16 {
                let q = qs[group * 16 + l];
                out[l] = scale * f32::from(VALUES[usize::from(q & 0x0F)]);
                out[l + 16] = scale * f32::from(VALUES[usize::from(q >> 4)]);
            }
        }
    }
}
