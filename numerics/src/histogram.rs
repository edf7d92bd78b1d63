//! Percentiles of any number of magnitudes in bounded memory.

/// Mantissa bits that tell bins apart: 32 bins an octave.
const SUB_BITS: u32 = 5;
/// The smallest magnitude with a bin of its own, 2^-127; smaller ones share the first bin.
const LOWEST_EXPONENT: u64 = 1023 - 127;
/// Octaves covered: `f32`'s range. Greater magnitudes share the last bin.
const OCTAVES: u64 = 256;
const BINS: usize = (OCTAVES << SUB_BITS) as usize;

/// Counts of magnitudes in logarithmic bins. A bin's edges differ by at most [`RESOLUTION`] of its
/// lower edge, so a percentile read from it is off by less than that.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    zeros: u64,
    bins: Vec<u64>,
}

/// The greatest relative error of a percentile: 1/32.
pub(crate) const RESOLUTION: f64 = 1.0 / (1 << SUB_BITS) as f64;

/// The ends of the bin that a percentile falls into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { zeros: 0, bins: vec![0; BINS] }
    }

    /// Counts one magnitude, which must not be negative or NaN.
    pub(crate) fn add(&mut self, magnitude: f64) {
        if magnitude == 0.0 {
            self.zeros += 1;
        } else if let Some(count) = self.bins.get_mut(bin_of(magnitude)) {
            *count += 1;
        }
    }

    /// Takes in another histogram's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        self.bins.iter_mut().zip(&other.bins).for_each(|(ours, theirs)| *ours += theirs);
    }

    /// The share of the magnitudes whose whole bin is below `limit` or ends there; zero of nothing.
    pub(crate) fn share_below(&self, limit: f64) -> f64 {
        let count = self.zeros + self.bins.iter().sum::<u64>();
        if limit < 0.0 || count == 0 {
            return 0.0;
        }
        let whole = self.bins.iter().enumerate().take_while(|(bin, _)| lower_edge(bin + 1) <= limit);
        (self.zeros + whole.map(|(_, n)| n).sum::<u64>()) as f64 / count as f64
    }

    /// The bin of the `ceil(share * count)`-th smallest magnitude (numpy's `inverted_cdf`).
    pub(crate) fn quantile(&self, share: f64) -> Bin {
        let count = self.zeros + self.bins.iter().sum::<u64>();
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = self.zeros;
        if seen >= rank {
            return Bin { lower: 0.0, upper: 0.0 };
        }
        for (bin, &n) in self.bins.iter().enumerate() {
            seen += n;
            if seen >= rank {
                return Bin { lower: lower_edge(bin), upper: lower_edge(bin + 1) };
            }
        }
        Bin { lower: 0.0, upper: 0.0 }
    }
}

fn bin_of(magnitude: f64) -> usize {
    let key = magnitude.to_bits() >> (52 - SUB_BITS);
    let first = LOWEST_EXPONENT << SUB_BITS;
    (key.saturating_sub(first) as usize).min(BINS - 1)
}

fn lower_edge(bin: usize) -> f64 {
    f64::from_bits(((LOWEST_EXPONENT << SUB_BITS) + bin as u64) << (52 - SUB_BITS))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn edges_enclose_what_is_counted() {
        for magnitude in [1e-30, 1.0, 1.03, 3.0, 12345.678, 1e30] {
            let mut h = Histogram::new();
            h.add(magnitude);
            let bin = h.quantile(0.5);
            assert!(bin.lower <= magnitude && magnitude < bin.upper, "{magnitude} in {bin:?}");
            assert!(bin.upper / bin.lower <= 1.0 + RESOLUTION + 1e-12);
        }
    }

    #[test]
    fn small_whole_numbers_are_lower_edges() {
        for n in 1..=32 {
            let mut h = Histogram::new();
            h.add(f64::from(n));
            assert_eq!(h.quantile(1.0).lower, f64::from(n));
        }
    }

    #[test]
    fn zeros_come_first_and_extremes_are_kept() {
        let mut h = Histogram::new();
        for magnitude in [0.0, 0.0, 5e-324, f64::MAX] {
            h.add(magnitude);
        }
        assert_eq!(h.quantile(0.5), Bin { lower: 0.0, upper: 0.0 });
        assert_eq!(h.quantile(0.75).lower, 2.0_f64.powi(-127));
        assert!(h.quantile(1.0).lower > 1e38);
    }
}
