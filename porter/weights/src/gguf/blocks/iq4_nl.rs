//! `IQ4_NL`: f16 scale, 32 × 4-bit index into a fixed, uneven list of values.

use super::{Block, half};

pub(super) struct Iq4Nl;

/// The values of `IQ4_NL` and `IQ4_XS`.
pub(super) const VALUES: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

impl Block<18, 32> for Iq4Nl {
    fn dequantise(block: &[u8; 18], out: &mut [f32; 32]) {
        let d = half(block, 0);
        let (low, high) = out.split_at_mut(16);
        for ((q, low), high) in block[2..].iter().zip(low).zip(high) {
            *low = d * f32::from(VALUES[usize::from(q & 0x0F)]);
            *high = d * f32::from(VALUES[usize::from(q >> 4)]);
        }
    }
}
