//! Sums over a block, in lanes that compile to vector code.

use crate::{accumulate::BLOCK, histogram};

/// Independent sums.
const LANES: usize = 4;

/// Room for the histogram keys of a block.
pub(crate) struct Scratch {
    pub(crate) keys: Vec<u16>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { keys: Vec::with_capacity(BLOCK) }
    }
}

/// What is summed over pairs.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) abs: f64,
    pub(crate) squares: f64,
    pub(crate) dot: f64,
    pub(crate) ours_squares: f64,
    pub(crate) reference_squares: f64,
}

impl Sums {
    /// Takes in a block of finite pairs, all sums but the reference's squares. Leaves the keys of
    /// |ours - reference| in `scratch` and returns the greatest.
    pub(crate) fn add(&mut self, ours: &[f64], reference: &[f64], scratch: &mut Scratch) -> f64 {
        let mut totals = [[0.0_f64; LANES]; 5];
        pairs(ours, reference, &mut scratch.keys, |a, b, keys| {
            let [abs, squares, dot, own, most] = &mut totals;
            for i in 0..LANES {
                let d = (a[i] - b[i]).abs();
                abs[i] += d;
                squares[i] += d * d;
                dot[i] += a[i] * b[i];
                own[i] += a[i] * a[i];
                most[i] = if d > most[i] { d } else { most[i] };
                keys[i] = histogram::key(d as f32);
            }
        });
        let [abs, squares, dot, own, most] = totals;
        self.abs += abs.iter().sum::<f64>();
        self.squares += squares.iter().sum::<f64>();
        self.dot += dot.iter().sum::<f64>();
        self.ours_squares += own.iter().sum::<f64>();
        most.into_iter().fold(0.0, f64::max)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.abs += other.abs;
        self.squares += other.squares;
        self.dot += other.dot;
        self.ours_squares += other.ours_squares;
        self.reference_squares += other.reference_squares;
    }
}

/// One side of a block.
pub(crate) struct Spread {
    pub(crate) mean: f64,
    /// Squared deviations from the mean.
    pub(crate) m2: f64,
    pub(crate) squares: f64,
    pub(crate) zeros: u64,
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        let (mut sum, mut squares, mut nonzero) = ([0.0; LANES], [0.0; LANES], [0_u64; LANES]);
        lanes(values, |x| {
            for i in 0..LANES {
                sum[i] += x[i];
                squares[i] += x[i] * x[i];
                nonzero[i] += u64::from(x[i] != 0.0);
            }
        });
        let n = values.len() as f64;
        let mean = sum.iter().sum::<f64>() / n;
        let mut m2 = [0.0; LANES];
        lanes(values, |x| {
            for i in 0..LANES {
                m2[i] += (x[i] - mean) * (x[i] - mean);
            }
        });
        // What fills up the last lanes is zero, and that far from the mean.
        let filled = (values.len().next_multiple_of(LANES) - values.len()) as f64;
        let m2 = m2.iter().sum::<f64>() - filled * mean * mean;
        let zeros = values.len() as u64 - nonzero.iter().sum::<u64>();
        Self { mean, m2: m2.max(0.0), squares: squares.iter().sum(), zeros }
    }
}

/// |ours - reference| / |reference| over a block.
pub(crate) struct Relatives {
    pub(crate) sum: f64,
    pub(crate) max: f64,
}

/// Sums the relative differences where the reference is not zero; elsewhere they are zero. Leaves
/// their keys in `scratch`.
pub(crate) fn relatives(ours: &[f64], reference: &[f64], scratch: &mut Scratch) -> Relatives {
    let (mut sum, mut max) = ([0.0_f64; LANES], [0.0_f64; LANES]);
    pairs(ours, reference, &mut scratch.keys, |a, b, keys| {
        for i in 0..LANES {
            let quotient = ((a[i] - b[i]) / b[i]).abs();
            let r = if b[i] == 0.0 { 0.0 } else { quotient };
            sum[i] += r;
            max[i] = if r > max[i] { r } else { max[i] };
            keys[i] = histogram::key(r as f32);
        }
    });
    Relatives { sum: sum.iter().sum(), max: max.into_iter().fold(0.0, f64::max) }
}

/// True if no value is NaN or infinite.
pub(crate) fn all_finite(values: &[f64]) -> bool {
    // A finite value times zero is zero; NaN and infinity become NaN.
    let mut zero = [0.0; LANES];
    lanes(values, |x| {
        for i in 0..LANES {
            zero[i] += x[i] * 0.0;
        }
    });
    zero.iter().sum::<f64>() == 0.0
}

/// Calls `each` with pairs in lanes, the last ones filled up with zeros, and with room for their keys.
#[inline]
fn pairs(
    ours: &[f64],
    reference: &[f64],
    keys: &mut Vec<u16>,
    mut each: impl FnMut(&[f64; LANES], &[f64; LANES], &mut [u16; LANES]),
) {
    keys.resize(ours.len().next_multiple_of(LANES), 0);
    let (whole_keys, _) = keys.as_chunks_mut::<LANES>();
    let ((a, a_rest), (b, b_rest)) = (ours.as_chunks::<LANES>(), reference.as_chunks::<LANES>());
    for ((a, b), keys) in a.iter().zip(b).zip(whole_keys.iter_mut()) {
        each(a, b, keys);
    }
    if let Some(keys) = whole_keys.get_mut(a.len()) {
        each(&filled(a_rest), &filled(b_rest), keys);
    }
    keys.truncate(ours.len());
}

/// Calls `each` with values in lanes, the last ones filled up with zeros.
#[inline]
fn lanes(values: &[f64], mut each: impl FnMut(&[f64; LANES])) {
    let (whole, rest) = values.as_chunks::<LANES>();
    whole.iter().for_each(&mut each);
    if !rest.is_empty() {
        each(&filled(rest));
    }
}

fn filled(rest: &[f64]) -> [f64; LANES] {
    let mut last = [0.0; LANES];
    last.iter_mut().zip(rest).for_each(|(lane, value)| *lane = *value);
    last
}
