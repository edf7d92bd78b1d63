//! A report as one self-contained HTML page, light and dark: no script, nothing fetched.

mod page;
mod plot;
mod search;
mod tables;

use crate::{Findings, Report};
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
        Section::new("Loosened budgets", tables::loosened(comparisons)),
        Section::new("Modules at fault", search::bisections(bisections)),
        Section::new("Error by layer", plot::by_layer(comparisons)),
        Section::new("Outputs", tables::comparisons(comparisons)),
        Section::new("Greedy tokens", tables::tokens(tokens)),
        Section::new("What each rewrite brings", search::attribution(attribution.as_ref())),
        Section::new("Recorded, but not returned by the port", remarks(skipped)),
    ]
}
