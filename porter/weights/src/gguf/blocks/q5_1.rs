//! `Q5_1`: f16 scale and minimum, 32 × 5 bits, the fifth bits together.

use super::{
    Block,
    five_bits::{pair, put},
    half, put_half,
    quantise::{Quantise, from_least},
    u32_at,
};

pub(super) struct Q5_1;

impl Block<24, 32> for Q5_1 {
    fn dequantise(block: &[u8; 24], out: &mut [f32; 32]) {
        let (d, m) = (half(block, 0), half(block, 2));
        let fifth = u32_at(block, 4);
        for j in 0..16 {
            let (low, high) = pair(&block[8..], fifth, j);
            out[j] = d * f32::from(low) + m;
            out[j + 16] = d * f32::from(high) + m;
        }
    }
}

impl Quantise<24, 32> for Q5_1 {
    fn quantise(numbers: &[f32; 32], block: &mut [u8; 24]) {
        let (d, m, code) = from_least(numbers, 31.0);
        put_half(block, 0, d);
        put_half(block, 2, m);
        let fifth = put(&mut block[8..], &numbers.map(code));
        block[4..8].copy_from_slice(&fifth.to_le_bytes());
    }
}
