//! What is told while work goes on.

use porter_weights::Loaded;

/// Hears what is being done.
pub trait Observer {
    /// What a user should know.
    fn note(&self, text: &str);
    /// What a user may want to know.
    fn detail(&self, text: &str);
    /// A parameter was loaded.
    fn loaded(&self, loaded: Loaded<'_>);
    /// `done` of `total` steps of `what` are done.
    fn step(&self, what: &str, done: usize, total: usize);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn note(&self, _: &str) {}
    fn detail(&self, _: &str) {}
    fn loaded(&self, _: Loaded<'_>) {}
    fn step(&self, _: &str, _: usize, _: usize) {}
}
