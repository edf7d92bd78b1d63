//! `IQ1_S`: f16 scale; 32 × 11-bit code book row; for each 32 elements a 3-bit scale and a shift.

use super::{Block, codebook::expand8, grids, half, u16_at};

pub(super) struct Iq1S;

/// The code book of `IQ1_S` and `IQ1_M`: ternary.
pub(super) static ROWS: [[i8; 8]; 2048] = expand8(&grids::IQ1, [-1, 0, 1, 0]);

/// What is added to (or, by a bit, taken from) every element of a group.
const SHIFT: f32 = 0.125;

impl Block<50, 256> for Iq1S {
    fn dequantise(block: &[u8; 50], out: &mut [f32; 256]) {
        let d = half(block, 0);
        for (l, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let packed = u16_at(block, 34 + l / 4 * 2);
            let scale = d * f32::from(2 * (packed >> 12 & 7) + 1);
            let row = usize::from(block[2 + l]) | usize::from(packed >> (l % 4 * 3) & 7) << 8;
            shifted(scale, row, packed & 0x8000 != 0, out);
        }
    }
}

/// `scale * (element ± SHIFT)` for a row of the code book.
pub(super) fn shifted(scale: f32, row: usize, down: bool, out: &mut [f32; 8]) {
    let shift = if down { -SHIFT } else { SHIFT };
    for (out, element) in out.iter_mut().zip(&ROWS[row & 2047]) {
        *out = scale * (f32::from(*element) + shift);
    }
}
