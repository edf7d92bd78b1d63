//! How far a reference is from itself.

use serde::Serialize;

/// A noise floor: the greatest difference between two recordings of one tensor by the reference
/// itself, and what told them apart. A port that is no further away is as right as can be told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// The greatest |one - other|, above zero.
    pub value: f64,
    /// What told the recordings apart: `f64 twin`, `padded against unpadded`, ...
    pub how: String,
}

impl Floor {
    /// The reference in single against double precision.
    pub const TWIN: &'static str = "f64 twin";
    /// A row beside a padded row against the same row beside an unpadded one.
    pub const PADDED: &'static str = "padded against unpadded";
    /// The built-in executor in single against double precision.
    pub const EXECUTOR: &'static str = "built-in executor f32 against f64";

    /// The built-in executor in a narrow type against double precision.
    pub const EXECUTOR_NARROW: &'static str = "built-in executor in the narrow type against f64";

    /// A floor; `None` for no difference at all or one that is no number, which is no scale to
    /// measure by.
    pub fn new(value: f64, how: impl Into<String>) -> Option<Self> {
        (value > 0.0 && value.is_finite()).then(|| Self { value, how: how.into() })
    }

    /// The higher of two floors.
    #[must_use]
    pub fn higher(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.value > one.value { other } else { one }),
            (one, other) => one.or(other),
        }
    }
}
