//! `Q4_0`: f16 scale, 32 × 4 bits around 8.

use super::{
    Block, half, put_half,
    quantise::{Quantise, around_zero},
};

pub(super) struct Q4_0;

impl Block<18, 32> for Q4_0 {
    fn dequantise(block: &[u8; 18], out: &mut [f32; 32]) {
        let d = half(block, 0);
        let (low, high) = out.split_at_mut(16);
        for ((q, low), high) in block[2..].iter().zip(low).zip(high) {
            *low = d * f32::from((q & 0x0F) as i8 - 8);
            *high = d * f32::from((q >> 4) as i8 - 8);
        }
    }
}

impl Quantise<18, 32> for Q4_0 {
    fn quantise(numbers: &[f32; 32], block: &mut [u8; 18]) {
        let (d, code) = around_zero(numbers, 8.0);
        put_half(block, 0, d);
        let (low, high) = numbers.split_at(16);
        for ((q, low), high) in block[2..].iter_mut().zip(low).zip(high) {
            *q = code(*low) | code(*high) << 4;
        }
    }
}
