//! One pass over a stretch of two tensors.

use std::ops::Range;

use porter_ir::DType;
use serde::Serialize;

use crate::{View, histogram::Histogram, ulp};

/// Elements decoded at a time: two blocks of `f64` fit the first-level cache.
const BLOCK: usize = 2048;
/// How many of the worst elements are kept.
pub(crate) const WORST: usize = 10;

/// One element where two tensors are far apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct FlatElement {
    pub(crate) index: usize,
    pub(crate) ours: f64,
    pub(crate) reference: f64,
}

impl FlatElement {
    fn difference(&self) -> f64 {
        (self.ours - self.reference).abs()
    }
}

/// How often a value that is no finite number appears, and on which side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sides {
    /// Only in the tensor under test.
    pub ours_only: u64,
    /// Only in the reference.
    pub reference_only: u64,
    /// In both. Infinities of opposite sign are not the same: they count on each side.
    pub both: u64,
}

impl Sides {
    /// True if no element has it on one side only.
    pub fn agree(&self) -> bool {
        self.ours_only == 0 && self.reference_only == 0
    }

    fn add(&mut self, ours: bool, reference: bool) {
        match (ours, reference) {
            (true, true) => self.both += 1,
            (true, false) => self.ours_only += 1,
            (false, true) => self.reference_only += 1,
            (false, false) => {}
        }
    }

    fn merge(&mut self, other: Self) {
        self.ours_only += other.ours_only;
        self.reference_only += other.reference_only;
        self.both += other.both;
    }
}

/// Everything that is summed up about one stretch. Sums are in `f64`.
pub(crate) struct Accumulator {
    /// Pairs of finite values: what all fields below but `nan` and `inf` are about.
    pub(crate) finite: u64,
    pub(crate) max_abs: f64,
    pub(crate) sum_abs: f64,
    pub(crate) sum_squares: f64,
    pub(crate) max_rel: f64,
    pub(crate) sum_rel: f64,
    /// Pairs whose reference is not zero.
    pub(crate) rel_count: u64,
    pub(crate) dot: f64,
    pub(crate) ours_squares: f64,
    pub(crate) reference_squares: f64,
    pub(crate) reference_mean: f64,
    /// Squared deviations of the reference from its mean.
    pub(crate) reference_m2: f64,
    pub(crate) differences: Histogram,
    pub(crate) ulps: Histogram,
    pub(crate) max_ulp: u64,
    pub(crate) nan: Sides,
    pub(crate) inf: Sides,
    /// The worst first; of equals, the one that comes first.
    pub(crate) worst: Vec<FlatElement>,
    distance: fn(f64, f64) -> u64,
}

impl Accumulator {
    pub(crate) fn new(compared: DType) -> Self {
        Self {
            finite: 0,
            max_abs: 0.0,
            sum_abs: 0.0,
            sum_squares: 0.0,
            max_rel: 0.0,
            sum_rel: 0.0,
            rel_count: 0,
            dot: 0.0,
            ours_squares: 0.0,
            reference_squares: 0.0,
            reference_mean: 0.0,
            reference_m2: 0.0,
            differences: Histogram::new(),
            ulps: Histogram::new(),
            max_ulp: 0,
            nan: Sides::default(),
            inf: Sides::default(),
            worst: Vec::with_capacity(WORST + 1),
            distance: ulp::distance(compared),
        }
    }

    /// Takes in the elements of `range` of two tensors of one shape.
    pub(crate) fn add_range(&mut self, ours: &View<'_>, reference: &View<'_>, range: Range<usize>) {
        let (mut a, mut b) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
        for start in range.clone().step_by(BLOCK) {
            let block = start..range.end.min(start + BLOCK);
            ours.read(block.clone(), &mut a);
            reference.read(block, &mut b);
            self.add_block(start, &a, &b);
        }
    }

    fn add_block(&mut self, start: usize, ours: &[f64], reference: &[f64]) {
        let finite = |(a, b): (&f64, &f64)| a.is_finite() & b.is_finite();
        if ours.iter().zip(reference).fold(true, |all, pair| all & finite(pair)) {
            return self.add_finite(start, ours, reference);
        }
        for (i, (a, b)) in ours.iter().zip(reference).enumerate() {
            if finite((a, b)) {
                self.add_finite(start + i, std::slice::from_ref(a), std::slice::from_ref(b));
            } else {
                self.nan.add(a.is_nan(), b.is_nan());
                self.add_infinite(*a, *b);
            }
        }
    }

