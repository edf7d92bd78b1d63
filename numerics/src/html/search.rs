//! What searches found: modules at fault, and what each rewrite brings.

use super::{page::share, tables::table};
use crate::{
    Attribution, Contribution,
    bisect::{Bisection, Suspect},
    escape::escape,
};

/// The modules at fault, one answer a program.
pub(super) fn bisections(all: &[Bisection]) -> String {
    all.iter().map(bisection).collect()
}

fn bisection(found: &Bisection) -> String {
    let Bisection { program, suspects, cuts, runs, comparisons } = found;
    let cost = format!("{cuts} parts, {runs} runs, {comparisons} comparisons");
    let program = escape(program);
    if suspects.is_empty() {
        return format!("<p><b>{program}</b>: every part is within its budget ({cost}).</p>\n");
    }
    let rows = table("<th>Module<th>Op<th>Max<th>Budget<th>Worst at<th>Why", suspects.iter().map(suspect));
    format!("<p><b>{program}</b> ({cost})</p>\n{rows}")
}

fn suspect(suspect: &Suspect) -> String {
    let comparison = &suspect.measured.comparison;
    let worst = comparison.worst.first().map_or_else(String::new, |element| {
        format!("{:?}: {} for {}", element.index, element.ours, element.reference)
    });
    format!(
        "<tr class=\"fail\"><td>{}<td>{}<td>{:.2e}<td>{:.2e}<td>{worst}<td>{}{}{}</tr>",
        escape(&suspect.path),
        escape(suspect.op.as_deref().unwrap_or("—")),
        comparison.max_abs,
        suspect.measured.budget.max_abs,
        escape(&suspect.explanation()),
        contributors(&suspect.contributors),
        differs(&suspect.differs),
    )
}

fn contributors(all: &[(String, f64)]) -> String {
    let item = |(path, part): &(String, f64)| {
        format!("<li>{}: {} of its own budget</li>", escape(path), share(*part))
    };
    if all.is_empty() {
        return String::new();
    }
    format!("<ul>{}</ul>", all.iter().map(item).collect::<String>())
}

fn differs(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("<details><summary>other ops</summary><pre>{}</pre></details>", escape(&lines.join("\n")))
}

/// What each rewrite does to one output.
pub(super) fn attribution(found: Option<&Attribution>) -> String {
    let Some(Attribution { output, contributions }) = found else { return String::new() };
    let row = |c: &Contribution| {
        let class = if c.pass { "pass" } else { "fail" };
        let rewrites = escape(&c.rewrites);
        format!(
            "<tr class=\"{class}\"><td>{rewrites}<td>{:.2e}<td>{:.2e}<td>{:.2}</tr>",
            c.max_abs, c.rmse, c.ratio
        )
    };
    let rows = table("<th>Rewrites<th>Max<th>RMSE<th>Times none", contributions.iter().map(row));
    format!("<p>Of <b>{}</b>, with one rewrite at a time:</p>\n{rows}", escape(output))
}
