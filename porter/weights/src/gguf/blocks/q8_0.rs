//! `Q8_0`: f16 scale, 32 × i8.

use super::{
    Block, half, put_half,
    quantise::{Quantise, inverse},
};

pub(super) struct Q8_0;

impl Block<34, 32> for Q8_0 {
    fn dequantise(block: &[u8; 34], out: &mut [f32; 32]) {
        let d = half(block, 0);
        for (q, out) in block[2..].iter().zip(out) {
            *out = f32::from(*q as i8) * d;
        }
    }
}

impl Quantise<34, 32> for Q8_0 {
    fn quantise(numbers: &[f32; 32], block: &mut [u8; 34]) {
        let larger = |a: f32, b: f32| if b.is_nan() || b > a { b } else { a };
        let d = numbers.iter().map(|x| x.abs()).fold(0.0, larger) / 127.0;
        let inverse = inverse(d);
        put_half(block, 0, d);
        for (q, x) in block[2..].iter_mut().zip(numbers) {
            *q = ((x * inverse).round() as i8).cast_unsigned();
        }
    }
}
