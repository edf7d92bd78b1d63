//! One pass over a stretch of two tensors.

use std::ops::Range;

use porter_ir::DType;

use crate::{
    View,
    histogram::{Histogram, Tally},
    lanes::{self, Keys, Number, Sums},
    sides::Sides,
    ulp::Ranked,
    worst::Worst,
};

/// Elements taken at a time: both sides and their keys fit the first-level cache.
pub(crate) const BLOCK: usize = 1024;
/// What a thread needs for one stretch after another.
pub(crate) struct Scratch {
    keys: Keys,
    differences: Tally,
    relatives: Tally,
    ulps: Tally,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { keys: Keys::default(), differences: Tally::new(), relatives: Tally::new(), ulps: Tally::new() }
    }
}

/// Pairs whose keys are still in the tallies.
#[derive(Default)]
struct Unsettled {
    pairs: u64,
    same: u64,
    relatively_same: u64,
    /// References that are zero.
    zeros: u64,
}

/// Everything that is summed up about one stretch. Sums are in `f64`.
pub(crate) struct Accumulator {
    /// Pairs of finite values: what all fields below but `nan` and `inf` are about.
    pub(crate) finite: u64,
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
    pub(crate) worst: Worst,
    ranked: Ranked,
    unsettled: Unsettled,
}

impl Accumulator {
    pub(crate) fn new(compared: DType) -> Self {
        Self {
            finite: 0,
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
            worst: Worst::default(),
            ranked: Ranked::of(compared),
            unsettled: Unsettled::default(),
        }
    }

    /// Takes in the elements of `range` of two tensors of one shape.
    pub(crate) fn add_range(
        &mut self,
        ours: &View<'_>,
        reference: &View<'_>,
        range: Range<usize>,
        scratch: &mut Scratch,
    ) {
        if ours.holds_singles() && reference.holds_singles() {
            self.add_read::<f32>(ours, reference, range, scratch);
        } else {
            self.add_read::<f64>(ours, reference, range, scratch);
        }
    }

    fn add_read<T: Number>(
        &mut self,
        ours: &View<'_>,
        reference: &View<'_>,
        range: Range<usize>,
        scratch: &mut Scratch,
    ) {
        let (mut a, mut b) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
        for start in range.clone().step_by(BLOCK) {
            let block = start..range.end.min(start + BLOCK);
            let theirs = T::elements(reference, block.clone(), &mut b);
            if ours.same_bytes(reference, block.clone()) && self.add_equal(theirs) {
                continue;
            }
            let own = T::elements(ours, block, &mut a);
            self.add_block(start, own, theirs, scratch);
        }
    }

    /// A block that is the same on both sides. False, and nothing is taken in, unless it is finite.
    fn add_equal<T: Number>(&mut self, values: &[T]) -> bool {
        let shift = self.shift(values);
        let sums = lanes::sums(values, values, shift);
        if !sums.finite() {
            return false;
        }
        let n = values.len() as u64;
        let zeros = values.iter().map(|x| u64::from(x.wide() == 0.0)).sum::<u64>();
        self.join(n, sums, shift);
        self.rel_count += n - zeros;
        self.relatives.add_zeros(n - zeros);
        self.differences.add_zeros(n);
        self.ulps.add_zeros(n);
        true
    }

    fn add_block<T: Number>(&mut self, start: usize, ours: &[T], reference: &[T], scratch: &mut Scratch) {
        let shift = self.shift(reference);
        let sums = lanes::sums(ours, reference, shift);
        if sums.finite() {
            return self.add_finite(start, ours, reference, (sums, shift), scratch);
        }
        let finite: Vec<bool> =
            ours.iter().zip(reference).map(|(a, b)| a.wide().is_finite() && b.wide().is_finite()).collect();
        let mut at = 0;
        for run in finite.chunk_by(|a, b| a == b) {
            let range = at..at + run.len();
            let first = start + at;
            at = range.end;
            let (Some(a), Some(b)) = (ours.get(range.clone()), reference.get(range)) else { return };
            if run.first() == Some(&true) {
                let shift = self.shift(b);
                self.add_finite(first, a, b, (lanes::sums(a, b, shift), shift), scratch);
            } else {
                a.iter().zip(b).for_each(|(a, b)| self.add_other(a.wide(), b.wide()));
            }
        }
    }

    /// A pair that is not finite on both sides.
    fn add_other(&mut self, ours: f64, reference: f64) {
        self.nan.add(ours.is_nan(), reference.is_nan());
        if ours.is_infinite() && reference.is_infinite() && ours.signum() * reference.signum() < 0.0 {
            self.inf.add(true, false);
            self.inf.add(false, true);
        } else {
            self.inf.add(ours.is_infinite(), reference.is_infinite());
        }
    }

    /// A block of finite values with its sums, and the shift that they were taken with.
    fn add_finite<T: Number>(
        &mut self,
        start: usize,
        ours: &[T],
        reference: &[T],
        (sums, shift): (Sums, f64),
        scratch: &mut Scratch,
    ) {
        let n = ours.len() as u64;
        if sums.max_abs > self.worst.threshold() {
            self.worst.add(start, ours, reference);
        }
        self.join(n, sums, shift);
        let found = lanes::distances(ours, reference, self.ranked, &mut scratch.keys);
        self.rel_count += n - found.zeros;
        self.sum_rel += found.relative;
        self.max_rel = self.max_rel.max(found.max_relative);
        self.max_ulp = self.max_ulp.max(found.max_ulp);
        if self.unsettled.pairs + n > Tally::MOST {
            self.settle(scratch);
        }
        scratch.differences.count(&scratch.keys.differences);
        scratch.relatives.count(&scratch.keys.relatives);
        scratch.ulps.count(&scratch.keys.ulps);
        self.unsettled.pairs += n;
        self.unsettled.same += found.same;
        self.unsettled.relatively_same += found.relatively_same;
        self.unsettled.zeros += found.zeros;
    }

    /// Takes in the keys that `scratch` has counted.
    pub(crate) fn settle(&mut self, scratch: &mut Scratch) {
        let Unsettled { pairs, same, relatively_same, zeros } = std::mem::take(&mut self.unsettled);
        if pairs == 0 {
            return;
        }
        scratch.differences.settle(&mut self.differences);
        self.differences.part_zeros(same);
        scratch.relatives.settle(&mut self.relatives);
        self.relatives.drop_zeros(zeros);
        self.relatives.part_zeros(relatively_same - zeros);
        scratch.ulps.settle(&mut self.ulps);
        // Every distance but zero is at least one.
        self.ulps.part_all();
    }

    /// Near the references to come: squared deviations from it lose little to cancellation.
    fn shift<T: Number>(&self, reference: &[T]) -> f64 {
        if self.finite > 0 {
            return self.reference_mean;
        }
        reference.iter().map(|y| y.wide()).sum::<f64>() / reference.len().max(1) as f64
    }

    /// Takes in the sums of `n` pairs of finite values.
    fn join(&mut self, n: u64, sums: Sums, shift: f64) {
        let off = sums.shifted / n as f64;
        let m2 = (sums.shifted_squares - sums.shifted * off).max(0.0);
        self.join_spread(self.finite as f64, n as f64, shift + off, m2);
        self.finite += n;
        self.sums.merge(&sums);
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

    /// Takes in the stretch that comes after this one. Both are settled.
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
        self.worst.merge(&next.worst);
    }
}
