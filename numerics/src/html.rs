//! A report as one self-contained HTML page: no script, nothing fetched.

use crate::{Comparison, Measured, Named, Report, TokenComparison, Verdict, escape::escape};

const STYLE: &str = include_str!("html/style.css");

/// The report as an HTML document.
pub fn render(report: &Report) -> String {
    let subject = report.subject();
    let title = escape(&format!("{}: parity", subject.model));
    let (class, word) = match report.verdict() {
        Verdict::Pass => ("pass", "PASS"),
        Verdict::Fail => ("fail", "FAIL"),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1><span class=\"{class}\">{word}</span> {}</h1>\n",
        escape(&subject.model)
    );
    page += &format!(
        "<p>{} on {} against {}</p>\n",
        escape(&subject.dtype),
        escape(&subject.plugin),
        escape(&subject.reference)
    );
    page += &remarks("Problems", &report.findings().problems);
    page += &comparisons(&report.findings().comparisons);
    page += &tokens(&report.findings().tokens);
    page += &remarks("Recorded, but not returned by the port", &report.findings().skipped);
    page + "</body>\n</html>\n"
}

fn comparisons(all: &[Measured]) -> String {
    if all.is_empty() {
        return "<p>Nothing was compared.</p>\n".to_owned();
    }
    let rows: String = all.iter().map(comparison).collect();
    format!(
        "<h2>Outputs</h2>\n<table>\n<thead><tr><th>Tensor<th>Shape<th>Share of budget<th>Max<th>p99.9<th>RMSE\
         <th>Cosine<th>ULP max<th>Budget</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )
}

fn comparison(measured: &Measured) -> String {
    let Measured { comparison: c, budget, pass, .. } = measured;
    let class = if *pass { "pass" } else { "fail" };
    format!(
        "<tr class=\"{class}\"><td>{}{}<td>{:?}<td>{}<td>{:.2e}<td>{:.2e}<td>{:.2e}<td>{:.9}<td>{}\
         <td><details><summary>{:.2e}</summary>{}</details></tr>\n",
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
        "<div class=\"bar\" title=\"{share:.3e} of the budget\"><span style=\"width:{width:.1}%\"></span></div>{share:.1e}"
    )
}

fn details(measured: &Measured) -> String {
    let c = &measured.comparison;
    let mut text = String::new();
    if let Some(l) = &measured.logits {
        text += &format!(
            "<p>KL {:.2e} (max {:.2e}), reverse {:.2e}; top-1 {:.4}, top-5 {:.4}, top-10 {:.4}; \
             {} of {} likeliest tokens flip, {} of them ties</p>",
            l.kl.mean, l.kl.max, l.reverse_kl.mean, l.top1, l.top5, l.top10, l.flips, l.positions, l.ties
        );
    }
    text += &not_finite(c);
    if !c.worst.is_empty() {
        let rows: String = c
            .worst
            .iter()
            .map(|e| {
                format!(
                    "<tr><td>{:?}<td>{}<td>{}<td>{:.2e}</tr>",
                    e.index,
                    e.ours,
                    e.reference,
                    (e.ours - e.reference).abs()
                )
            })
            .collect();
        text += &format!(
            "<table><thead><tr><th>Index<th>Port<th>Reference<th>Apart</tr></thead><tbody>{rows}</tbody></table>"
        );
    }
    if text.is_empty() { text } else { format!("<details><summary>more</summary>{text}</details>") }
}

fn not_finite(c: &Comparison) -> String {
    [("NaN", c.nan), ("infinite", c.inf)]
        .into_iter()
        .filter(|(_, sides)| *sides != crate::Sides::default())
        .map(|(what, s)| {
            format!(
                "<p>{what}: {} in the port only, {} in the reference only, {} in both</p>",
                s.ours_only, s.reference_only, s.both
            )
        })
        .collect()
}

fn tokens(all: &[TokenComparison]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let rows: String = all.iter().map(token_row).collect();
    format!(
        "<h2>Greedy tokens</h2>\n<table>\n<thead><tr><th>Tensor<th>Agree<th>Outcome<th>Recorded<th>Found</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n"
    )
}

fn token_row(tokens: &TokenComparison) -> String {
    let class = if tokens.pass { "pass" } else { "fail" };
    format!(
        "<tr class=\"{class}\"><td>{}<td>{} of {}<td>{:?}<td>{}<td>{}</tr>\n",
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
    let items: String = all
        .iter()
        .map(|named| format!("<li><b>{}</b>: {}</li>\n", escape(&named.name), escape(&named.why)))
        .collect();
    format!("<h2>{title}</h2>\n<ul>\n{items}</ul>\n")
}
