//! Percentiles of any number of magnitudes in bounded memory.

#![allow(clippy::inline_always, reason = "keys are taken in vector code")]

/// Mantissa bits that tell bins apart: 32 bins an octave.
const SUB_BITS: u32 = 5;
/// What is left of an `f32` beside its exponent and those bits.
const DROPPED: u32 = 23 - SUB_BITS;
/// The range of `f32`. Greater magnitudes share the bin of infinity; below 2^-126 bins are evenly spaced.
const BINS: usize = 256 << SUB_BITS;
/// The place of zeros, among the bins of what is no number.
const ZERO: usize = BINS - 1;
/// Tables that are counted into in turn: equal magnitudes in a row do not wait for each other.
const TABLES: usize = 4;

/// Counts of magnitudes in logarithmic bins. A bin's edges differ by at most [`RESOLUTION`] of its
/// lower edge, so a percentile read from it is off by less than that. Magnitudes are rounded to `f32` first.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    bins: Vec<u64>,
}

/// The greatest relative error of a percentile: 1/32, and the rounding to `f32`.
pub(crate) const RESOLUTION: f64 = 1.0 / (1 << SUB_BITS) as f64 + 1.0 / (1 << 23) as f64;

/// The bin of a magnitude, which must not be negative or NaN. Zero shares the first with what is below
/// 2^-131.
#[inline(always)]
pub(crate) fn key(magnitude: f32) -> u32 {
    magnitude.to_bits() >> DROPPED
}

/// What multiplying by 2^`n` adds to a key.
#[inline(always)]
pub(crate) fn octaves(n: u32) -> u32 {
    n << SUB_BITS
}

/// Keys on their way into a histogram.
pub(crate) struct Tally {
    /// One after another.
    tables: Vec<u32>,
}

impl Tally {
    /// The most keys that are counted before they are settled.
    pub(crate) const MOST: u64 = u32::MAX as u64;

    pub(crate) fn new() -> Self {
        Self { tables: vec![0; BINS * TABLES] }
    }

    /// Counts magnitudes by their keys.
    pub(crate) fn count(&mut self, keys: &[u32]) {
        let (tables, _) = self.tables.as_chunks_mut::<BINS>();
        let [a, b, c, d] = tables else { return };
        let (groups, rest) = keys.as_chunks::<TABLES>();
        for group in groups {
            let [i, j, k, l] = group.map(|key| key as usize % BINS);
            a[i] += 1;
            b[j] += 1;
            c[k] += 1;
            d[l] += 1;
        }
        for &key in rest {
            a[key as usize % BINS] += 1;
        }
    }

    /// Moves all counts to `histogram`.
    pub(crate) fn settle(&mut self, histogram: &mut Histogram) {
        for table in self.tables.chunks_mut(BINS) {
            for (bin, count) in histogram.bins.iter_mut().zip(table) {
                *bin += u64::from(std::mem::take(count));
            }
        }
    }
}

