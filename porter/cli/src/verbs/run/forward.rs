//! Running a model's forward program on recorded inputs: embeddings, classes, logits.

use std::{collections::BTreeMap, fs, path::Path};

use porter_ir::{DType, Shape};
use porter_numerics::View;
use porter_runtime::{HostTensor, States};
use porter_weights::Checkpoint;
use porter_zoo::Taps;
use safetensors::{Dtype, tensor::TensorView};
use serde::Serialize;

use crate::{
    args::{Global, RunArgs},
    console::Console,
    exit::{Exit, Failure},
    progress::{Fetching, Working},
    table,
};
use porter_pipeline::{Engine, PipelineError, Running, Sequences, Variant, bring_up, open_with};

/// An output in `porter run --input`'s result.
#[derive(Serialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    mean: f64,
    std: f64,
    /// The first elements, in row-major order.
    first: Vec<f32>,
}

pub(super) fn run(input: &Path, args: &RunArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let model = &args.model;
    let opened = open_with(&model.model, &model.ignore_config, &model.options(), &Fetching::new(console))?;
    let sequences = read(&*porter_weights::open(input).map_err(PipelineError::from)?)?;
    let phase = sequences.phase(Taps::None)?;
    let arguments = sequences.arguments(&opened.model)?;

    let engine =
        Engine::start_over(global.plugin.as_deref(), args.mesh.shard()?, &mut |note| console.note(note))?;
    let variant = Variant::new(args.dtype.into());
    let Running { programs, resident } =
        bring_up(&engine, &opened, &[phase], &variant, &Working::new(console))?;
    let mut states = States::zeros(&engine.devices, &programs[0])?;
    let outputs = resident.steps[0].run(&arguments, &mut states)?;

    if let Some(path) = &args.output {
        write(path, &outputs)?;
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

/// Writes the outputs beside `path` and renames them there.
fn write(path: &Path, outputs: &BTreeMap<String, HostTensor>) -> Result<(), Failure> {
    let views: Result<Vec<_>, _> = outputs
        .iter()
        .map(|(name, tensor)| {
            TensorView::new(Dtype::F32, tensor.ty().shape.to_vec(), tensor.bytes()).map(|view| (name, view))
        })
        .collect();
    let serialized = views.and_then(|views| safetensors::serialize(views, None));
    let bytes = serialized
        .map_err(|e| Failure::new(Exit::Environment, format!("cannot write {}: {e}", path.display())))?;
    let beside = path.with_extension("safetensors.partial");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(|e| Failure::write(path, &e))
}

fn entry(name: &str, tensor: &HostTensor) -> Result<Entry, PipelineError> {
    let values = tensor.to_vec::<f32>()?;
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
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
