//! `Q4_1`: f16 scale and minimum, 32 × 4 bits.

use super::{
    Block, half, put_half,
    quantise::{Quantise, from_least},
};

pub(super) struct Q4_1;

impl Block<20, 32> for Q4_1 {
    fn dequantise(block: &[u8; 20], out: &mut [f32; 32]) {
        let (d, m) = (half(block, 0), half(block, 2));
        let (low, high) = out.split_at_mut(16);
        for ((q, low), high) in block[4..].iter().zip(low).zip(high) {
            *low = d * f32::from(q & 0x0F) + m;
            *high = d * f32::from(q >> 4) + m;
        }
    }
}

impl Quantise<20, 32> for Q4_1 {
    fn quantise(numbers: &[f32; 32], block: &mut [u8; 20]) {
        let (d, m, code) = from_least(numbers, 15.0);
        put_half(block, 0, d);
        put_half(block, 2, m);
        let (low, high) = numbers.split_at(16);
        for ((q, low), high) in block[4..].iter_mut().zip(low).zip(high) {
            *q = code(*low) | code(*high) << 4;
        }
    }
}
