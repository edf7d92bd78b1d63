//! One pass over a stretch of two tensors.

use std::{ops::Range, slice};

use porter_ir::DType;
use serde::Serialize;

use crate::{
    View,
    histogram::Histogram,
    lanes::{Scratch, Spread, Sums, all_finite, relatives},
    ulp::Distances,
};

/// Elements decoded at a time: two blocks of `f64` and their keys fit the first-level cache.
pub(crate) const BLOCK: usize = 1024;
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
    pub(crate) sums: Sums,
    pub(crate) max_rel: f64,
    pub(crate) sum_rel: f64,
    /// Pairs whose reference is not zero.
    pub(crate) rel_count: u64,
    pub(crate) reference_mean: f64,
    /// Squared deviations of the reference from its mean.
    pub(crate) reference_m2: f64,
    pub(crate) differences: Histogram,
    pub(crate) relatives: Histogram,
    pub(crate) ulps: Histogram,
    pub(crate) max_ulp: u64,
    pub(crate) nan: Sides,
    pub(crate) inf: Sides,
    /// The worst first; of equals, the one that comes first.
    pub(crate) worst: Vec<FlatElement>,
    distances: Distances,
}

impl Accumulator {
    pub(crate) fn new(compared: DType) -> Self {
        Self {
            finite: 0,
            max_abs: 0.0,
            sums: Sums::default(),
            max_rel: 0.0,
            sum_rel: 0.0,
            rel_count: 0,
            reference_mean: 0.0,
            reference_m2: 0.0,
            differences: Histogram::new(),
            relatives: Histogram::new(),
            ulps: Histogram::new(),
            max_ulp: 0,
            nan: Sides::default(),
            inf: Sides::default(),
            worst: Vec::with_capacity(WORST + 1),
            distances: Distances::of(compared),
        }
    }

    /// Takes in the elements of `range` of two tensors of one shape.
    pub(crate) fn add_range(&mut self, ours: &View<'_>, reference: &View<'_>, range: Range<usize>) {
        let mut scratch = Scratch::default();
        let (mut a, mut b) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
        for start in range.clone().step_by(BLOCK) {
            let block = start..range.end.min(start + BLOCK);
            reference.read(block.clone(), &mut b);
            if ours.same_bytes(reference, block.clone()) && all_finite(&b) {
                self.add_equal(&b);
                continue;
            }
            ours.read(block, &mut a);
            self.add_block(start, &a, &b, &mut scratch);
        }
    }

    /// A block of finite values that are the same on both sides.
    fn add_equal(&mut self, values: &[f64]) {
        let n = values.len() as u64;
        self.finite += n;
        let spread = Spread::of(values);
        self.sums.ours_squares += spread.squares;
        self.sums.reference_squares += spread.squares;
        self.sums.dot += spread.squares;
        self.join_spread((self.finite - n) as f64, n as f64, spread.mean, spread.m2);
        self.rel_count += n - spread.zeros;
        self.relatives.add_zeros(n - spread.zeros);
        self.differences.add_zeros(n);
        self.ulps.add_zeros(n);
    }

    fn add_block(&mut self, start: usize, ours: &[f64], reference: &[f64], scratch: &mut Scratch) {
        if all_finite(ours) && all_finite(reference) {
            return self.add_finite(start, ours, reference, scratch);
        }
        for (i, (a, b)) in ours.iter().zip(reference).enumerate() {
            if a.is_finite() && b.is_finite() {
                self.add_finite(start + i, slice::from_ref(a), slice::from_ref(b), scratch);
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

    fn add_finite(&mut self, start: usize, ours: &[f64], reference: &[f64], scratch: &mut Scratch) {
        let n = ours.len() as u64;
        self.finite += n;
        let spread = Spread::of(reference);
        self.join_spread((self.finite - n) as f64, n as f64, spread.mean, spread.m2);
        self.sums.reference_squares += spread.squares;
        self.rel_count += n - spread.zeros;

        let greatest = self.sums.add(ours, reference, scratch);
        self.differences.add_all(&scratch.keys);
        if greatest > self.threshold() {
            self.keep_worst(start, ours, reference);
        }
        let relative = relatives(ours, reference, scratch);
        self.sum_rel += relative.sum;
        self.max_rel = self.max_rel.max(relative.max);
        self.relatives.add_all(&scratch.keys);
        self.relatives.remove_zeros(spread.zeros);

        self.max_ulp = self.max_ulp.max(self.distances.all(ours, reference, &mut scratch.keys));
        self.ulps.add_all(&scratch.keys);
    }

    /// Joins the mean and the squared deviations of a block to those of the `before` values so far
    /// (Chan and others 1979), which do not cancel as a sum of squares does.
    fn join_spread(&mut self, before: f64, n: f64, mean: f64, m2: f64) {
        let (total, delta) = (before + n, mean - self.reference_mean);
        if total > 0.0 {
            self.reference_mean += delta * n / total;
            self.reference_m2 += m2 + delta * delta * before * n / total;
        }
    }

    fn keep_worst(&mut self, start: usize, ours: &[f64], reference: &[f64]) {
        let mut threshold = self.threshold();
        for (i, (&a, &b)) in ours.iter().zip(reference).enumerate() {
            if (a - b).abs() > threshold {
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

    /// Ends the stretch: nothing more is added but other stretches.
    pub(crate) fn end(&mut self) {
        for histogram in [&mut self.differences, &mut self.relatives, &mut self.ulps] {
            histogram.fold();
        }
    }

    /// Takes in the stretch that comes after this one. Both have ended.
    pub(crate) fn merge(&mut self, next: &Self) {
        self.join_spread(self.finite as f64, next.finite as f64, next.reference_mean, next.reference_m2);
        self.finite += next.finite;
        self.sums.merge(&next.sums);
        self.max_rel = self.max_rel.max(next.max_rel);
        self.sum_rel += next.sum_rel;
        self.rel_count += next.rel_count;
        self.differences.merge(&next.differences);
        self.relatives.merge(&next.relatives);
        self.ulps.merge(&next.ulps);
        self.max_ulp = self.max_ulp.max(next.max_ulp);
        self.nan.merge(next.nan);
        self.inf.merge(next.inf);
        for &element in &next.worst {
            self.keep(element);
        }
    }
}
