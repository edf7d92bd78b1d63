//! Comparisons, budgets and reference bundles.
//!
//! [`compare`] measures one tensor against its reference in one pass and returns a [`Comparison`].
//! A [`Budget`] is how far it may be, derived, with its reason. A [`Bundle`] is a recorded
//! reference: inputs, outputs, taps and greedy tokens. A [`Report`] is the verdict on one model;
//! JSON, [`junit`] and [`html`] are views of that one value.
//!
//! The crate knows no hardware and prints nothing.

mod accumulate;
mod attribution;
pub mod bisect;
mod budget;
mod bundle;
mod comparison;
mod error;
mod escape;
mod files;
mod floor;
mod histogram;
pub mod html;
pub mod junit;
mod lanes;
mod ledger;
mod logits;
mod positions;
mod report;
mod roundings;
mod sides;
mod tokens;
mod ulp;
mod view;
mod worst;

pub use attribution::{Attribution, Contribution};
pub use budget::{Budget, BudgetFile, BudgetFileError, BudgetProblem, Judge, Level, Loosened, Ruling};
pub use bundle::{Bundle, Case, Generated, MeasureError, Output};
pub use comparison::{Comparison, Element, Percentiles, compare};
pub use error::{BundleError, BundleProblem, CompareError};
pub use files::{FilesComparison, FilesError, Mismatch, MismatchKind, compare_files};
pub use floor::Floor;
pub use ledger::{Drift, DriftKind, Entry, Figures, Ledger, LedgerError, LineProblem, Stamp};
pub use logits::{Divergence, LogitsComparison, Perplexity, compare_logits, compare_next};
pub use positions::Positions;
pub use report::{Findings, Measured, Named, Report, Subject, Summary, Verdict};
pub use roundings::{Roundings, Sum, greatest};
pub use sides::Sides;
pub use tokens::{FirstDifference, Noise, Outcome, TokenComparison};
pub use ulp::Ulp;
pub use view::View;
