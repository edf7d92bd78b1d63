//! What lies in a device's HBM.

use serde::Serialize;

use crate::Target;

/// The bytes of a device, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Weights.
    pub weights: usize,
    /// The KV cache, which is updated in place.
    pub cache: usize,
    /// Arguments and results.
    pub interface: usize,
    /// Intermediate values: an upper estimate, because the compiler keeps most of them in vector memory.
    pub temporaries: usize,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> usize {
        [self.cache, self.interface, self.temporaries].into_iter().fold(self.weights, usize::saturating_add)
    }

    /// The most of each of two programs that run in turn over the same weights and cache.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            weights: self.weights.max(other.weights),
            cache: self.cache.max(other.cache),
            interface: self.interface.max(other.interface),
            temporaries: self.temporaries.max(other.temporaries),
        }
    }

    /// Whether a device of `target` holds it.
    pub fn verdict(&self, target: &Target) -> Verdict {
        let available = target.chip().usable_hbm.value as usize;
        if self.total() <= available { Verdict::Fits } else { Verdict::Lacks(self.total() - available) }
    }
}

/// Whether a program fits a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Fits,
    /// It lacks so many bytes.
    Lacks(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libtpu_keeps_for_itself_is_not_there() {
        let gib = 1_usize << 30;
        let v5e: Target = "v5e:1x1".parse().unwrap();
        let of = |weights| Memory { weights, ..Memory::default() }.verdict(&v5e);
        assert_eq!(of(63 * gib / 4), Verdict::Fits);
        assert_eq!(of(16 * gib), Verdict::Lacks(gib / 4));
        assert_eq!(of(usize::MAX), Verdict::Lacks(usize::MAX - 63 * gib / 4));
    }
}
