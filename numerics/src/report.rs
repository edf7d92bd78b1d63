//! The verdict on one model.

use serde::{Deserialize, Serialize};

use crate::{
    Attribution, Budget, Comparison, Drift, Floor, LogitsComparison, Loosened, TokenComparison, bisect::Bisection,
};

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
    /// The share of the pairs of finite values that are off by no more than the budget's `max_abs`; see
    /// [`Comparison::share_within`] for its resolution.
    pub within: f64,
    /// How far the reference is from itself, where that was recorded or measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// What the budget was before it was loosened by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loosened: Option<Loosened>,
    /// Why a budget written by hand was not followed. A report takes it as a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Measured {
    /// Judges a comparison by its budget.
    pub fn new(comparison: Comparison, budget: Budget, logits: Option<LogitsComparison>) -> Self {
        let pass = budget.allows(&comparison);
        let within = comparison.share_within(budget.max_abs);
        Self { comparison, budget, pass, logits, within, floor: None, loosened: None, refused: None }
    }

    /// The same with a noise floor.
    #[must_use]
    pub fn with_floor(self, floor: Option<Floor>) -> Self {
        Self { floor, ..self }
    }

    /// The same held to another budget.
    #[must_use]
    pub fn held_to(self, budget: Budget) -> Self {
        let Self { comparison, logits, floor, loosened, refused, .. } = self;
        Self { floor, loosened, refused, ..Self::new(comparison, budget, logits) }
    }

    /// How many noise floors the greatest difference is.
    pub fn floors(&self) -> Option<f64> {
        self.floor.as_ref().map(|floor| self.comparison.max_abs / floor.value)
    }

    /// The share of the budget that is taken: see [`Budget::share`].
    pub fn budget_share(&self) -> f64 {
        self.budget.share(&self.comparison)
    }

    /// The share of the budget, or infinity where NaNs or infinities fail it whatever the share.
    fn severity(&self) -> f64 {
        if self.comparison.comparable() { self.budget_share() } else { f64::INFINITY }
    }
}

/// Whether a port is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drifts: Vec<Drift>,
}

/// The outputs that are furthest off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The output that takes the greatest share of its budget.
    pub worst: String,
    /// That share: 1 is all of it.
    pub budget_share: f64,
    /// The most noise floors that an output is away from its reference, over outputs with a floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floors: Option<f64>,
    /// The output that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floors_of: Option<String>,
    /// How many budgets were loosened by hand.
    pub loosened: usize,
}

impl Summary {
    fn of(comparisons: &[Measured]) -> Option<Self> {
        let worst = comparisons.iter().max_by(|a, b| a.severity().total_cmp(&b.severity()))?;
        let floors = comparisons.iter().filter_map(|m| Some((m.floors()?, m)));
        let floors = floors.max_by(|a, b| a.0.total_cmp(&b.0));
        Some(Self {
            worst: worst.comparison.name.clone(),
            budget_share: worst.budget_share(),
            floors: floors.map(|(floors, _)| floors),
            floors_of: floors.map(|(_, measured)| measured.comparison.name.clone()),
            loosened: comparisons.iter().filter(|m| m.loosened.is_some()).count(),
        })
    }
}

impl Report {
    /// Judges: a pass is at least one comparison, all within budget, all tokens the same or tied,
    /// and no problem. A budget that was refused is a problem.
    pub fn new(subject: Subject, mut findings: Findings) -> Self {
        let refused = findings
            .comparisons
            .iter()
            .filter_map(|m| Some(Named { name: m.comparison.name.clone(), why: m.refused.clone()? }));
        let refused: Vec<Named> = refused.filter(|named| !findings.problems.contains(named)).collect();
        findings.problems.extend(refused);
        let summary = Summary::of(&findings.comparisons);
        let Findings { comparisons, tokens, problems, .. } = &findings;
        let pass = !comparisons.is_empty()
            && problems.is_empty()
            && comparisons.iter().all(|c| c.pass)
            && tokens.iter().all(|t| t.pass);
        let verdict = if pass { Verdict::Pass } else { Verdict::Fail };
        Self { verdict, summary, subject, findings, drifts: Vec::new() }
    }

    /// The same with what a ledger says of its figures; those that left their noise fail it.
    #[must_use]
    pub fn with_drifts(self, drifts: Vec<Drift>) -> Self {
        let verdict = if drifts.iter().any(Drift::fails) { Verdict::Fail } else { self.verdict };
        Self { verdict, drifts, ..self }
    }

    /// Figures that are not what earlier checks measured.
    pub fn drifts(&self) -> &[Drift] {
        &self.drifts
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The outputs that are furthest off; `None` where nothing was compared.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
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
