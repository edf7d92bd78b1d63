//! `rng_bit_generator`: Threefry 2x32 and Philox 4x32 (Salmon et al. 2011), laid out as XLA lays them out.

use porter_ir::ops::{RngAlgorithm, RngBitGenerator};

use super::bitcast_convert::from_bits;
use crate::{
    array::Array,
    failure::Outcome,
    interpreter::Call,
    shapes::{Indices, count, position, strides},
};

pub(super) fn execute(op: &RngBitGenerator, call: &Call<'_>) -> Outcome<Vec<Array>> {
    let state = call.operands.first().ok_or("takes a state")?;
    let state: Vec<u64> = state.integers().into_iter().map(|word| word as u64).collect();
    let wide = op.ty.dtype.bits() == 64;
    let (words, next) = match op.algorithm {
        RngAlgorithm::ThreeFry => three_fry(&state, &op.ty.shape, wide),
        RngAlgorithm::Default | RngAlgorithm::Philox => philox(&state, op.ty.shape.elements(), wide),
    };
    let size = op.ty.dtype.host_bytes();
    let narrow = if op.ty.dtype.bits() == 4 { 15 } else { u64::MAX };
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| (word & narrow).to_le_bytes().into_iter().take(size)).collect();
    let next = porter_ir::Literal::from_slice([next.len()], &next).map_err(|error| error.to_string())?;
    let state = call.results.first().ok_or("has two results")?;
    Ok(vec![Array::from_literal(&next, state)?, from_bits(&bytes, op.ty.dtype, call)?])
}

/// State: the key, the counter.
fn three_fry(state: &[u64], shape: &[usize], wide: bool) -> (Vec<u64>, Vec<u64>) {
    let (key, counter) = (state[0], state[1]);
    if wide {
        let n = count(shape) as u64;
        let block = |i| {
            let [low, high] = three_fry_block(key, counter.wrapping_add(i));
            u64::from(low) | u64::from(high) << 32
        };
        return ((0..n).map(block).collect(), vec![key, counter.wrapping_add(n)]);
    }
    // A block gives two neighbours along one dimension: the first of even size, else the largest.
    let even = shape.iter().position(|size| size % 2 == 0);
    let largest = (0..shape.len()).rev().max_by_key(|&dim| shape[dim]);
    let Some(split) = even.or(largest) else {
        return (vec![three_fry_block(key, counter)[0].into()], vec![key, counter.wrapping_add(1)]);
    };
    let mut half = shape.to_vec();
    half[split] = half[split].div_ceil(2);
    let steps = strides(&half);
    let mut words = Vec::with_capacity(count(shape));
    let mut indices = Indices::of(shape);
    while let Some(index) = indices.next() {
        let mut block = index.to_vec();
        block[split] /= 2;
        let pair = three_fry_block(key, counter.wrapping_add(position(&block, &steps) as u64));
        words.push(pair[index[split] % 2].into());
    }
    (words, vec![key, counter.wrapping_add(count(&half) as u64)])
}

fn three_fry_block(key: u64, counter: u64) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let (k0, k1) = (key as u32, (key >> 32) as u32);
    let keys = [k0, k1, 0x1BD1_1BDA ^ k0 ^ k1];
    let (mut x, mut y) = ((counter as u32).wrapping_add(k0), ((counter >> 32) as u32).wrapping_add(k1));
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x = x.wrapping_add(y);
            y = y.rotate_left(rotation) ^ x;
        }
        x = x.wrapping_add(keys[(group + 1) % 3]);
        y = y.wrapping_add(keys[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    [x, y]
}

/// State: the key, and a counter of two words, the lower one first. A state without the upper word has the
/// key in its place.
fn philox(state: &[u64], n: usize, wide: bool) -> (Vec<u64>, Vec<u64>) {
    let key = state[0];
    let high = state.get(2).copied().unwrap_or(key);
    let counter = u128::from(state[1]) | u128::from(high) << 64;
    let in_block = if wide { 2 } else { 4 };
    let blocks = n.div_ceil(in_block);
    let mut words = Vec::with_capacity(blocks * in_block);
    for i in 0..blocks as u128 {
        let [a, b, c, d] = philox_block(key, counter.wrapping_add(i)).map(u64::from);
        if wide {
            words.extend([a | b << 32, c | d << 32]);
        } else {
            words.extend([a, b, c, d]);
        }
    }
    words.truncate(n);
    let counter = counter.wrapping_add(blocks as u128);
    let next = [key, counter as u64, (counter >> 64) as u64];
    (words, next[..state.len()].to_vec())
}

fn philox_block(key: u64, counter: u128) -> [u32; 4] {
    let mut key = [key as u32, (key >> 32) as u32];
    let mut x = [0, 32, 64, 96].map(|shift| (counter >> shift) as u32);
    for _ in 0..10 {
        let product = |a: u32, b: u32| {
            let product = u64::from(a) * u64::from(b);
            ((product >> 32) as u32, product as u32)
        };
        let ((high0, low0), (high1, low1)) = (product(x[0], 0xD251_1F53), product(x[2], 0xCD9E_8D57));
        x = [high1 ^ x[1] ^ key[0], low1, high0 ^ x[3] ^ key[1], low0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    x
}
