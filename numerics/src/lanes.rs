//! What is summed over a block of pairs, in loops that compile to vector code.

#![allow(
    clippy::inline_always,
    reason = "code is compiled anew for each set of vector instructions where it is inlined"
)]

use std::ops::Range;

use multiversion::multiversion;
use porter_ir::DType;

use crate::{
    View, histogram,
    ulp::{self, Ranked},
};

/// Pairs taken at a time. Loops over as many are left to the vectoriser; fewer are unrolled into scalar code.
const LANES: usize = 16;

/// A number as a block holds it: `f32` where that is exact for both sides, else `f64`.
pub(crate) trait Number: Copy {
    /// The elements of `range`: as they are stored where possible, else read into `buffer`.
    fn elements<'a>(view: &'a View<'_>, range: Range<usize>, buffer: &'a mut Vec<Self>) -> &'a [Self];
    fn wide(self) -> f64;
    fn single(self) -> f32;
    /// |self - other|, rounded to `f32`.
    fn apart(self, other: Self) -> f32;
}

impl Number for f32 {
    fn elements<'a>(view: &'a View<'_>, range: Range<usize>, buffer: &'a mut Vec<Self>) -> &'a [Self] {
        if let Some(stored) = view.stored(DType::F32, range.clone()) {
            return stored;
        }
        view.read_singles(range, buffer);
        buffer
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn single(self) -> f32 {
        self
    }

    #[inline(always)]
    fn apart(self, other: Self) -> f32 {
        (self - other).abs()
    }
}

impl Number for f64 {
    fn elements<'a>(view: &'a View<'_>, range: Range<usize>, buffer: &'a mut Vec<Self>) -> &'a [Self] {
        if let Some(stored) = view.stored(DType::F64, range.clone()) {
            return stored;
        }
        view.read(range, buffer);
        buffer
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn single(self) -> f32 {
        self as f32
    }

    #[inline(always)]
    fn apart(self, other: Self) -> f32 {
        (self - other).abs() as f32
    }
}

/// The histogram keys of a block: as many as it has pairs.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) differences: Vec<u32>,
    pub(crate) relatives: Vec<u32>,
    pub(crate) ulps: Vec<u32>,
}

impl Keys {
    fn resize(&mut self, pairs: usize) {
        for keys in [&mut self.differences, &mut self.relatives, &mut self.ulps] {
            keys.resize(pairs, 0);
        }
    }
}

/// Sums over the pairs of a block, in `f64`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) abs: f64,
    pub(crate) squares: f64,
    pub(crate) dot: f64,
    pub(crate) ours_squares: f64,
    pub(crate) reference_squares: f64,
    /// Of the reference less the shift.
    pub(crate) shifted: f64,
    pub(crate) shifted_squares: f64,
    pub(crate) max_abs: f64,
}

impl Sums {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.abs += other.abs;
        self.squares += other.squares;
        self.dot += other.dot;
        self.ours_squares += other.ours_squares;
        self.reference_squares += other.reference_squares;
        self.shifted += other.shifted;
        self.shifted_squares += other.shifted_squares;
        self.max_abs = self.max_abs.max(other.max_abs);
    }

    /// False if a value was NaN or infinite; also where squares are beyond `f64`.
    pub(crate) fn finite(&self) -> bool {
        self.ours_squares.is_finite() && self.reference_squares.is_finite()
    }
}

/// What else is to be known of a block whose pairs are finite.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Distances {
    /// |ours - reference| / |reference|, over references that are not zero.
    pub(crate) relative: f64,
    pub(crate) max_relative: f64,
    pub(crate) max_ulp: u64,
    /// Pairs whose difference is zero as an `f32`.
    pub(crate) same: u64,
    /// Pairs whose relative difference is, or whose reference is zero.
    pub(crate) relatively_same: u64,
    /// References that are zero.
    pub(crate) zeros: u64,
}

