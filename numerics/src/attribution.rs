//! How much each rewrite brings.

use serde::Serialize;

/// What each of a target's rewrites does to the numbers on its own.
#[derive(Clone, Debug, Serialize)]
pub struct Attribution {
    /// The output that is looked at: the one that takes most of its budget as the model is checked.
    pub output: String,
    /// Without rewrites first, then one rewrite at a time, then all of them.
    pub contributions: Vec<Contribution>,
}

/// One set of rewrites.
#[derive(Clone, Debug, Serialize)]
pub struct Contribution {
    /// `none`, a rewrite's name, or `all`.
    pub rewrites: String,
    /// The greatest |port - reference| of the output.
    pub max_abs: f64,
    /// The root mean squared difference.
    pub rmse: f64,
    /// The greatest difference divided by what it is without rewrites.
    pub ratio: f64,
    /// True if every output is within its budget, and every token as recorded.
    pub pass: bool,
}
