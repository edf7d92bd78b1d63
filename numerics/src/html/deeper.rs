//! Which module is at fault, and which rewrite brought it.

use super::{page::lines, tables::table};
use crate::{
    Attribution, Contribution,
    bisect::{Bisection, Suspect, Truth},
    escape::escape,
};

pub(super) fn bisections(all: &[Bisection]) -> String {
    all.iter().map(bisection).collect()
}

fn bisection(found: &Bisection) -> String {
    let Bisection { program, suspects, cuts, runs, comparisons } = found;
    let work = format!("{cuts} cuts, {runs} runs of a part, {comparisons} comparisons");
    let body = if suspects.is_empty() {
        "<p>No module is over its budget by itself: what fails needs the whole program.</p>\n".to_owned()
    } else {
        suspects.iter().map(suspect).collect()
    };
    format!("<p>{} ({work})</p>\n{body}", escape(program))
}

fn suspect(found: &Suspect) -> String {
    let c = &found.measured.comparison;
    let op = found.op.as_ref().map_or_else(String::new, |op| format!(" <code>{}</code>", escape(op)));
    let truth = match found.truth {
        Truth::Recorded => "recorded",
        Truth::Computed => "computed by the built-in executor",
    };
    let worst = c.worst.first().map_or_else(String::new, |e| {
        format!("; worst at {:?}: found {}, expected {}", e.index, e.ours, e.reference)
    });
    let contributors = lines(
        found.contributors.iter().map(|(path, share)| format!("{path} takes {:.1}% of its own budget", 100.0 * share)),
    );
    format!(
        "<article>\n<h3><span class=\"fail\">{}</span>{op}</h3>\n<p>{}</p>\n\
         <p>Off by {:.2e}, budget {:.2e} = {}; the reference was {truth}{worst}.</p>\n{contributors}{}</article>\n",
        escape(&found.path),
        escape(&found.explanation()),
        c.max_abs,
        found.measured.budget.max_abs,
        escape(&found.measured.budget.why),
        differences(&found.differs),
    )
}

/// Ops of the reference and of the port that are not the same.
fn differences(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let line = |line: &String| {
        let tag = if line.starts_with('-') { "del" } else { "ins" };
        format!("<{tag}>{}</{tag}>\n", escape(line))
    };
    let listing: String = lines.iter().map(line).collect();
    format!("<details open><summary>Ops that differ</summary>\n<pre>{listing}</pre></details>\n")
}

pub(super) fn attribution(found: &Attribution) -> String {
    let row = |c: &Contribution| {
        format!(
            "<tr class=\"{}\"><td>{}<td>{:.2e}<td>{:.2e}<td>{:.2}\u{d7}</tr>",
            if c.pass { "pass" } else { "fail" },
            escape(&c.rewrites),
            c.max_abs,
            c.rmse,
            c.ratio
        )
    };
    let heading = "<th>Rewrites<th>Max<th>RMSE<th>Against none";
    format!("<p>{}</p>\n{}", escape(&found.output), table(heading, found.contributions.iter().map(row)))
}