/// Sums a block up.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn sums<T: Number>(ours: &[T], reference: &[T], shift: f64) -> Sums {
    let ((a, a_rest), (b, b_rest)) = (ours.as_chunks::<LANES>(), reference.as_chunks::<LANES>());
    let mut sums = sums_in_lanes(a, b, shift);
    sums.merge(&sums_in_lanes(a_rest.as_chunks::<1>().0, b_rest.as_chunks::<1>().0, shift));
    sums
}

#[inline(always)]
fn sums_in_lanes<T: Number, const N: usize>(ours: &[[T; N]], reference: &[[T; N]], shift: f64) -> Sums {
    let mut totals = [[0.0_f64; N]; 8];
    let [abs, squares, dot, own, theirs, shifted, shifted_squares, most] = &mut totals;
    for (a, b) in ours.iter().zip(reference) {
        for i in 0..N {
            let (x, y) = (a[i].wide(), b[i].wide());
            let (apart, off) = ((x - y).abs(), y - shift);
            abs[i] += apart;
            squares[i] += apart * apart;
            dot[i] += x * y;
            own[i] += x * x;
            theirs[i] += y * y;
            shifted[i] += off;
            shifted_squares[i] += off * off;
            most[i] = if apart > most[i] { apart } else { most[i] };
        }
    }
    let [abs, squares, dot, ours_squares, reference_squares, shifted, shifted_squares, _] =
        totals.map(|lanes| lanes.iter().sum());
    let max_abs = totals[7].into_iter().fold(0.0, f64::max);
    Sums { abs, squares, dot, ours_squares, reference_squares, shifted, shifted_squares, max_abs }
}

/// Takes every pair's distances, and leaves their keys in `keys`. All values must be finite.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn distances<T: Number>(
    ours: &[T],
    reference: &[T],
    ranked: Ranked,
    keys: &mut Keys,
) -> Distances {
    keys.resize(ours.len());
    let mut found = Distances::default();
    let ((a, a_rest), (b, b_rest)) = (ours.as_chunks::<LANES>(), reference.as_chunks::<LANES>());
    let (whole, rest) = keys.relatives.as_chunks_mut::<LANES>();
    relatives(a, b, whole, &mut found);
    relatives(a_rest.as_chunks::<1>().0, b_rest.as_chunks::<1>().0, rest.as_chunks_mut::<1>().0, &mut found);
    let (mut same, mut zeros) = (0_u32, 0_u32);
    for ((a, b), key) in ours.iter().zip(reference).zip(&mut keys.differences) {
        let apart = a.apart(*b);
        *key = histogram::key(apart);
        same += u32::from(apart == 0.0);
        zeros += u32::from(b.wide() == 0.0);
    }
    (found.same, found.zeros) = (same.into(), zeros.into());
    found.max_ulp = ulp::distances(ours, reference, ranked, &mut keys.ulps);
    found
}

#[inline(always)]
fn relatives<T: Number, const N: usize>(
    ours: &[[T; N]],
    reference: &[[T; N]],
    keys: &mut [[u32; N]],
    found: &mut Distances,
) {
    let (mut sum, mut most, mut same) = ([0.0_f64; N], [0.0_f64; N], [0_u32; N]);
    for ((a, b), keys) in ours.iter().zip(reference).zip(keys) {
        for i in 0..N {
            let (x, y) = (a[i].wide(), b[i].wide());
            let quotient = ((x - y) / y).abs();
            let relative = if y == 0.0 { 0.0 } else { quotient };
            sum[i] += relative;
            most[i] = if relative > most[i] { relative } else { most[i] };
            let single = relative as f32;
            keys[i] = histogram::key(single);
            same[i] += u32::from(single == 0.0);
        }
    }
    found.relative += sum.iter().sum::<f64>();
    found.max_relative = most.into_iter().fold(found.max_relative, f64::max);
    found.relatively_same += u64::from(same.iter().sum::<u32>());
}