/// The ends of the bin that a percentile falls into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { bins: vec![0; BINS] }
    }

    /// Counts `n` magnitudes of zero.
    pub(crate) fn add_zeros(&mut self, n: u64) {
        if let Some(zeros) = self.bins.get_mut(ZERO) {
            *zeros += n;
        }
    }

    /// Tells the `n` zeros that were counted by key from what shares their bin.
    pub(crate) fn part_zeros(&mut self, n: u64) {
        self.drop_zeros(n);
        self.add_zeros(n);
    }

    /// The same where nothing but zeros is in their bin.
    pub(crate) fn part_all(&mut self) {
        self.part_zeros(self.bins.first().copied().unwrap_or(0));
    }

    /// Takes back `n` zeros that were counted by key.
    pub(crate) fn drop_zeros(&mut self, n: u64) {
        if let Some(first) = self.bins.first_mut() {
            *first = first.saturating_sub(n);
        }
    }

    fn zeros(&self) -> u64 {
        self.bins.get(ZERO).copied().unwrap_or(0)
    }

    /// The bins above zero.
    fn above_zero(&self) -> impl Iterator<Item = (usize, u64)> {
        self.bins.iter().copied().take(ZERO).enumerate()
    }

    /// Takes in another histogram's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.bins.iter_mut().zip(&other.bins).for_each(|(ours, theirs)| *ours += theirs);
    }

    /// The share of the magnitudes whose whole bin is below `limit` or ends there; zero of nothing.
    pub(crate) fn share_below(&self, limit: f64) -> f64 {
        let count: u64 = self.bins.iter().sum();
        if limit < 0.0 || count == 0 {
            return 0.0;
        }
        let whole = self.above_zero().take_while(|(bin, _)| upper_edge(*bin) <= limit);
        (self.zeros() + whole.map(|(_, n)| n).sum::<u64>()) as f64 / count as f64
    }

    /// The bin of the `ceil(share * count)`-th smallest magnitude (numpy's `inverted_cdf`).
    pub(crate) fn quantile(&self, share: f64) -> Bin {
        let count: u64 = self.bins.iter().sum();
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = self.zeros();
        if seen >= rank {
            return Bin { lower: 0.0, upper: 0.0 };
        }
        for (bin, n) in self.above_zero() {
            seen += n;
            if seen >= rank {
                return Bin { lower: lower_edge(bin), upper: upper_edge(bin) };
            }
        }
        Bin { lower: 0.0, upper: 0.0 }
    }
}

fn lower_edge(bin: usize) -> f64 {
    f32::from_bits((bin as u32) << DROPPED).into()
}

fn upper_edge(bin: usize) -> f64 {
    let edge = lower_edge(bin + 1);
    if edge.is_nan() { f64::INFINITY } else { edge }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    fn histogram(magnitudes: &[f32]) -> Histogram {
        let keys: Vec<u32> = magnitudes.iter().map(|&m| key(m)).collect();
        let (mut tally, mut histogram) = (Tally::new(), Histogram::new());
        tally.count(&keys);
        tally.settle(&mut histogram);
        histogram.part_zeros(magnitudes.iter().filter(|&&m| m == 0.0).count() as u64);
        histogram
    }

    #[test]
    fn edges_enclose_what_is_counted() {
        for magnitude in [1e-30_f32, 1.0, 1.03, 3.0, 12345.678, 1e30] {
            let bin = histogram(&[magnitude]).quantile(0.5);
            assert!(
                bin.lower <= magnitude.into() && f64::from(magnitude) < bin.upper,
                "{magnitude} in {bin:?}"
            );
            assert!(bin.upper / bin.lower <= 1.0 + RESOLUTION + 1e-12);
        }
    }

    #[test]
    fn small_whole_numbers_are_lower_edges() {
        for n in 1_u8..=32 {
            assert_eq!(histogram(&[n.into()]).quantile(1.0).lower, f64::from(n));
        }
    }

    #[test]
    fn zeros_come_first_and_extremes_are_kept() {
        let h = histogram(&[f32::MAX, 0.0, 1e-45, 0.0, f32::INFINITY]);
        assert_eq!(h.quantile(0.4), Bin { lower: 0.0, upper: 0.0 });
        assert!(h.quantile(0.6).upper > 0.0 && h.quantile(0.6).upper < 1e-38);
        assert!(h.quantile(0.8).lower > 1e38 && h.quantile(0.8).upper == f64::INFINITY);
        assert_eq!(h.quantile(1.0), Bin { lower: f64::INFINITY, upper: f64::INFINITY });
    }

    #[test]
    fn every_table_is_settled_once() {
        let (mut tally, mut counted) = (Tally::new(), Histogram::new());
        tally.count(&[key(1.0); 11]);
        tally.settle(&mut counted);
        tally.settle(&mut counted);
        assert_eq!(counted.bins.iter().sum::<u64>(), 11);
        assert_eq!(counted.share_below(2.0), 1.0);
    }
}
