//! `Q3_K`: 256 × 3 bits (the third bits together), 16 × 6-bit scale, f16 scale.

use super::{Block, half};

pub(super) struct Q3K;

impl Block<110, 256> for Q3K {
    fn dequantise(block: &[u8; 110], out: &mut [f32; 256]) {
        let d = half(block, 108);
        let (third, qs, packed) = (&block[..32], &block[32..96], &block[96..108]);
        for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let scale = d * f32::from(scale(packed, group) as i8 - 32);
            let (half, shift, start) = (group / 8, group / 2 % 4 * 2, group % 2 * 16);
            for (l, out) in out.iter_mut().enumerate() {
                let low = (qs[half * 32 + start + l] >> shift & 3) as i8;
                let set = (third[start + l] >> (group / 2) & 1) as i8;
                // A clear third bit takes four away.
                *out = scale * f32::from(low - 4 * (1 - set));
            }
        }
    }
}

/// Scale `group` of 16: its low 4 bits lie in bytes 0..8, its high 2 bits in bytes 8..12.
fn scale(packed: &[u8], group: usize) -> u8 {
    let low = packed[group % 8] >> (group / 8 * 4) & 0x0F;
    let high = packed[8 + group % 4] >> (group / 4 * 2) & 3;
    low | high << 4
}
