//! `porter check MODEL --reference BUNDLE`.

mod deeper;
mod execute;
mod ledger;
mod onnx;
mod ported;

use std::{fs, iter, path::Path};

use porter_numerics::{Measured, Named, Outcome, Report, Sides, TokenComparison, Verdict, html, junit};
use porter_pipeline::{artefact, onnx::find};

use crate::{
    args::{CheckArgs, Global},
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    progress::Fetching,
    table,
};

/// Compares a model's numbers with a bundle's, and reports.
pub(crate) fn run(args: &CheckArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let report = match find(&args.model.model, &Fetching::new(console))? {
        Some(graph) => onnx::execute(&graph, args, global, console)?,
        None => match artefact::find(&args.model.model)? {
            Some(artefact) => ported::execute(&artefact, args, global, console)?,
            None => execute::execute(args, global, console)?,
        },
    };
    let report = match &args.ledger {
        Some(path) => ledger::keep(report, path)?,
        None => report,
    };
    present(&report, args, console)
}

/// Prints a report, and writes it in the forms that were asked for.
fn present(report: &Report, args: &CheckArgs, console: &Console) -> Result<Exit, Failure> {
    if let Some(path) = &args.junit {
        write(path, &junit::render(report))?;
    }
    if let Some(path) = &args.html {
        write(path, &html::render(report))?;
    }
    console.result(report, |report| render(report, console))?;
    Ok(match report.verdict() {
        Verdict::Pass => Exit::Done,
        Verdict::Fail => Exit::No,
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|e| Failure::write(path, &e))
}

pub(super) fn render(report: &Report, console: &Console) -> String {
    let findings = report.findings();
    let mut parts = Vec::new();
    if !findings.comparisons.is_empty() {
        parts.push(comparisons(&findings.comparisons, console));
    }
    if !findings.tokens.is_empty() {
        parts.push(findings.tokens.iter().map(|t| tokens(t, console)).collect::<Vec<_>>().join("\n"));
    }
    let problem = |named: &Named| {
        format!("{} could not be compared: {}", printable(&named.name), printable(&named.why))
    };
    parts.extend(findings.problems.iter().map(problem));
    if !findings.skipped.is_empty() {
        let names: Vec<String> = findings.skipped.iter().map(|named| printable(&named.name)).collect();
        let count = names.len();
        parts.push(format!("{count} recorded tensors are none that the port returns: {}", names.join(", ")));
    }
    parts.extend(findings.bisections.iter().map(|found| deeper::bisection(found, console)));
    parts.extend(findings.attribution.as_ref().map(|found| deeper::attribution(found, console)));
    parts.extend(report.drifts().iter().map(|drift| printable(&drift.describe())));
    parts.push(verdict(report, console));
    parts.join("\n\n")
}

/// The most rows of comparisons that are shown; the others are those that take least of their budget.
const MOST_ROWS: usize = 60;

fn comparisons(all: &[Measured], console: &Console) -> String {
    let heading = ["OUTPUT", "SHAPE", "MAX", "BUDGET", "SHARE", "FLOORS", "RMSE", "P99.9", "COSINE", ""];
    let least = least_shown(all);
    let shown = all.iter().filter(|measured| !measured.pass || measured.budget_share() >= least);
    let rows: Vec<Vec<String>> = shown.map(|measured| row(measured, console)).collect();
    let left = all.len() - rows.len();
    let failed = all.iter().filter(|measured| !measured.pass).map(over_budget);
    let lines = failed.chain(all.iter().filter_map(loosened)).chain(all.iter().filter_map(next_tokens));
    let more = (left > 0).then(|| {
        format!("and {left} outputs more, each below {:.1}% of its budget (--json has all)", 100.0 * least)
    });
    let table = table::render(&heading, rows, &[2, 3, 4, 5, 6, 7, 8]);
    iter::once(table).chain(more).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The share of its budget from which on an output is shown.
fn least_shown(all: &[Measured]) -> f64 {
    let mut shares: Vec<f64> = all.iter().map(Measured::budget_share).collect();
    shares.sort_by(|a, b| b.total_cmp(a));
    if shares.len() <= MOST_ROWS { 0.0 } else { shares[MOST_ROWS - 1] }
}

fn row(measured: &Measured, console: &Console) -> Vec<String> {
    let Measured { comparison: c, budget, pass, .. } = measured;
    vec![
        printable(&c.name),
        format!("{:?}", c.shape),
        format!("{:.2e}", c.max_abs),
        format!("{:.2e}", budget.max_abs),
        format!("{:.1}%", 100.0 * measured.budget_share()),
        measured.floors().map_or_else(|| "-".to_owned(), |floors| format!("{floors:.1}")),
        format!("{:.2e}", c.rmse),
        format!("{:.2e}", c.percentiles.p999),
        format!("{:.8}", c.cosine),
        mark(*pass, console),
    ]
}

/// Whose budget is looser than the derived one, and why.
fn loosened(measured: &Measured) -> Option<String> {
    let l = measured.loosened.as_ref()?;
    Some(format!(
        "{}: budget loosened from {:.2e} to {:.2e} by {}: {}",
        printable(&measured.comparison.name),
        l.derived,
        l.allowed,
        printable(&l.by),
        printable(&l.reason)
    ))
}

/// Why a comparison failed: its budget's reason, what is not finite, and the worst element.
fn over_budget(measured: &Measured) -> String {
    let c = &measured.comparison;
    let budget = &measured.budget;
    let mut lines = vec![format!("{}: budget {:.2e} = {}", printable(&c.name), budget.max_abs, budget.why)];
    for (what, sides) in [("NaN", c.nan), ("Inf", c.inf)] {
        if !sides.agree() {
            let Sides { ours_only, reference_only, .. } = sides;
            lines.push(format!(
                "  {what}: {ours_only} in the port only, {reference_only} in the reference only"
            ));
        }
    }
    if let Some(worst) = c.worst.first() {
        lines.push(format!(
            "  worst at {:?}: found {}, expected {}",
            worst.index, worst.ours, worst.reference
        ));
    }
    lines.join("\n")
}

/// What the difference means for the next token, where the tensor holds logits.
fn next_tokens(measured: &Measured) -> Option<String> {
    let l = measured.logits.as_ref()?;
    let (name, top1, top5) = (printable(&measured.comparison.name), 100.0 * l.top1, 100.0 * l.top5);
    let perplexity = l
        .perplexity
        .as_ref()
        .map_or_else(String::new, |p| format!(", perplexity {:.4} against {:.4}", p.ours, p.reference));
    Some(format!(
        "{name}: KL {:.1e}, top-1 {top1:.2}%, top-5 {top5:.2}%, {} of {} likeliest tokens flip ({} ties){perplexity}",
        l.kl.mean, l.flips, l.positions, l.ties
    ))
}

fn tokens(tokens: &TokenComparison, console: &Console) -> String {
    let name = printable(&tokens.name);
    let Some(first) = tokens.first_difference else {
        return format!(
            "{name}: {} greedy tokens, all as recorded {}",
            tokens.expected.len(),
            mark(true, console)
        );
    };
    let id = |token: Option<i64>| token.map_or_else(|| "the end".to_owned(), |id| id.to_string());
    let why = match (tokens.outcome, first.margin) {
        (Outcome::Tie, Some(margin)) => {
            format!("a tie: the reference prefers its token by {margin:.2e} only")
        }
        (Outcome::Drift, _) => "drift of the narrower type; no margins were recorded".to_owned(),
        (_, Some(margin)) => format!("the reference prefers its token by {margin:.2e}"),
        (_, None) => "rounding does not explain it".to_owned(),
    };
    format!(
        "{name}: {} of {} greedy tokens as recorded, then {} instead of {}: {why} {}",
        first.index,
        tokens.expected.len(),
        id(first.found),
        id(first.expected),
        mark(tokens.pass, console)
    )
}

pub(crate) fn mark(pass: bool, console: &Console) -> String {
    if pass { console.paint("ok", Tone::Good) } else { console.paint("FAIL", Tone::Bad) }
}

fn verdict(report: &Report, console: &Console) -> String {
    let subject = report.subject();
    let word = match report.verdict() {
        Verdict::Pass => console.paint("PASS", Tone::Good),
        Verdict::Fail => console.paint("FAIL", Tone::Bad),
    };
    let line = format!(
        "{word} {} in {} on {} against {}",
        printable(&subject.model),
        subject.dtype,
        subject.plugin,
        printable(&subject.reference)
    );
    let Some(summary) = report.summary() else { return line };
    let floors = summary.floors.zip(summary.floors_of.as_ref()).map_or_else(String::new, |(floors, name)| {
        format!("; {} is {floors:.1} of the reference's own noise floors away", printable(name))
    });
    let loosened = match summary.loosened {
        0 => String::new(),
        n => format!("; {n} budgets are looser than derived"),
    };
    let (worst, share) = (printable(&summary.worst), 100.0 * summary.budget_share);
    format!("{line}: {worst} takes {share:.1}% of its budget{floors}{loosened}")
}
