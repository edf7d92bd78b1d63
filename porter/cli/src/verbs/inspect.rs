//! `porter inspect MODEL`: what a model is and whether it can be ported, from its headers alone.

mod map;
mod onnx;
mod ported;

use std::{collections::BTreeMap, fmt};

use porter_import::{ModelFiles, Source, resolve};
use porter_weights::{Checkpoint, Report};
use porter_zoo::{ConfigError, Dimensions, Model, Task};
use serde::Serialize;

use crate::{
    args::InspectArgs,
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    fact::Fact,
    progress::Fetching,
    table,
};
use porter_pipeline::{PipelineError, artefact, checkpoint, model, onnx::find, weight_map};

/// What was found of a model or of a graph.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Inspection {
    Model(Document),
    Graph(onnx::Document),
}

/// What `porter inspect` says.
#[derive(Serialize)]
pub(super) struct Document {
    model: String,
    weights: String,
    format: String,
    tensors: usize,
    parameters: usize,
    bytes: usize,
    encodings: Vec<Stored>,
    architecture: Option<Architecture>,
    /// Where each parameter comes from, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Vec<map::Row>>,
    /// Everything that keeps the model from being ported.
    problems: Vec<String>,
    /// Tensors that are not used, with the reason why that is right, and other remarks.
    notes: Vec<String>,
}

/// The tensors of one encoding.
#[derive(Serialize)]
struct Stored {
    encoding: String,
    tensors: usize,
    parameters: usize,
    bytes: usize,
}

#[derive(Serialize)]
struct Architecture {
    class: &'static str,
    task: &'static str,
    vocab_size: usize,
    hidden_size: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    max_positions: usize,
    window: Option<usize>,
    original_positions: Option<usize>,
}

impl Architecture {
    fn of(model: &Model) -> Self {
        let Dimensions {
            vocab_size,
            hidden_size,
            layers,
            heads,
            kv_heads,
            head_dim,
            max_positions,
            window,
            original_positions,
        } = model.dimensions();
        let task = match model.task() {
            Task::Generate => "generate",
            Task::Encode => "encode",
        };
        Self {
            class: model.class(),
            task,
            vocab_size,
            hidden_size,
            layers,
            heads,
            kv_heads,
            head_dim,
            max_positions,
            window,
            original_positions,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, layers, hidden_size, heads, kv_heads, head_dim, vocab_size, max_positions, .. } =
            self;
        write!(
            f,
            "{class}: {layers} layers, hidden {hidden_size}, {heads} heads ({kv_heads} kv) of {head_dim}, vocab \
             {vocab_size}, {max_positions} positions"
        )
    }
}

pub(super) fn run(args: &InspectArgs, console: &Console) -> Result<Exit, Failure> {
    if let Some(artefact) = artefact::find(&args.model.model)? {
        return ported::run(&artefact, args, console);
    }
    let inspection = inspect(args, console)?;
    console.result(&inspection, |inspection| inspection.render(console))?;
    Ok(inspection.exit())
}

/// Looks at a model or a graph.
pub(super) fn inspect(args: &InspectArgs, console: &Console) -> Result<Inspection, Failure> {
    if let Some(graph) = find(&args.model.model, &Fetching::new(console))? {
        return Ok(Inspection::Graph(onnx::document(&graph, args)?));
    }
    let source = Source::parse(&args.model.model).map_err(PipelineError::from)?;
    let files = resolve(&source, &Fetching::new(console)).map_err(PipelineError::from)?;
    let checkpoint = checkpoint(&files, &args.model.options())?;
    let ignore: Vec<&str> = args.model.ignore_config.iter().map(String::as_str).collect();
    Ok(Inspection::Model(document(&files, &*checkpoint, &ignore, args.map)?))
}

impl Inspection {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Inspection::Model(document) if document.problems.is_empty() => Exit::Done,
            Inspection::Model(_) => Exit::Unsupported,
            Inspection::Graph(document) => document.exit(),
        }
    }

    /// The model in a few lines, each with its name.
    pub(super) fn facts(&self) -> Vec<Fact> {
        match self {
            Inspection::Model(document) => document.facts(),
            Inspection::Graph(document) => document.facts(),
        }
    }

    fn render(&self, console: &Console) -> String {
        match self {
            Inspection::Model(document) => render(document, console),
            Inspection::Graph(document) => onnx::render(document, console),
        }
    }
}

