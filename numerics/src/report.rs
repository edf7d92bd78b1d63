//! The verdict on one model.

use serde::Serialize;

use crate::{Attribution, Budget, Comparison, LogitsComparison, TokenComparison, bisect::Bisection};

/// A comparison with its budget.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The numbers.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// What they may be.
    pub budget: Budget,
    /// True if they are within it.
    pub pass: bool,
    /// What the difference means for the next token, where the tensor holds logits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logits: Option<LogitsComparison>,
}

impl Measured {
    /// Judges a comparison by its budget.
    pub fn new(comparison: Comparison, budget: Budget, logits: Option<LogitsComparison>) -> Self {
        let pass = budget.allows(&comparison);
        Self { comparison, budget, pass, logits }
    }

    /// The share of the budget that the greatest difference takes.
    pub fn budget_share(&self) -> f64 {
        if self.comparison.max_abs == 0.0 { 0.0 } else { self.comparison.max_abs / self.budget.max_abs }
    }
}

/// Whether a port is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant is its name")]
pub enum Verdict {
    Pass,
    Fail,
}

/// What was checked, against what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The model, as it was named.
    pub model: String,
    /// The element type that it ran in.
    pub dtype: String,
    /// The bundle.
    pub reference: String,
    /// The plugin that ran it.
    pub plugin: String,
}

/// What the check found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// Every output that was compared.
    pub comparisons: Vec<Measured>,
    /// Every greedy continuation that was compared.
    pub tokens: Vec<TokenComparison>,
    /// What should have been compared and could not be: each fails the check.
    pub problems: Vec<Named>,
    /// What the bundle holds and the port does not return: listed, not judged.
    pub skipped: Vec<Named>,
    /// Where modules at fault were searched: one answer a program.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bisections: Vec<Bisection>,
    /// What each rewrite brings, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
}

/// A remark on one tensor of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The tensor.
    pub name: String,
    /// The remark.
    pub why: String,
}

/// The verdict on one model, with everything it rests on. As JSON it is what `porter check --json`
/// prints; numbers that are not finite are `null` there.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    verdict: Verdict,
    #[serde(flatten)]
    subject: Subject,
    #[serde(flatten)]
    findings: Findings,
}

impl Report {
    /// Judges: a pass is at least one comparison, all within budget, all tokens the same or tied,
    /// and no problem.
    pub fn new(subject: Subject, findings: Findings) -> Self {
        let Findings { comparisons, tokens, problems, .. } = &findings;
        let pass = !comparisons.is_empty()
            && problems.is_empty()
            && comparisons.iter().all(|c| c.pass)
            && tokens.iter().all(|t| t.pass);
        Self { verdict: if pass { Verdict::Pass } else { Verdict::Fail }, subject, findings }
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What was checked.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What was found.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}
