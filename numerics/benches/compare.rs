//! How fast two tensors are compared: `cargo bench -p porter-numerics`.

#![allow(clippy::unwrap_used)]

use divan::{Bencher, counter::BytesCount};
use half::bf16;
use porter_ir::DType;
use porter_numerics::{Positions, View, compare, compare_logits};

fn main() {
    divan::main();
}

/// Numbers of mixed sign and size: a linear congruential generator.
fn values(seed: u32, n: usize) -> Vec<f32> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    })
    .take(n)
    .collect()
}

const ELEMENTS: usize = 1 << 25;

/// Two f32 tensors, 256 MiB in all.
#[divan::bench(sample_count = 5)]
fn f32_against_f32(bencher: Bencher<'_, '_>) {
    let reference = values(1, ELEMENTS);
    let ours: Vec<f32> = reference.iter().zip(values(2, ELEMENTS)).map(|(r, e)| r + 1e-6 * e).collect();
    let (ours, reference) =
        (View::f32(&ours, [ELEMENTS]).unwrap(), View::f32(&reference, [ELEMENTS]).unwrap());
    bencher
        .counter(BytesCount::new(8 * ELEMENTS))
        .bench(|| compare("x", &ours, &reference, &Positions::All).unwrap());
}

/// A bf16 tensor against f32, 192 MiB in all.
#[divan::bench(sample_count = 5)]
fn bf16_against_f32(bencher: Bencher<'_, '_>) {
    let reference = values(1, ELEMENTS);
    let ours: Vec<u8> = reference.iter().flat_map(|&r| bf16::from_f32(r).to_le_bytes()).collect();
    let (ours, reference) =
        (View::new(DType::BF16, [ELEMENTS], ours).unwrap(), View::f32(&reference, [ELEMENTS]).unwrap());
    bencher
        .counter(BytesCount::new(6 * ELEMENTS))
        .bench(|| compare("x", &ours, &reference, &Positions::All).unwrap());
}

/// Two f32 tensors of 1024 elements, as a search compares them by the hundred.
#[divan::bench(sample_count = 100)]
fn small(bencher: Bencher<'_, '_>) {
    let (a, b) = (values(1, 1024), values(2, 1024));
    let (ours, reference) = (View::f32(&a, [1024]).unwrap(), View::f32(&b, [1024]).unwrap());
    bencher.bench(|| compare("x", &ours, &reference, &Positions::All).unwrap());
}

/// An f32 tensor against its f64 twin, 384 MiB in all.
#[divan::bench(sample_count = 5)]
fn f32_against_f64(bencher: Bencher<'_, '_>) {
    let ours = values(1, ELEMENTS);
    let reference: Vec<f64> =
        ours.iter().zip(values(2, ELEMENTS)).map(|(&x, e)| f64::from(x) + 1e-8 * f64::from(e)).collect();
    let (ours, reference) =
        (View::f32(&ours, [ELEMENTS]).unwrap(), View::f64(&reference, [ELEMENTS]).unwrap());
    bencher
        .counter(BytesCount::new(12 * ELEMENTS))
        .bench(|| compare("x", &ours, &reference, &Positions::All).unwrap());
}

/// Logits of 512 positions over a vocabulary of 49152, 192 MiB in all.
#[divan::bench(sample_count = 5)]
fn logits(bencher: Bencher<'_, '_>) {
    let shape = [512, 49152];
    let (a, b) = (values(1, shape[0] * shape[1]), values(2, shape[0] * shape[1]));
    let (ours, reference) = (View::f32(&a, shape).unwrap(), View::f32(&b, shape).unwrap());
    bencher
        .counter(BytesCount::new(8 * shape[0] * shape[1]))
        .bench(|| compare_logits(&ours, &reference, &Positions::All, 0.0).unwrap());
}
