//! Inspecting an ONNX graph.

use std::collections::BTreeMap;

use porter_onnx::ProblemKind;
use porter_pipeline::{
    checkpoint,
    onnx::{Graph, Interface},
};
use serde::Serialize;

use super::{Stored, encodings, stored};
use crate::{
    args::InspectArgs,
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    fact::Fact,
    table,
};

/// What `porter inspect` says of an ONNX file.
#[derive(Serialize)]
pub(in super::super) struct Document {
    model: String,
    file: String,
    format: &'static str,
    ir_version: i64,
    producer: String,
    opsets: Vec<Opset>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    operators: Vec<Counted>,
    functions: usize,
    /// Composites that are recognised, and how often.
    recognised: BTreeMap<String, usize>,
    /// Named dimensions: `--dim NAME=N`.
    dims: Vec<String>,
    tensors: usize,
    parameters: usize,
    bytes: usize,
    encodings: Vec<Stored>,
    /// Everything that keeps the graph from being ported.
    problems: Vec<String>,
    /// How it ends for them.
    #[serde(skip)]
    exit: Exit,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Opset {
    domain: String,
    version: i64,
}

/// An input or output.
#[derive(Serialize)]
struct Value {
    name: String,
    r#type: String,
}

/// An operator: its name, with the domain where it is not ONNX's own.
#[derive(Serialize)]
struct Counted {
    name: String,
    count: usize,
    lowered: bool,
}

impl From<Interface> for Value {
    fn from(Interface { name, ty }: Interface) -> Self {
        Self { name, r#type: ty }
    }
}

pub(super) fn document(graph: &Graph, args: &InspectArgs) -> Result<Document, Failure> {
    let summary = graph.summary(&args.graph.dims());
    let invalid = summary.problems.iter().all(|problem| problem.kind == ProblemKind::Invalid);
    let exit = match summary.problems.len() {
        0 => Exit::Done,
        _ if invalid => Exit::Corrupt,
        _ => Exit::Unsupported,
    };
    let checkpoint = checkpoint(&graph.files, &args.model.options())?;
    let encodings = stored(&*checkpoint);
    let named =
        |(domain, name): (String, String)| if domain.is_empty() { name } else { format!("{domain}.{name}") };
    let fixed = summary
        .fixed
        .iter()
        .map(|name| format!("shapes depend on the value of {name:?}: it is fixed by --input"));
    Ok(Document {
        model: graph.files.name.clone(),
        file: graph.files.weights.display().to_string(),
        format: "ONNX",
        ir_version: summary.ir_version,
        producer: summary.producer,
        opsets: summary.opsets.into_iter().map(|(domain, version)| Opset { domain, version }).collect(),
        inputs: summary.inputs.into_iter().map(Value::from).collect(),
        outputs: summary.outputs.into_iter().map(Value::from).collect(),
        operators: summary
            .operators
            .into_iter()
            .map(|o| Counted { name: named(o.name), count: o.count, lowered: o.known })
            .collect(),
        functions: summary.functions,
        recognised: summary.recognised,
        dims: summary.dims,
        tensors: checkpoint.tensors().len(),
        parameters: encodings.iter().fold(0, |sum, e| sum.saturating_add(e.parameters)),
        bytes: encodings.iter().fold(0, |sum, e| sum.saturating_add(e.bytes)),
        encodings,
        problems: summary.problems.iter().map(ToString::to_string).collect(),
        exit,
        notes: fixed.collect(),
    })
}

impl Document {
    pub(super) const fn exit(&self) -> Exit {
        self.exit
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let operators: usize = self.operators.iter().map(|operator| operator.count).sum();
        let types = |values: &[Value]| {
            let types: Vec<String> = values.iter().map(|v| format!("{} {}", v.name, v.r#type)).collect();
            types.join(", ")
        };
        let graph = format!("ONNX (IR {}) by {}, {operators} operators", self.ir_version, self.producer);
        let recognised = table::counted(&self.recognised);
        let recognised = (!self.recognised.is_empty()).then(|| Fact::new("recognised", recognised));
        let understood = self.problems.is_empty().then(|| Fact::new("operators", "every one is understood"));
        let problems = self.problems.iter().map(|problem| Fact::new("problem", problem));
        [
            Fact::new("graph", graph),
            Fact::new("inputs", types(&self.inputs)),
            Fact::new("outputs", types(&self.outputs)),
            Fact::new("weights", format!("{} tensors, {:.1} MB", self.tensors, self.bytes as f64 / 1e6)),
        ]
        .into_iter()
        .chain(recognised)
        .chain(understood)
        .chain(problems)
        .collect()
    }
}

pub(super) fn render(d: &Document, console: &Console) -> String {
    let opset = |o: &Opset| {
        let domain = if o.domain.is_empty() { "ai.onnx" } else { &o.domain };
        format!("{} {}", printable(domain), o.version)
    };
    let opsets: Vec<String> = d.opsets.iter().map(opset).collect();
    let mut lines = vec![
        format!("{}  {}", console.paint(&printable(&d.model), Tone::Strong), printable(&d.file)),
        format!("ONNX (IR {}) by {}: {}", d.ir_version, printable(&d.producer), opsets.join(", ")),
        format!(
            "{} tensors, {:.2} M parameters, {:.1} MB",
            d.tensors,
            d.parameters as f64 / 1e6,
            d.bytes as f64 / 1e6
        ),
    ];
    let values = d.inputs.iter().map(|v| ("in", v)).chain(d.outputs.iter().map(|v| ("out", v)));
    let rows = values.map(|(way, v)| vec![way.to_owned(), printable(&v.name), printable(&v.r#type)]);
    lines.push(format!("\n{}", table::render(&["", "NAME", "TYPE"], rows, &[])));
    let rows = d.operators.iter().map(|o| {
        let mark = if o.lowered { String::new() } else { console.paint("no lowering", Tone::Bad) };
        vec![printable(&o.name), o.count.to_string(), mark]
    });
    lines.push(format!("\n{}", table::render(&["OPERATOR", "COUNT", ""], rows, &[1])));
    if !d.encodings.is_empty() {
        lines.push(format!("\n{}", encodings(&d.encodings)));
    }
    lines.push(String::new());
    if !d.recognised.is_empty() {
        lines.push(format!("recognised: {}", table::counted(&d.recognised)));
    }
    if !d.dims.is_empty() {
        let dims: Vec<String> = d.dims.iter().map(|name| format!("--dim {}=N", printable(name))).collect();
        lines.push(console.paint(&format!("open dimensions: {}", dims.join(" ")), Tone::Dim));
    }
    lines.extend(d.notes.iter().map(|note| console.paint(&printable(note), Tone::Dim)));
    lines.push(match d.problems.len() {
        0 => console.paint("every operator is understood", Tone::Good),
        n => console.paint(&format!("{n} problems:"), Tone::Bad),
    });
    lines.extend(d.problems.iter().map(|problem| format!("  {}", printable(problem))));
    lines.join("\n").trim_end().to_owned()
}