fn document(
    files: &ModelFiles,
    checkpoint: &dyn Checkpoint,
    ignore: &[&str],
    show_map: bool,
) -> Result<Document, Failure> {
    let encodings = stored(checkpoint);
    let mut document = Document {
        model: files.name.clone(),
        weights: files.weights.display().to_string(),
        format: checkpoint.format().to_string(),
        tensors: checkpoint.tensors().len(),
        parameters: encodings.iter().map(|e| e.parameters).sum(),
        bytes: encodings.iter().map(|e| e.bytes).sum(),
        encodings,
        architecture: None,
        map: None,
        problems: Vec::new(),
        notes: checkpoint.notes().to_vec(),
    };
    let ties = checkpoint.ties();
    document.notes.extend(ties.iter().map(|names| format!("tied, one tensor: {}", names.join(", "))));
    match model(files, checkpoint, ignore).unwrap_or(Err(ConfigError::NoArchitecture)) {
        Ok(model) => {
            document.architecture = Some(Architecture::of(&model));
            let map = weight_map(&model, checkpoint)?;
            document.add(&map.check(checkpoint));
            document.map = show_map.then(|| map::rows(&map, checkpoint));
        }
        Err(ConfigError::NoArchitecture) => {
            document.notes.push("a bare checkpoint: no config says what model it belongs to".to_owned());
        }
        Err(ConfigError::Refused { architecture, problems }) => {
            document.problems.extend(problems.iter().map(|p| format!("{architecture}: {p}")));
        }
        Err(other) => document.problems.push(other.to_string()),
    }
    Ok(document)
}

impl Document {
    fn facts(&self) -> Vec<Fact> {
        let architecture = self.architecture.as_ref().map(Architecture::to_string);
        let stored = format!(
            "{}: {} tensors, {:.2} M parameters, {:.1} MB",
            self.format,
            self.tensors,
            self.parameters as f64 / 1e6,
            self.bytes as f64 / 1e6
        );
        let architecture = architecture.map(|text| Fact::new("architecture", text));
        let used = self.problems.is_empty().then(|| Fact::new("tensors", "every one is understood and used"));
        let problems = self.problems.iter().map(|problem| Fact::new("problem", problem));
        architecture
            .into_iter()
            .chain([Fact::new("checkpoint", stored)])
            .chain(used)
            .chain(problems)
            .collect()
    }

    fn add(&mut self, report: &Report) {
        self.problems.extend(report.to_string().lines().map(|line| line.trim().to_owned()));
        let tolerated = report.tolerated.iter();
        self.notes.extend(tolerated.map(|(name, reason)| format!("not used: {name} ({reason})")));
    }
}

fn stored(checkpoint: &dyn Checkpoint) -> Vec<Stored> {
    let mut by_encoding: BTreeMap<String, Stored> = BTreeMap::new();
    for info in checkpoint.tensors().values() {
        let encoding = info.encoding.to_string();
        let stored = by_encoding.entry(encoding.clone()).or_insert(Stored {
            encoding,
            tensors: 0,
            parameters: 0,
            bytes: 0,
        });
        stored.tensors += 1;
        stored.parameters = stored.parameters.saturating_add(info.shape.elements());
        stored.bytes = stored.bytes.saturating_add(info.bytes);
    }
    let mut all: Vec<Stored> = by_encoding.into_values().collect();
    all.sort_by_key(|stored| std::cmp::Reverse(stored.bytes));
    all
}

fn encodings(stored: &[Stored]) -> String {
    let rows = stored.iter().map(|e| {
        vec![
            printable(&e.encoding),
            e.tensors.to_string(),
            format!("{:.3}", e.parameters as f64 / 1e6),
            format!("{:.1}", e.bytes as f64 / 1e6),
        ]
    });
    table::render(&["TYPE", "TENSORS", "M PARAMS", "MB"], rows, &[1, 2, 3])
}

fn render(d: &Document, console: &Console) -> String {
    let mut lines =
        vec![format!("{}  {}", console.paint(&printable(&d.model), Tone::Strong), printable(&d.weights))];
    if let Some(a) = &d.architecture {
        lines.push(a.to_string());
    }
    lines.push(format!(
        "{}: {} tensors, {:.2} M parameters, {:.1} MB",
        d.format,
        d.tensors,
        d.parameters as f64 / 1e6,
        d.bytes as f64 / 1e6
    ));
    lines.push(format!("\n{}", encodings(&d.encodings)));
    lines.push(String::new());
    if let Some(rows) = &d.map {
        lines.push(map::render(rows));
        lines.push(String::new());
    }
    lines.extend(d.notes.iter().map(|note| console.paint(&printable(note), Tone::Dim)));
    lines.push(match d.problems.len() {
        0 if d.architecture.is_some() => console.paint("every tensor is understood and used", Tone::Good),
        0 => String::new(),
        n => console.paint(&format!("{n} problems:"), Tone::Bad),
    });
    lines.extend(d.problems.iter().map(|problem| format!("  {}", printable(problem))));
    lines.join("\n").trim_end().to_owned()
}
