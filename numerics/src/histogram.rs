//! Percentiles of any number of magnitudes in bounded memory.

/// Mantissa bits that tell bins apart: 32 bins an octave.
const SUB_BITS: u32 = 5;
/// What is left of an `f32` beside its exponent and those bits.
const DROPPED: u32 = 23 - SUB_BITS;
/// The range of `f32`. Greater magnitudes share the last bin; below 2^-126 bins are evenly spaced.
const BINS: usize = 256 << SUB_BITS;
/// The key of a magnitude of zero.
const ZERO: u16 = BINS as u16;
/// Room for every key, in a power of two, so that a masked key needs no check.
const TABLE: usize = 2 * BINS;
/// Tables that are counted into in turn: equal magnitudes in a row do not wait for each other.
const TABLES: usize = 4;
/// Counts of magnitudes in logarithmic bins. A bin's edges differ by at most [`RESOLUTION`] of its
/// lower edge, so a percentile read from it is off by less than that. Magnitudes are rounded to `f32` first.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    /// One count for each key, after [`fold`](Self::fold) in the first table.
    bins: Vec<u64>,
}

/// The greatest relative error of a percentile: 1/32, and the rounding to `f32`.
pub(crate) const RESOLUTION: f64 = 1.0 / (1 << SUB_BITS) as f64 + 1.0 / (1 << 23) as f64;

/// The bin of a magnitude, which must not be negative or NaN.
#[inline]
pub(crate) fn key(magnitude: f32) -> u16 {
    let bin = (magnitude.to_bits() >> DROPPED) as u16;
    if magnitude == 0.0 { ZERO } else { bin }
}

/// The ends of the bin that a percentile falls into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { bins: vec![0; TABLE * TABLES] }
    }

    /// Counts the magnitudes whose keys are given.
    pub(crate) fn add_all(&mut self, keys: &[u16]) {
        let (tables, _) = self.bins.as_chunks_mut::<TABLE>();
        let (groups, rest) = keys.as_chunks::<TABLES>();
        if let [a, b, c, d] = tables {
            for group in groups {
                let [i, j, k, l] = group.map(|key| usize::from(key) % TABLE);
                a[i] += 1;
                b[j] += 1;
                c[k] += 1;
                d[l] += 1;
            }
            for &key in rest {
                a[usize::from(key) % TABLE] += 1;
            }
        }
    }

    /// Brings all counts together, and gives back what that leaves unused.
    pub(crate) fn fold(&mut self) {
        let end = TABLE.min(self.bins.len());
        let (first, others) = self.bins.split_at_mut(end);
        for other in others.chunks(TABLE) {
            first.iter_mut().zip(other).for_each(|(count, more)| *count += more);
        }
        self.bins.truncate(BINS + 1);
        self.bins.shrink_to_fit();
    }

    /// Counts `n` magnitudes of zero.
    pub(crate) fn add_zeros(&mut self, n: u64) {
        if let Some(zeros) = self.bins.get_mut(usize::from(ZERO)) {
            *zeros += n;
        }
    }

    /// Takes back `n` magnitudes of zero that were counted.
    pub(crate) fn remove_zeros(&mut self, n: u64) {
        if let Some(zeros) = self.bins.get_mut(usize::from(ZERO)) {
            *zeros = zeros.saturating_sub(n);
        }
    }

    fn zeros(&self) -> u64 {
        self.bins.get(usize::from(ZERO)).copied().unwrap_or(0)
    }

    /// The bins above zero.
    fn above_zero(&self) -> impl Iterator<Item = (usize, u64)> {
        self.bins.iter().copied().take(BINS).enumerate()
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
    if bin + 1 == BINS { f64::INFINITY } else { lower_edge(bin + 1) }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn edges_enclose_what_is_counted() {
        for magnitude in [1e-30_f32, 1.0, 1.03, 3.0, 12345.678, 1e30] {
            let mut h = Histogram::new();
            h.add_all(&[key(magnitude)]);
            h.fold();
            let bin = h.quantile(0.5);
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
            let mut h = Histogram::new();
            h.add_all(&[key(n.into())]);
            h.fold();
            assert_eq!(h.quantile(1.0).lower, f64::from(n));
        }
    }

    #[test]
    fn zeros_come_first_and_extremes_are_kept() {
        let mut h = Histogram::new();
        for magnitude in [0.0, 0.0, 1e-45, f32::MAX] {
            h.add_all(&[key(magnitude)]);
        }
        h.fold();
        assert_eq!(h.quantile(0.5), Bin { lower: 0.0, upper: 0.0 });
        assert!(h.quantile(0.75).upper < 1e-38);
        assert!(h.quantile(1.0).lower > 1e38);
    }
}
