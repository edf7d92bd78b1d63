//! The tables of a page.

use super::page::share;
use crate::{Comparison, Element, Measured, Percentiles, Sides, TokenComparison, escape::escape};

pub(super) fn comparisons(all: &[Measured]) -> String {
    if all.is_empty() {
        return "<p>Nothing was compared.</p>\n".to_owned();
    }
    let heading = "<th>Tensor<th>Shape<th>Share of budget<th>Max<th>Budget<th>Floors<th>Within<th>RMSE\
                   <th>p99.9<th>Cosine<th>ULP p50 / max";
    table(heading, all.iter().map(comparison))
}

fn comparison(measured: &Measured) -> String {
    let Measured { comparison: c, budget, pass, .. } = measured;
    let class = if *pass { "pass" } else { "fail" };
    let mark = if *pass { "" } else { " <b>over</b>" };
    let floors = measured.floors().map_or_else(|| "—".to_owned(), |floors| format!("{floors:.1}"));
    format!(
        "<tr class=\"{class}\"><td>{}{mark}{}<td class=\"shape\">{}<td>{}<td>{:.2e}<td>{:.2e}<td>{floors}<td>{}\
         <td>{:.2e}<td>{:.2e}<td>{:.8}<td>{} / {}</tr>",
        escape(&c.name),
        details(measured),
        shape(&c.shape),
        bar(measured.budget_share()),
        c.max_abs,
        budget.max_abs,
        share(measured.within),
        c.rmse,
        c.percentiles.p999,
        c.cosine,
        c.ulp.median,
        c.ulp.max,
    )
}

fn shape(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

/// A bar on a logarithmic scale from a millionth of the budget, at the left, to the budget.
fn bar(part: f64) -> String {
    let width = if part > 0.0 { ((part.log10() + 6.0) / 6.0).clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    format!(
        "<div class=\"bar\" title=\"{part:.3e} of the budget, on a logarithmic scale\">\
         <span style=\"width:{width:.1}%\"></span></div>{}",
        share(part)
    )
}

fn details(measured: &Measured) -> String {
    let Measured { comparison: c, budget, floor, .. } = measured;
    let floor = floor.as_ref().map_or_else(String::new, |floor| {
        format!("<p>Noise floor: {:.2e} ({})</p>", floor.value, escape(&floor.how))
    });
    let text = [
        format!("<p>Budget: {}</p>", escape(&budget.why)),
        floor,
        next_tokens(measured),
        percentiles(c),
        not_finite("NaN", c.nan),
        not_finite("infinite", c.inf),
        worst(c),
    ];
    format!("<details><summary>details</summary>{}</details>", text.concat())
}

fn next_tokens(measured: &Measured) -> String {
    let Some(l) = &measured.logits else { return String::new() };
    let perplexity = l.perplexity.map_or_else(String::new, |p| {
        format!(
            "; perplexity {:.4} for {:.4} ({:+.2e}) over {} tokens",
            p.ours, p.reference, p.change, p.tokens
        )
    });
    format!(
        "<p>Next token: KL {:.2e} (max {:.2e}), reverse {:.2e} (max {:.2e}); top-1 {:.4}, top-5 {:.4}, top-10 {:.4}, \
         rank-biased overlap {:.4}; {} of {} likeliest tokens flip, {} of them ties{perplexity}</p>",
        l.kl.mean,
        l.kl.max,
        l.reverse_kl.mean,
        l.reverse_kl.max,
        l.top1,
        l.top5,
        l.top10,
        l.rbo,
        l.flips,
        l.positions,
        l.ties
    )
}

fn percentiles(c: &Comparison) -> String {
    let row = |what: &str, p: &Percentiles, mean: f64, max: f64| {
        format!(
            "<tr><td>{what}<td>{mean:.2e}<td>{:.2e}<td>{:.2e}<td>{:.2e}<td>{:.2e}<td>{max:.2e}</tr>",
            p.p50, p.p90, p.p99, p.p999
        )
    };
    let rows = [
        row("absolute", &c.percentiles, c.mean_abs, c.max_abs),
        row("relative", &c.relative_percentiles, c.mean_rel, c.max_rel),
    ];
    let ulps = format!(
        "<p>ULP: median {}, p99 {}, max {}; std of the reference {:.3e}</p>",
        c.ulp.median, c.ulp.p99, c.ulp.max, c.scale
    );
    table("<th>Difference<th>Mean<th>p50<th>p90<th>p99<th>p99.9<th>Max", rows.into_iter()) + &ulps
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
    table("<th>Worst at<th>Port<th>Reference<th>Apart", c.worst.iter().map(row))
}

/// Budgets that were loosened by hand.
pub(super) fn loosened(all: &[Measured]) -> String {
    let row = |measured: &Measured| {
        let loosened = measured.loosened.as_ref()?;
        Some(format!(
            "<tr><td>{}<td>{:.2e}<td>{:.2e}<td>{}<td>{}</tr>",
            escape(&measured.comparison.name),
            loosened.derived,
            loosened.allowed,
            escape(&loosened.reason),
            escape(&loosened.by),
        ))
    };
    let rows: Vec<String> = all.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    table("<th>Tensor<th>Derived<th>Allowed<th>Reason<th>By", rows.into_iter())
}

pub(super) fn table(heading: &str, rows: impl Iterator<Item = String>) -> String {
    let rows = rows.collect::<Vec<_>>().join("\n");
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{heading}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>\n"
    )
}

pub(super) fn tokens(all: &[TokenComparison]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let heading = "<th>Tensor<th>Agree<th>Outcome<th>Recorded<th>Found";
    table(heading, all.iter().map(token_row))
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
