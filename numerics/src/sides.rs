//! Values that are no finite numbers, by side.

use serde::Serialize;

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

    pub(crate) fn add(&mut self, ours: bool, reference: bool) {
        match (ours, reference) {
            (true, true) => self.both += 1,
            (true, false) => self.ours_only += 1,
            (false, true) => self.reference_only += 1,
            (false, false) => {}
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.ours_only += other.ours_only;
        self.reference_only += other.reference_only;
        self.both += other.both;
    }
}
