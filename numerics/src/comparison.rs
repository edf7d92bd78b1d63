//! How far one tensor is from its reference.

use porter_ir::{DType, Shape};
use rayon::prelude::*;
use serde::{Serialize, Serializer};

use crate::{
    CompareError, Positions, Sides, Ulp, View,
    accumulate::{Accumulator, Scratch},
    histogram::{Histogram, RESOLUTION},
    ulp,
    worst::FlatElement,
};

/// The most stretches that one comparison is cut into. Their number bounds the memory (192 KiB
/// each) and depends on the tensor alone, so that results are the same on every machine.
const STRETCHES: usize = 64;
/// The fewest elements in a stretch.
const STRETCH: usize = 1 << 16;

/// How far one tensor is from its reference.
///
/// Statistics are over the pairs of finite values at the positions that count; what is not finite
/// is accounted for in [`nan`](Self::nan) and [`inf`](Self::inf).
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The tensor's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The element type of the tensor under test.
    #[serde(serialize_with = "dtype_name")]
    pub dtype: DType,
    /// The element type of the reference.
    #[serde(serialize_with = "dtype_name")]
    pub reference_dtype: DType,
    /// Pairs that count, finite or not.
    pub count: u64,
    /// The greatest |ours - reference|.
    pub max_abs: f64,
    /// The mean of |ours - reference|.
    pub mean_abs: f64,
    /// The greatest |ours - reference| / |reference|, over references that are not zero.
    pub max_rel: f64,
    /// The mean of the same.
    pub mean_rel: f64,
    /// The root of the mean squared difference.
    pub rmse: f64,
    /// The scale of the reference: its standard deviation (of the population); where that is zero,
    /// its root mean square.
    pub scale: f64,
    /// Percentiles of |ours - reference|.
    #[serde(flatten)]
    pub percentiles: Percentiles,
    /// Percentiles of |ours - reference| / |reference|, over references that are not zero.
    pub relative_percentiles: Percentiles,
    /// The cosine of the angle between the two, as vectors: 1 if both are zero, 0 if one is.
    pub cosine: f64,
    /// Distances in units in the last place of the narrower type.
    pub ulp: Ulp,
    /// Values that are not a number.
    pub nan: Sides,
    /// Infinite values.
    pub inf: Sides,
    /// Up to ten pairs that differ most, worst first.
    pub worst: Vec<Element>,
    #[serde(skip)]
    differences: Histogram,
}

/// Percentiles: the smallest value that this share of the pairs does not exceed, from a histogram of 32
/// bins an octave: never too small, and too great by at most 1/32 (and one rounding to `f32`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "each field is its name")]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
}

/// One pair of values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Element {
    /// Its index, one number a dimension.
    pub index: Vec<usize>,
    /// The value under test.
    pub ours: f64,
    /// The reference's value.
    pub reference: f64,
}

impl Percentiles {
    /// The greatest relative error of a percentile. Below 2^-126, where bins are evenly spaced,
    /// it does not hold.
    pub const RESOLUTION: f64 = RESOLUTION;
}

impl Comparison {
    /// True if NaNs and infinities are at the same places on both sides, and something else is there.
    pub fn comparable(&self) -> bool {
        self.nan.agree() && self.inf.agree() && self.count > self.nan.both + self.inf.both
    }

    /// The share of the pairs of finite values that are off by no more than `limit`. Exact where all
    /// or none are; else never too great, as pairs in the histogram bin that `limit` cuts, which are
    /// within [`Percentiles::RESOLUTION`] of it, count as further off.
    pub fn share_within(&self, limit: f64) -> f64 {
        if self.max_abs <= limit { 1.0 } else { self.differences.share_below(limit) }
    }
}

