//! The elements that are furthest off.

use crate::lanes::Number;

/// How many of the worst elements are kept.
pub(crate) const WORST: usize = 10;

/// One element where two tensors are far apart.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// The worst elements, the worst first; of equals, the one that comes first.
#[derive(Default)]
pub(crate) struct Worst(Vec<FlatElement>);

impl Worst {
    pub(crate) fn elements(&self) -> &[FlatElement] {
        &self.0
    }

    /// What an element must exceed to be among them.
    pub(crate) fn threshold(&self) -> f64 {
        if self.0.len() < WORST { 0.0 } else { self.0.last().map_or(0.0, FlatElement::difference) }
    }

    /// Takes in a block that begins at index `start`.
    pub(crate) fn add<T: Number>(&mut self, start: usize, ours: &[T], reference: &[T]) {
        let mut threshold = self.threshold();
        for (i, (a, b)) in ours.iter().zip(reference).enumerate() {
            let (ours, reference) = (a.wide(), b.wide());
            if (ours - reference).abs() > threshold {
                self.keep(FlatElement { index: start + i, ours, reference });
                threshold = self.threshold();
            }
        }
    }

    /// Takes in elements that come after these.
    pub(crate) fn merge(&mut self, next: &Self) {
        next.0.iter().for_each(|element| self.keep(*element));
    }

    fn keep(&mut self, element: FlatElement) {
        let difference = element.difference();
        let place = self.0.partition_point(|kept| kept.difference() >= difference);
        self.0.insert(place, element);
        self.0.truncate(WORST);
    }
}
