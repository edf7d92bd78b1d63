//! Single roundings, and sets of them.

use std::{iter, rc::Rc};

use porter_ir::DType;

use super::{Sum, unit_roundoff};

/// One value that is rounded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) dtype: DType,
    /// The op that rounds, without its dialect; `weight` for a parameter in a narrow type.
    pub(super) kind: &'static str,
    /// How often: more than once inside a loop.
    pub(super) times: u64,
    /// The sum that the rounding ends.
    pub(super) sum: Option<Sum>,
    pub(super) note: Option<String>,
}

impl Event {
    /// The variance of its relative error, times three: `u²` each time, and for each term of a sum.
    pub(super) fn variance(&self) -> f64 {
        let inside = self.sum.map_or(0.0, |sum| sum.terms as f64 * unit_roundoff(sum.accumulate).powi(2));
        self.times as f64 * (unit_roundoff(self.dtype).powi(2) + inside)
    }
}

/// The roundings that reached a value: a set of indices into the walk's events. Sets are shared until
/// they change.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached {
    bits: Rc<Vec<u64>>,
    /// The sum of its events' variances.
    pub(super) variance: f64,
}

impl Reached {
    pub(super) fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        self.bits == other.bits
    }

    pub(super) fn with(mut self, index: usize, event: &Event) -> Self {
        let bits = Rc::make_mut(&mut self.bits);
        if bits.len() <= index / 64 {
            bits.resize(index / 64 + 1, 0);
        }
        if let Some(word) = bits.get_mut(index / 64)
            && *word >> (index % 64) & 1 == 0
        {
            *word |= 1 << (index % 64);
            self.variance += event.variance();
        }
        self
    }

    /// The indices of its events.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> {
        let set = |(at, &word): (usize, &u64)| {
            let left = iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
            left.take_while(|&word| word != 0).map(move |word| at * 64 + word.trailing_zeros() as usize)
        };
        self.bits.iter().enumerate().flat_map(set)
    }

    /// Every event of either.
    pub(super) fn union(self, other: &Self, events: &[Event]) -> Self {
        if other.is_empty() || Rc::ptr_eq(&self.bits, &other.bits) {
            return self;
        }
        if self.is_empty() {
            return other.clone();
        }
        let length = self.bits.len().max(other.bits.len());
        let word = |set: &Self, at: usize| set.bits.get(at).copied().unwrap_or(0);
        let bits: Vec<u64> = (0..length).map(|at| word(&self, at) | word(other, at)).collect();
        let mut all = Self { bits: Rc::new(bits), variance: 0.0 };
        all.variance = all.indices().filter_map(|i| events.get(i)).map(Event::variance).sum();
        all
    }

    /// The one whose events weigh more; of equals, the first.
    pub(super) fn greater(self, other: &Self) -> Self {
        if other.variance > self.variance { other.clone() } else { self }
    }
}