/// Measures `ours` against `reference` at `positions`, in one pass over the data, in parallel and
/// in bounded memory. Nothing to compare is an error.
pub fn compare(
    name: &str,
    ours: &View<'_>,
    reference: &View<'_>,
    positions: &Positions,
) -> Result<Comparison, CompareError> {
    if ours.shape() != reference.shape() {
        return Err(CompareError::Shape { ours: ours.shape().clone(), reference: reference.shape().clone() });
    }
    let ranges = positions.ranges(ours.shape())?;
    let compared = ulp::compared_dtype(ours.dtype(), reference.dtype());
    let elements = ours.shape().elements();
    let stretch = elements.div_ceil(STRETCHES).max(STRETCH);
    let stretches: Vec<Accumulator> = (0..elements.div_ceil(stretch))
        .into_par_iter()
        .map_init(Scratch::new, |scratch, i| {
            let (start, end) = (i * stretch, elements.min((i + 1) * stretch));
            let mut sums = Accumulator::new(compared);
            let first = ranges.partition_point(|r| r.end <= start);
            for range in ranges.iter().skip(first).take_while(|r| r.start < end) {
                sums.add_range(ours, reference, range.start.max(start)..range.end.min(end), scratch);
            }
            sums.settle(scratch);
            sums
        })
        .collect();
    let mut total = Accumulator::new(compared);
    for next in &stretches {
        total.merge(next);
    }
    let count = ranges.iter().map(|r| r.len() as u64).sum();
    Ok(finish(name, ours, reference, count, &total))
}

fn finish(name: &str, ours: &View<'_>, reference: &View<'_>, count: u64, sums: &Accumulator) -> Comparison {
    let mean = |total: f64, n: u64| if n == 0 { 0.0 } else { total / n as f64 };
    Comparison {
        name: name.to_owned(),
        shape: ours.shape().to_vec(),
        dtype: ours.dtype(),
        reference_dtype: reference.dtype(),
        count,
        max_abs: sums.sums.max_abs,
        mean_abs: mean(sums.sums.abs, sums.finite),
        max_rel: sums.max_rel,
        mean_rel: mean(sums.sum_rel, sums.rel_count),
        rmse: mean(sums.sums.squares, sums.finite).sqrt(),
        scale: scale(sums),
        percentiles: percentiles(&sums.differences, sums.sums.max_abs),
        relative_percentiles: percentiles(&sums.relatives, sums.max_rel),
        cosine: cosine(sums),
        ulp: Ulp {
            max: sums.max_ulp,
            median: sums.ulps.quantile(0.5).lower as u64,
            p99: sums.ulps.quantile(0.99).lower as u64,
        },
        nan: sums.nan,
        inf: sums.inf,
        worst: sums.worst.elements().iter().map(|element| unflatten(*element, ours.shape())).collect(),
        differences: sums.differences.clone(),
    }
}

fn scale(sums: &Accumulator) -> f64 {
    let n = sums.finite.max(1) as f64;
    let std = (sums.reference_m2 / n).sqrt();
    if std > 0.0 { std } else { (sums.sums.reference_squares / n).sqrt() }
}

fn percentiles(differences: &Histogram, max: f64) -> Percentiles {
    let at = |share| differences.quantile(share).upper.min(max);
    Percentiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999) }
}

fn cosine(sums: &Accumulator) -> f64 {
    match (sums.sums.ours_squares > 0.0, sums.sums.reference_squares > 0.0) {
        (true, true) => (sums.sums.dot / sums.sums.ours_squares.sqrt() / sums.sums.reference_squares.sqrt())
            .clamp(-1.0, 1.0),
        (false, false) => 1.0,
        _ => 0.0,
    }
}

fn unflatten(element: FlatElement, shape: &Shape) -> Element {
    let mut rest = element.index;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let i = rest % size.max(1);
            rest /= size.max(1);
            i
        })
        .collect();
    index.reverse();
    Element { index, ours: element.ours, reference: element.reference }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn dtype_name<S: Serializer>(dtype: &DType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dtype.name())
}
