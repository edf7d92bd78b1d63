//! The page of results.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use onnx_protobuf::{DataType, Model, NodeProto};

use crate::parent::Results;

#[derive(Default)]
struct Count {
    plugin: usize,
    executor: usize,
    total: usize,
}

impl Count {
    fn add(&mut self, results: &Results) {
        self.plugin += usize::from(results.plugin.passed());
        self.executor += usize::from(results.executor.passed());
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
pub(crate) fn page(data: &Path, results: &BTreeMap<String, Results>) -> String {
    let mut groups: BTreeMap<String, Count> = BTreeMap::new();
    let mut kinds: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    let mut operators: BTreeMap<String, Count> = BTreeMap::new();
    let mut versions: BTreeMap<String, Count> = BTreeMap::new();
    let mut types: BTreeMap<String, Count> = BTreeMap::new();
    let mut fixed = 0;
    for (case, results) in results {
        fixed += usize::from(results.plugin.passed() && results.plugin.note.contains("fixed: "));
        groups.entry(case.split('/').next().unwrap_or_default().to_owned()).or_default().add(results);
        for (i, (_, outcome)) in results.engines().into_iter().enumerate().filter(|(_, (_, o))| !o.passed()) {
            kinds.entry(outcome.kind.clone()).or_default()[i] += 1;
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
            operators.entry(name).or_default().add(results);
        }
        for opset in &proto.opset_import {
            let domain = if opset.domain().is_empty() { "ai.onnx" } else { opset.domain() };
            versions.entry(format!("{domain} {:>2}", opset.version())).or_default().add(results);
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
            types.entry(ty).or_default().add(results);
        }
    }
    let mut page = String::from(
        "What is imported, measured with ONNX's own backend suite (`onnx` 1.22.0): each case is imported, and\n\
         the program runs twice: as StableHLO on the CPU plugin, and on the reference executor (`porter-executor`), op by\n\
         op in the types of the file, without XLA. Both are compared as the suite compares (rtol 1e-3, atol 1e-7). This\n\
         part is written by `ci/onnx/run.sh --table`; `ci/onnx/expectations.txt` lists every case that fails, where, and\n\
         why; each is retried in every run, and one that passes unexpectedly fails it too.\n\n",
    );
    writeln!(
        page,
        "Shapes are static, so an input that a shape depends on (a `shape`, `axes`, `k`, ...) is fixed to the case's\n\
         value at import: {fixed} of the cases that pass on the plugin have such inputs beside others that stay arguments. A case whose\n\
         inputs are all fixed is computed at import: it is right, but neither engine computed it, so it is\n\
         counted as `folded` and not as passed.\n"
    )
    .expect("a string");
    table(&mut page, "Group", &groups);
    page.push_str("### What fails\n\n| kind | on the plugin | on the executor |\n|---|---|---|\n");
    for (kind, [plugin, executor]) in &kinds {
        writeln!(page, "| {kind} | {plugin} | {executor} |").expect("a string");
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
    writeln!(page, "### {what}\n\n| | on the plugin | on the executor | cases |\n|---|---|---|---|")
        .expect("a string");
    for (name, Count { plugin, executor, total }) in counts {
        writeln!(page, "| {name} | {plugin} | {executor} | {total} |").expect("a string");
    }
    page.push('\n');
}
