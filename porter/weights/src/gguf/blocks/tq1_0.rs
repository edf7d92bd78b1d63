//! `TQ1_0`: 256 ternary digits, five (or four) to a byte, f16 scale.

use super::{Block, half};

pub(super) struct Tq1_0;

/// Multiplying a packed byte by one of these, modulo 256, brings its digit to the top.
const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

impl Block<54, 256> for Tq1_0 {
    fn dequantise(block: &[u8; 54], out: &mut [f32; 256]) {
        let d = half(block, 52);
        let (first, rest) = out.split_at_mut(160);
        let (second, third) = rest.split_at_mut(80);
        digits(d, &block[..32], first);
        digits(d, &block[32..48], second);
        digits(d, &block[48..52], third);
    }
}

/// The digits of `packed`: the first digit of each byte, then the second of each, ...
fn digits(d: f32, packed: &[u8], out: &mut [f32]) {
    for (out, power) in out.chunks_exact_mut(packed.len()).zip(POWERS) {
        for (out, byte) in out.iter_mut().zip(packed) {
            let digit = (u16::from(byte.wrapping_mul(power)) * 3) >> 8;
            *out = d * f32::from(digit as i8 - 1);
        }
    }
}
