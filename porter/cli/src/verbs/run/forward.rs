//! Running a model's forward program on recorded inputs: embeddings, classes, logits.

use std::{collections::BTreeMap, path::Path};

use porter_ir::{DType, Shape};
use porter_numerics::{MeasureError, View};
use porter_runtime::{HostTensor, States};
use porter_weights::Checkpoint;
use porter_zoo::Taps;
use serde::Serialize;

use crate::{
    args::{Global, RunArgs, RunDType},
    console::Console,
    exit::{Exit, Failure},
    progress::{Fetching, Working},
    table,
};
use porter_pipeline::{
    Engine, PipelineError, Running, Sequences, Variant,
    artefact::GraphArtefact,
    bring_up,
    onnx::{Graph, find, read_tensors, write_tensors},
    open_with,
};

/// An output in `porter run --input`'s result.
#[derive(Serialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    mean: f64,
    std: f64,
    /// The first elements, in row-major order.
    first: Vec<f64>,
}

pub(super) fn run(input: &Path, args: &RunArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let model = &args.model;
    if let Some(graph) = find(&model.model, &Fetching::new(console))? {
        let outputs = graph_outputs(&graph, input, args, global, console)?;
        return finish(args, &outputs, console);
    }
    let opened = open_with(&model.model, &model.ignore_config, &model.options(), &Fetching::new(console))?;
    let sequences = read(&*porter_weights::open(input).map_err(PipelineError::from)?)?;
    let phase = sequences.phase(Taps::None)?;
    let arguments = sequences.arguments(&opened.model)?;

    let engine =
        Engine::start_over(global.plugin.as_deref(), args.mesh.shard()?, &mut |note| console.note(note))?;
    let variant = Variant::new(args.dtype.into());
    let Running { programs, resident } =
        bring_up(&engine, &opened, &[phase], &variant, &Working::new(console))?;
    let mut states = States::zeros(&engine.devices, &programs[0].entry())?;
    let outputs = resident.steps[0].run(&arguments, &mut states)?;
    finish(args, &outputs, console)
}

/// The results of an ONNX graph on the tensors of a file.
fn graph_outputs(
    graph: &Graph,
    input: &Path,
    args: &RunArgs,
    global: &Global,
    console: &Console,
) -> Result<BTreeMap<String, HostTensor>, Failure> {
    in_own_types(args.dtype)?;
    let inputs = read_tensors(input)?;
    let program = graph.program(&args.graph.dims(), Some(&inputs))?;
    let engine = Engine::start(global.plugin.as_deref(), &mut |note| console.note(note))?;
    let (running, took) = graph.bring_up(&engine, program)?;
    console.detail(&took.summary());
    Ok(running.run(&inputs)?)
}

/// Runs a ported graph on the tensors of a file.
pub(super) fn ported(
    artefact: &GraphArtefact,
    input: &Path,
    args: &RunArgs,
    global: &Global,
    console: &Console,
) -> Result<Exit, Failure> {
    in_own_types(args.dtype)?;
    if !args.graph.dims().is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "a port has its sizes: leave --dim out, or port the graph again",
        ));
    }
    let inputs = read_tensors(input)?;
    let ported = artefact.ported();
    ported.fits(&inputs)?;
    let engine = Engine::start(global.plugin.as_deref(), &mut |note| console.note(note))?;
    let (running, took) = ported.bring_up(&engine)?;
    console.detail(&took.summary());
    finish(args, &running.run(&inputs)?, console)
}

/// Refuses another type than the file's.
pub(crate) fn in_own_types(dtype: RunDType) -> Result<(), Failure> {
    if dtype == RunDType::F32 {
        return Ok(());
    }
    let message = format!("an ONNX graph runs in its own types: leave --dtype {} out", dtype.name());
    Err(Failure::new(Exit::Usage, message))
}

fn finish(
    args: &RunArgs,
    outputs: &BTreeMap<String, HostTensor>,
    console: &Console,
) -> Result<Exit, Failure> {
    if let Some(path) = &args.output {
        write_tensors(path, outputs)?;
    }
    let entries = outputs.iter().map(|(name, tensor)| entry(name, tensor)).collect::<Result<Vec<_>, _>>()?;
    console.result(&entries, |entries| render(entries))?;
    Ok(Exit::Done)
}

/// Every tensor of a file as integers.
fn read(file: &dyn Checkpoint) -> Result<Sequences, PipelineError> {
    let mut sequences = Sequences::default();
    for (name, info) in file.tensors() {
        let view = file.tensor(name)?;
        let dtype = info.encoding.dtype().unwrap_or(DType::F32);
        let integers = View::new(dtype, info.shape.clone(), view.bytes).ok().and_then(|v| v.to_i64());
        let values = integers.ok_or_else(|| {
            PipelineError::Usage(format!(
                "{name} is {}: whole numbers (i64 or i32) are expected",
                info.encoding
            ))
        })?;
        sequences.insert(name, Shape::new(info.shape.to_vec()), values);
    }
    Ok(sequences)
}

fn entry(name: &str, tensor: &HostTensor) -> Result<Entry, PipelineError> {
    let ty = tensor.ty();
    let view = View::new(ty.dtype, ty.shape.clone(), tensor.bytes()).map_err(MeasureError::from)?;
    let values = view.to_f64();
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    Ok(Entry {
        name: name.to_owned(),
        shape: tensor.ty().shape.to_vec(),
        mean,
        std: variance.sqrt(),
        first: values.into_iter().take(4).collect(),
    })
}

fn render(entries: &[Entry]) -> String {
    let rows = entries.iter().map(|e| {
        let first: Vec<String> = e.first.iter().map(|v| format!("{v:.5}")).collect();
        vec![
            e.name.clone(),
            format!("{:?}", e.shape),
            format!("{:.5}", e.mean),
            format!("{:.5}", e.std),
            first.join(" "),
        ]
    });
    table::render(&["OUTPUT", "SHAPE", "MEAN", "STD", "FIRST"], rows, &[2, 3])
}
