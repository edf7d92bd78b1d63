//! How much each rewrite brings.

use porter_numerics::{Attribution, Bundle, Contribution, Findings};

use super::Checker;
use crate::{Chosen, PipelineError, Variant};

impl Checker<'_> {
    /// Checks whole sequences without the target's rewrites and with each alone; the cached path is left
    /// out, as some plugins take minutes for it without its rewrites. `all` is what was found with all
    /// of them.
    pub fn attribute(&self, bundle: &Bundle, all: &Findings) -> Result<Attribution, PipelineError> {
        let outputs: Vec<&str> =
            bundle.cases().flat_map(|case| case.outputs()).map(|output| output.tensor.as_str()).collect();
        let of_sequences = all.comparisons.iter().filter(|m| outputs.contains(&m.comparison.name.as_str()));
        let output = of_sequences
            .max_by(|a, b| a.budget_share().total_cmp(&b.budget_share()))
            .map(|measured| measured.comparison.name.clone())
            .unwrap_or_default();
        let rewrites = self.engine.target.rewrites().iter().map(|rewrite| rewrite.name());
        let chosen: Vec<(&str, Chosen<'_>)> = std::iter::once(("none", Chosen::None))
            .chain(rewrites.map(|name| (name, Chosen::Only(name))))
            .collect();
        let mut contributions: Vec<Contribution> = Vec::with_capacity(chosen.len() + 1);
        for (i, (name, rewrites)) in chosen.iter().enumerate() {
            let variant = Variant { rewrites: *rewrites, ..self.variant };
            let findings = Self { variant, ..*self }.check_sequences(bundle)?;
            contributions.extend(contribution(name, &output, &findings, contributions.first()));
            self.observer.step("rewrites", i + 1, chosen.len());
        }
        contributions.extend(contribution("all", &output, all, contributions.first()));
        Ok(Attribution { output, contributions })
    }
}

fn contribution(
    rewrites: &str,
    output: &str,
    findings: &Findings,
    none: Option<&Contribution>,
) -> Option<Contribution> {
    let measured = findings.comparisons.iter().find(|m| m.comparison.name == output)?;
    let max_abs = measured.comparison.max_abs;
    let base = none.map_or(max_abs, |none| none.max_abs);
    let ratio = if base > 0.0 { max_abs / base } else { 1.0 };
    let pass = findings.comparisons.iter().all(|m| m.pass) && findings.tokens.iter().all(|t| t.pass);
    Some(Contribution {
        rewrites: rewrites.to_owned(),
        max_abs,
        rmse: measured.comparison.rmse,
        ratio,
        pass,
    })
}
