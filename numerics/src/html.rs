//! A report as one self-contained HTML page: no script, nothing fetched.

use crate::{Comparison, Element, Measured, Named, Report, Sides, TokenComparison, Verdict, escape::escape};

const STYLE: &str = include_str!("html/style.css");

/// The report as an HTML document.
pub fn render(report: &Report) -> String {
    let findings = report.findings();
    let parts = [
        head(report),
        remarks("Problems", &findings.problems),
        comparisons(&findings.comparisons),
        tokens(&findings.tokens),
        remarks("Recorded, but not returned by the port", &findings.skipped),
        "</body>\n</html>\n".to_owned(),
    ];
    parts.concat()
}

fn head(report: &Report) -> String {
    let subject = report.subject();
    let [model, dtype, plugin, reference] =
        [&subject.model, &subject.dtype, &subject.plugin, &subject.reference].map(|text| escape(text));
    let (class, word) = match report.verdict() {
        Verdict::Pass => ("pass", "PASS"),
        Verdict::Fail => ("fail", "FAIL"),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{model}: parity</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1><span class=\"{class}\">{word}</span> {model}</h1>\n\
         <p>{dtype} on {plugin} against {reference}</p>\n"
    )
}

fn comparisons(all: &[Measured]) -> String {
    if all.is_empty() {
        return "<p>Nothing was compared.</p>\n".to_owned();
    }
    let heading = "<th>Tensor<th>Shape<th>Share of budget (log scale)<th>Max<th>p99.9<th>RMSE<th>Cosine<th>ULP max<th>Budget";
    format!("<h2>Outputs</h2>\n{}", table(heading, all.iter().map(comparison)))
}

fn comparison(measured: &Measured) -> String {
    let Measured { comparison: c, budget, pass, .. } = measured;
    let class = if *pass { "pass" } else { "fail" };
    format!(
        "<tr class=\"{class}\"><td>{}{}<td>{:?}<td>{}<td>{:.2e}<td>{:.2e}<td>{:.2e}<td>{:.9}<td>{}\
         <td><details><summary>{:.2e}</summary>{}</details></tr>",
        escape(&c.name),
        details(measured),
        c.shape,
        bar(measured.budget_share()),
        c.max_abs,
        c.percentiles.p999,
        c.rmse,
        c.cosine,
        c.ulp.max,
        budget.max_abs,
        escape(&budget.why),
    )
}

/// A bar on a logarithmic scale from a millionth of the budget, at the left, to the budget.
fn bar(share: f64) -> String {
    let width = if share > 0.0 { ((share.log10() + 6.0) / 6.0).clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    format!(
        "<div class=\"bar\" title=\"{share:.3e} of the budget\"><span style=\"width:{width:.1}%\"></span></div>{:.2}%",
        100.0 * share
    )
}

fn details(measured: &Measured) -> String {
    let c = &measured.comparison;
    let text =
        [next_tokens(measured), not_finite("NaN", c.nan), not_finite("infinite", c.inf), worst(c)].concat();
    if text.is_empty() { text } else { format!("<details><summary>more</summary>{text}</details>") }
}

fn next_tokens(measured: &Measured) -> String {
    let Some(l) = &measured.logits else { return String::new() };
    format!(
        "<p>KL {:.2e} (max {:.2e}), reverse {:.2e}; top-1 {:.4}, top-5 {:.4}, top-10 {:.4}; \
         {} of {} likeliest tokens flip, {} of them ties</p>",
        l.kl.mean, l.kl.max, l.reverse_kl.mean, l.top1, l.top5, l.top10, l.flips, l.positions, l.ties
    )
}

fn not_finite(what: &str, sides: Sides) -> String {
    if sides == Sides::default() {
        return String::new();
    }
    let Sides { ours_only, reference_only, both } = sides;
    format!(
        "<p>{what}: {ours_only} in the port only, {reference_only} in the reference only, {both} in both</p>"
    )
}

fn worst(c: &Comparison) -> String {
    if c.worst.is_empty() {
        return String::new();
    }
    let row = |e: &Element| {
        let apart = (e.ours - e.reference).abs();
        format!("<tr><td>{:?}<td>{}<td>{}<td>{apart:.2e}</tr>", e.index, e.ours, e.reference)
    };
    table("<th>Index<th>Port<th>Reference<th>Apart", c.worst.iter().map(row))
}

fn table(heading: &str, rows: impl Iterator<Item = String>) -> String {
    let rows = rows.collect::<Vec<_>>().join("\n");
    format!("<table>\n<thead><tr>{heading}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n")
}

fn tokens(all: &[TokenComparison]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let heading = "<th>Tensor<th>Agree<th>Outcome<th>Recorded<th>Found";
    format!("<h2>Greedy tokens</h2>\n{}", table(heading, all.iter().map(token_row)))
}

fn token_row(tokens: &TokenComparison) -> String {
    let class = if tokens.pass { "pass" } else { "fail" };
    format!(
        "<tr class=\"{class}\"><td>{}<td>{} of {}<td>{:?}<td>{}<td>{}</tr>",
        escape(&tokens.name),
        tokens.agreed(),
        tokens.expected.len(),
        tokens.outcome,
        ids(&tokens.expected, tokens),
        ids(&tokens.found, tokens),
    )
}

/// Token ids with the first that differs marked.
fn ids(tokens: &[i64], comparison: &TokenComparison) -> String {
    let marked = comparison.first_difference.map(|first| first.index);
    let spell = |(i, id): (usize, &i64)| {
        if Some(i) == marked { format!("<mark>{id}</mark>") } else { id.to_string() }
    };
    tokens.iter().enumerate().map(spell).collect::<Vec<_>>().join(" ")
}

fn remarks(title: &str, all: &[Named]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let item = |named: &Named| format!("<li><b>{}</b>: {}</li>", escape(&named.name), escape(&named.why));
    format!("<h2>{title}</h2>\n<ul>\n{}\n</ul>\n", all.iter().map(item).collect::<Vec<_>>().join("\n"))
}
