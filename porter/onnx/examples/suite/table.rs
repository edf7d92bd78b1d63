//! Expectations, and the page of results.

use std::{collections::BTreeMap, fmt::Write, path::Path, process::ExitCode};

use onnx_protobuf::{DataType, Model, NodeProto};

use crate::parent::Outcome;

/// Compares outcomes with the expected ones: every kind must be as the file says, a pass where it says
/// nothing. Rewrites the file where asked to.
pub(crate) fn judge(file: &Path, outcomes: &BTreeMap<String, Outcome>, bless: bool) -> ExitCode {
    if bless {
        let mut text = String::from(
            "# Cases of ONNX's backend suite that are expected to fail: name, kind, reason. All others must pass.\n\
             # Written by `suite run DATA --expect FILE --bless`.\n",
        );
        for (case, outcome) in outcomes.iter().filter(|(_, o)| o.kind != "pass") {
            let reason: String = reason(outcome).chars().take(160).collect();
            writeln!(text, "{case}\t{}\t{reason}", outcome.kind).expect("a string");
        }
        std::fs::write(file, text).expect("the expectations");
        return ExitCode::SUCCESS;
    }
    let text = std::fs::read_to_string(file).expect("the expectations");
    let expected: BTreeMap<&str, &str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('\t').next().map(|case| (case, line)))
        .collect();
    let mut wrong = 0;
    for (case, outcome) in outcomes {
        let kind = expected.get(case.as_str()).and_then(|line| line.split('\t').nth(1)).unwrap_or("pass");
        if kind != outcome.kind {
            println!("UNEXPECTED: {case} is {:?}, expected {kind:?}: {}", outcome.kind, outcome.note);
            wrong += 1;
        }
    }
    println!("{wrong} outcomes are not as expected");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first problem of an outcome.
fn reason(outcome: &Outcome) -> &str {
    match outcome.note.split_once("problems   ") {
        Some((_, first)) => first,
        None => &outcome.note,
    }
}

#[derive(Default)]
struct Count {
    passed: usize,
    total: usize,
}

impl Count {
    fn add(&mut self, pass: bool) {
        self.passed += usize::from(pass);
        self.total += 1;
    }
}

/// Begins the part of the page that is written from results.
const MARK: &str = "## The official suite\n\n";

/// Writes the results into a page, after what people wrote above them.
pub(crate) fn write(page: &Path, results: &str) {
    let old = std::fs::read_to_string(page).expect("the page");
    let above = old.split_once(MARK).map_or(old.as_str(), |(above, _)| above);
    std::fs::write(page, format!("{above}{MARK}{}", results.trim_end().to_owned() + "\n")).expect("the page");
}

/// Results by group, kind of failure, operator, version and element type.
pub(crate) fn page(data: &Path, outcomes: &BTreeMap<String, Outcome>) -> String {
    let mut groups: BTreeMap<String, Count> = BTreeMap::new();
    let mut kinds: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut operators: BTreeMap<String, Count> = BTreeMap::new();
    let mut versions: BTreeMap<String, Count> = BTreeMap::new();
    let mut types: BTreeMap<String, Count> = BTreeMap::new();
    let mut fixed = 0;
    for (case, outcome) in outcomes {
        let pass = outcome.kind == "pass";
        fixed += usize::from(pass && outcome.note.contains("fixed: "));
        groups.entry(case.split('/').next().unwrap_or_default().to_owned()).or_default().add(pass);
        if !pass {
            kinds.entry(outcome.kind.clone()).or_default().push(case);
        }
        let folder = data.join(case);
        let file = if folder.is_dir() { folder.join("model.onnx") } else { folder };
        let Ok(model) = Model::open(&file) else { continue };
        let proto = model.proto();
        let Some(graph) = &proto.graph else { continue };
        let mut names: Vec<String> = graph.node.iter().map(operator).collect();
        names.sort();
        names.dedup();
        for name in names {
            operators.entry(name).or_default().add(pass);
        }
        for opset in &proto.opset_import {
            let domain = if opset.domain().is_empty() { "ai.onnx" } else { opset.domain() };
            versions.entry(format!("{domain} {:>2}", opset.version())).or_default().add(pass);
        }
        let mut tys: Vec<String> = graph
            .input
            .iter()
            .chain(&graph.output)
            .filter_map(|v| v.r#type.as_ref())
            .map(|ty| match &ty.tensor_type {
                Some(tensor) => {
                    DataType::new(tensor.elem_type().into()).map_or("?".to_owned(), |t| t.to_string())
                }
                None => "sequence or optional".to_owned(),
            })
            .collect();
        tys.sort();
        tys.dedup();
        for ty in tys {
            types.entry(ty).or_default().add(pass);
        }
    }
    let mut page = String::from(
        "What is imported, measured with ONNX's own backend suite (`onnx` 1.22.0): each case goes through import,\n\
         StableHLO and the CPU plugin, and is compared as the suite compares (rtol 1e-3, atol 1e-7). This part is\n\
         written by `ci/onnx/run.sh --table`; `ci/onnx/expectations.txt` lists every case that fails, and why.\n\n",
    );
    writeln!(
        page,
        "Shapes are static, so an input that a shape depends on (a `shape`, `axes`, `k`, ...) is fixed to the case's\n\
         value at import: {fixed} of the passed cases have such inputs beside others that stay arguments. A case whose\n\
         inputs are all fixed is computed at import: it is right, but XLA did not compute it, so it is counted as\n\
         `folded` and not as passed.\n"
    )
    .expect("a string");
    table(&mut page, "Group", &groups);
    page.push_str("### What fails\n\n| kind | cases |\n|---|---|\n");
    for (kind, cases) in &kinds {
        writeln!(page, "| {kind} | {} |", cases.len()).expect("a string");
    }
    page.push('\n');
    table(&mut page, "Operator in the case", &operators);
    table(&mut page, "Version in the case", &versions);
    table(&mut page, "Element type of an input or output", &types);
    page
}

fn operator(node: &NodeProto) -> String {
    if node.domain().is_empty() {
        node.op_type().to_owned()
    } else {
        format!("{}.{}", node.domain(), node.op_type())
    }
}

fn table(page: &mut String, what: &str, counts: &BTreeMap<String, Count>) {
    writeln!(page, "### {what}\n\n| | passed | cases |\n|---|---|---|").expect("a string");
    for (name, count) in counts {
        writeln!(page, "| {name} | {} | {} |", count.passed, count.total).expect("a string");
    }
    page.push('\n');
}
