//! `porter compare OURS REFERENCE`: tensors against tensors, without a model.

use porter_numerics::{Comparison, FilesComparison, FilesError, Level, Mismatch, compare_files};
use serde::Serialize;

use crate::{
    args::CompareArgs,
    console::{Console, Tone, printable},
    exit::{self, Exit, Failure},
    table,
    verbs::check::mark,
};

/// What `porter compare` says.
#[derive(Serialize)]
struct Document {
    verdict: &'static str,
    level: Level,
    tensors: Vec<Row>,
    mismatches: Vec<Mismatch>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    comparison: Comparison,
    /// The greatest difference that passes.
    max_abs_allowed: f64,
    pass: bool,
}

pub(super) fn run(args: &CompareArgs, console: &Console) -> Result<Exit, Failure> {
    let FilesComparison { tensors, mismatches } =
        compare_files(&args.ours, &args.reference).map_err(|error| failure(&error))?;
    let tensors: Vec<Row> = tensors.into_iter().map(|comparison| judge(comparison, args.level)).collect();
    let pass = !tensors.is_empty() && mismatches.is_empty() && tensors.iter().all(|row| row.pass);
    let verdict = if pass { "pass" } else { "fail" };
    let document = Document { verdict, level: args.level, tensors, mismatches };
    console.result(&document, |document| render(document, console))?;
    Ok(if pass { Exit::Done } else { Exit::No })
}

fn judge(comparison: Comparison, level: Level) -> Row {
    let budget = level.budget(comparison.scale);
    let pass = budget.allows(&comparison);
    Row { comparison, max_abs_allowed: budget.max_abs, pass }
}

fn failure(error: &FilesError) -> Failure {
    match error {
        FilesError::Read { source, .. } => Failure::new(exit::weights(source), error),
        FilesError::Empty { .. } => Failure::new(Exit::No, error),
    }
}

fn render(document: &Document, console: &Console) -> String {
    let rows = document.tensors.iter().map(|Row { comparison: c, max_abs_allowed, pass }| {
        vec![
            printable(&c.name),
            format!("{:?}", c.shape),
            format!("{:.2e}", c.max_abs),
            format!("{max_abs_allowed:.2e}"),
            format!("{:.2e}", c.rmse),
            format!("{:.2e}", c.percentiles.p999),
            c.ulp.max.to_string(),
            format!("{:.8}", c.cosine),
            mark(*pass, console),
        ]
    });
    let heading = ["TENSOR", "SHAPE", "MAX", "ALLOWED", "RMSE", "P99.9", "ULP", "COSINE", ""];
    let mut parts = vec![table::render(&heading, rows, &[2, 3, 4, 5, 6, 7])];
    parts.extend(document.mismatches.iter().map(|mismatch| printable(&mismatch.to_string())));
    let tone = if document.verdict == "pass" { Tone::Good } else { Tone::Bad };
    let word = console.paint(&document.verdict.to_uppercase(), tone);
    parts.push(format!("{word} {} tensors at level {}", document.tensors.len(), document.level));
    parts.join("\n")
}