    fn add_infinite(&mut self, ours: f64, reference: f64) {
        if ours.is_infinite() && reference.is_infinite() && ours.signum() * reference.signum() < 0.0 {
            self.inf.add(true, false);
            self.inf.add(false, true);
        } else {
            self.inf.add(ours.is_infinite(), reference.is_infinite());
        }
    }

    fn add_finite(&mut self, start: usize, ours: &[f64], reference: &[f64]) {
        self.add_sums(ours, reference);
        self.add_spread(reference);
        self.add_relative(ours, reference);
        self.add_magnitudes(start, ours, reference);
    }

    fn add_sums(&mut self, ours: &[f64], reference: &[f64]) {
        self.finite += ours.len() as u64;
        self.sum_abs += sum(ours, reference, |a, b| (a - b).abs());
        self.sum_squares += sum(ours, reference, |a, b| (a - b) * (a - b));
        self.dot += sum(ours, reference, |a, b| a * b);
        self.ours_squares += sum(ours, reference, |a, _| a * a);
        self.reference_squares += sum(ours, reference, |_, b| b * b);
    }

    /// Joins the mean and the squared deviations of a block to those so far (Chan and
    /// others 1979), which do not cancel as a sum of squares does.
    fn add_spread(&mut self, reference: &[f64]) {
        let n = reference.len() as f64;
        let mean = sum(reference, reference, |_, b| b) / n;
        let m2 = sum(reference, reference, |_, b| (b - mean) * (b - mean));
        // `finite` counts this block already.
        self.join_spread(self.finite as f64 - n, n, mean, m2);
    }

    fn join_spread(&mut self, before: f64, n: f64, mean: f64, m2: f64) {
        let (total, delta) = (before + n, mean - self.reference_mean);
        if total > 0.0 {
            self.reference_mean += delta * n / total;
            self.reference_m2 += m2 + delta * delta * before * n / total;
        }
    }

    fn add_relative(&mut self, ours: &[f64], reference: &[f64]) {
        let relative = |a: f64, b: f64| if b == 0.0 { 0.0 } else { ((a - b) / b).abs() };
        self.rel_count += reference.iter().filter(|b| **b != 0.0).count() as u64;
        self.sum_rel += sum(ours, reference, relative);
        self.max_rel = ours.iter().zip(reference).fold(self.max_rel, |max, (&a, &b)| max.max(relative(a, b)));
    }

    fn add_magnitudes(&mut self, start: usize, ours: &[f64], reference: &[f64]) {
        let mut threshold = self.threshold();
        for (i, (&a, &b)) in ours.iter().zip(reference).enumerate() {
            let difference = (a - b).abs();
            self.differences.add(difference);
            let ulps = (self.distance)(a, b);
            self.ulps.add(ulps as f64);
            self.max_ulp = self.max_ulp.max(ulps);
            if difference > threshold {
                self.keep(FlatElement { index: start + i, ours: a, reference: b });
                threshold = self.threshold();
            }
        }
    }

    /// What an element must exceed to be among the worst.
    fn threshold(&self) -> f64 {
        if self.worst.len() < WORST { 0.0 } else { self.worst.last().map_or(0.0, FlatElement::difference) }
    }

    fn keep(&mut self, element: FlatElement) {
        let difference = element.difference();
        let place = self.worst.partition_point(|kept| kept.difference() >= difference);
        self.worst.insert(place, element);
        self.worst.truncate(WORST);
        self.max_abs = self.max_abs.max(difference);
    }

    /// Takes in the stretch that comes after this one.
    pub(crate) fn merge(&mut self, next: &Self) {
        self.join_spread(self.finite as f64, next.finite as f64, next.reference_mean, next.reference_m2);
        self.finite += next.finite;
        self.sum_abs += next.sum_abs;
        self.sum_squares += next.sum_squares;
        self.max_rel = self.max_rel.max(next.max_rel);
        self.sum_rel += next.sum_rel;
        self.rel_count += next.rel_count;
        self.dot += next.dot;
        self.ours_squares += next.ours_squares;
        self.reference_squares += next.reference_squares;
        self.differences.merge(&next.differences);
        self.ulps.merge(&next.ulps);
        self.max_ulp = self.max_ulp.max(next.max_ulp);
        self.nan.merge(next.nan);
        self.inf.merge(next.inf);
        for &element in &next.worst {
            self.keep(element);
        }
    }
}

/// The sum of `f` over pairs, in eight independent lanes so that it runs as vector code.
fn sum(ours: &[f64], reference: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    let (a, a_rest) = ours.as_chunks::<8>();
    let (b, b_rest) = reference.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(a, b);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a, b)).sum();
    lanes.iter().sum::<f64>() + rest
}
