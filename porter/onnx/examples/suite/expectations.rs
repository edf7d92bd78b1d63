//! What is expected of each case.

use std::{collections::BTreeMap, fmt::Write, path::Path, process::ExitCode};

use crate::parent::{Outcome, Results};

/// Compares outcomes with the expected ones: every kind must be as the file says, a pass where it says
/// nothing. Rewrites the file where asked to.
pub(crate) fn judge(file: &Path, results: &BTreeMap<String, Results>, bless: bool) -> ExitCode {
    if bless {
        std::fs::write(file, text(results)).expect("the expectations");
        return ExitCode::SUCCESS;
    }
    let text = std::fs::read_to_string(file).expect("the expectations");
    let mut expected: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.split('\t');
        let (case, engine, kind) = (parts.next(), parts.next(), parts.next());
        let (case, engine, kind) = (case.expect("a case"), engine.expect("an engine"), kind.expect("a kind"));
        let engines = if engine == "both" { &["plugin", "executor"][..] } else { &[engine] };
        expected.extend(engines.iter().map(|&engine| ((case, engine), kind)));
    }
    let mut wrong = 0;
    for (case, results) in results {
        for (engine, outcome) in results.engines() {
            let kind = expected.get(&(case.as_str(), engine)).copied().unwrap_or("pass");
            if kind != outcome.kind {
                println!(
                    "UNEXPECTED: {case} on the {engine} is {:?}, expected {kind:?}: {}",
                    outcome.kind, outcome.note
                );
                wrong += 1;
            }
        }
    }
    println!("{wrong} outcomes are not as expected");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The file: one line for both engines where they end in the same way.
fn text(results: &BTreeMap<String, Results>) -> String {
    let mut text = String::from(
        "# Cases of ONNX's backend suite that are expected to fail: name, engine, kind, reason. All others must pass.\n\
         # Written by `suite run DATA --expect FILE --bless`.\n",
    );
    for (case, results) in results {
        let mut write = |engine: &str, outcome: &Outcome| {
            let reason: String = reason(outcome).chars().take(160).collect();
            writeln!(text, "{case}\t{engine}\t{}\t{reason}", outcome.kind).expect("a string");
        };
        let [(_, plugin), (_, executor)] = results.engines();
        if !plugin.passed() && (&plugin.kind, reason(plugin)) == (&executor.kind, reason(executor)) {
            write("both", plugin);
            continue;
        }
        for (engine, outcome) in results.engines().into_iter().filter(|(_, o)| !o.passed()) {
            write(engine, outcome);
        }
    }
    text
}

/// The first problem of an outcome.
fn reason(outcome: &Outcome) -> &str {
    match outcome.note.split_once("problems   ") {
        Some((_, first)) => first,
        None => &outcome.note,
    }
}
