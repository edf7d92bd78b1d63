//! Which budget an output is held to.

use serde::Serialize;

use super::{Budget, BudgetFile, Level};
use crate::{Comparison, Measured, Roundings};

/// Everything that decides an output's budget but its own numbers. The default derives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judge<'a> {
    /// The roundings of a port in a type narrower than the reference's.
    pub roundings: Option<&'a Roundings>,
    /// A level for every output in place of what is derived.
    pub level: Option<Level>,
    /// A team's budgets, which come before the level.
    pub file: Option<&'a BudgetFile>,
}

/// A budget that is not the derived one.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    /// What the output is held to.
    pub budget: Budget,
    /// Where it lets more pass than the derived one.
    pub loosened: Option<Loosened>,
    /// Why it was not followed: it loosens without a written reason. [`budget`](Self::budget) is the
    /// derived one then.
    pub refused: Option<String>,
}

/// A budget that was loosened by hand. Every report shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Loosened {
    /// The derived budget: the greatest |ours - reference|.
    pub derived: f64,
    /// What is allowed in its place.
    pub allowed: f64,
    /// Who says so: the budget file, or a level asked for.
    pub by: String,
    /// The written reason.
    pub reason: String,
}

impl<'a> Judge<'a> {
    /// Derives every budget; for a port in a narrower type than the reference's, from `roundings`.
    pub fn derived(roundings: Option<&'a Roundings>) -> Self {
        Self { roundings, ..Self::default() }
    }

    /// The budget of the output `name`, for which `derived` was derived.
    pub fn rule(&self, name: &str, derived: Budget, comparison: &Comparison) -> Ruling {
        if let Some((file, entry)) = self.file.and_then(|file| Some((file, file.entry(name)?))) {
            let by = format!("{}, {:?}", file.path().display(), entry.output());
            return decide(derived, entry.budget(comparison.scale), by, entry.why());
        }
        match self.level {
            // A level that was asked for is a choice of its own; the report shows where it loosens.
            Some(level) => {
                let by = format!("level {level}");
                let reason = format!("{level} was asked for");
                decide(derived, level.budget(comparison.scale), by, &reason)
            }
            None => Ruling { budget: derived, loosened: None, refused: None },
        }
    }

    /// A comparison of the output `name`, judged.
    pub fn measured(&self, name: &str, derived: Budget, comparison: Comparison) -> Measured {
        let Ruling { budget, loosened, refused } = self.rule(name, derived, &comparison);
        Measured { loosened, refused, ..Measured::new(comparison, budget, None) }
    }
}

fn decide(derived: Budget, asked: Budget, by: String, reason: &str) -> Ruling {
    if asked.max_abs <= derived.max_abs {
        return Ruling { budget: asked, loosened: None, refused: None };
    }
    if reason.trim().is_empty() {
        let refused = format!(
            "{by} allows {:.2e}, more than the derived {:.2e} ({}), and gives no reason: write one as \"why\"",
            asked.max_abs, derived.max_abs, derived.why
        );
        return Ruling { budget: derived, loosened: None, refused: Some(refused) };
    }
    let (derived, allowed) = (derived.max_abs, asked.max_abs);
    let loosened = Loosened { derived, allowed, by, reason: reason.trim().to_owned() };
    Ruling { budget: asked, loosened: Some(loosened), refused: None }
}
