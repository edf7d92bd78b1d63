//! Budgets by name.

use std::{fmt, str::FromStr};

use serde::Serialize;

use super::Budget;

/// A budget by name, for those who would rather not derive one. Shares are of the reference's standard
/// deviation ([`Comparison::scale`](crate::Comparison::scale)).
///
/// The names are tract's (`Exact`, `Close`, `Approximate`); the shares are this crate's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every element equal: the same kernels on the same numbers. The two zeros are equal.
    Exact,
    /// Within 1e-5: some 170 roundings of f32, what the same sums in another order or other kernels
    /// for single functions may do.
    Close,
    /// Within 1e-2: ZML's relative tolerance (`zml/testing.zig`), some five roundings of bf16 in a row.
    Approximate,
}

impl Level {
    /// Every level, the tightest first.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Close, Self::Approximate];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Close => "close",
            Self::Approximate => "approximate",
        }
    }

    /// The greatest difference that passes, as a share of the reference's standard deviation.
    pub fn relative(self) -> f64 {
        match self {
            Self::Exact => 0.0,
            Self::Close => 1e-5,
            Self::Approximate => 1e-2,
        }
    }

    /// The budget of a tensor whose reference has the standard deviation `scale`.
    pub fn budget(self, scale: f64) -> Budget {
        let why = match self {
            Self::Exact => "exact: every element equal".to_owned(),
            _ => format!("{self}: {:e} x the reference's std {scale:.3e}", self.relative()),
        };
        Budget { max_abs: self.relative() * scale, relative: None, why }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|level| level.name() == text);
        known.ok_or_else(|| format!("found the level {text:?}, expected exact, close or approximate"))
    }
}
