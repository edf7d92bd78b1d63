//! A report as one self-contained HTML page, light and dark: no script, nothing fetched.

mod deeper;
mod page;
mod plot;
mod tables;

use crate::{Drift, Findings, Report};
use page::{Section, head, page, remarks};

/// The report as an HTML document.
pub fn render(report: &Report) -> String {
    page(&head(report), &sections(report))
}

/// Everything below the heading, in order. A section without a body is left out.
fn sections(report: &Report) -> Vec<Section> {
    let Findings { comparisons, tokens, problems, skipped, bisections, attribution } = report.findings();
    vec![
        Section::new("Problems", remarks(problems)),
        Section::new("Against the ledger", page::lines(report.drifts().iter().map(Drift::describe))),
        Section::new("Loosened budgets", tables::loosened(comparisons)),
        Section::new("Modules at fault", deeper::bisections(bisections)),
        Section::new("Error by layer", plot::by_layer(comparisons)),
        Section::new("Outputs", tables::comparisons(comparisons)),
        Section::new("Greedy tokens", tables::tokens(tokens)),
        Section::new("What each rewrite brings", attribution.as_ref().map_or_else(String::new, deeper::attribution)),
        Section::new("Recorded, but not returned by the port", remarks(skipped)),
    ]
}
