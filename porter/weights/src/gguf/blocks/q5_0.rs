//! `Q5_0`: f16 scale, 32 × 5 bits around 16, the fifth bits together.

use super::{
    Block,
    five_bits::{pair, put},
    half, put_half,
    quantise::{Quantise, around_zero},
    u32_at,
};

pub(super) struct Q5_0;

impl Block<22, 32> for Q5_0 {
    fn dequantise(block: &[u8; 22], out: &mut [f32; 32]) {
        let d = half(block, 0);
        let fifth = u32_at(block, 2);
        for j in 0..16 {
            let (low, high) = pair(&block[6..], fifth, j);
            out[j] = d * f32::from(low as i8 - 16);
            out[j + 16] = d * f32::from(high as i8 - 16);
        }
    }
}

impl Quantise<22, 32> for Q5_0 {
    fn quantise(numbers: &[f32; 32], block: &mut [u8; 22]) {
        let (d, code) = around_zero(numbers, 16.0);
        put_half(block, 0, d);
        let fifth = put(&mut block[6..], &numbers.map(code));
        block[2..6].copy_from_slice(&fifth.to_le_bytes());
    }
}
