//! Compiling an ONNX graph.

use std::collections::BTreeMap;

use porter_pipeline::{
    Ahead, Job,
    onnx::{ForTpu, Graph, GraphForm, Products, read_tensors},
};
use porter_plan::Target;

use super::{Document, Rewrite, Row, Sizes, compiler, left_alone, present};
use crate::{
    args::{CompileArgs, Global},
    console::Console,
    exit::{Exit, Failure},
    table,
};

/// Compiles the graph's programs. They run in the types of the file.
pub(super) fn run(
    graph: &Graph,
    target: &Target,
    args: &CompileArgs,
    global: &Global,
    console: &Console,
) -> Result<Exit, Failure> {
    let inputs = args.input.as_deref().map(read_tensors).transpose()?;
    let rewrites = args.rewrites.chosen()?;
    let form = GraphForm { products: Products::of(args.dtype.map(Into::into))?, rewrites };
    let graph_for_tpu = graph.for_tpu(&args.graph.dims(), inputs.as_deref(), form)?;
    let ForTpu { before, main, arguments, recognised, applied, .. } = graph_for_tpu;
    let compiler = compiler(args.time_limit, global, console)?;
    console.note(&format!("compiling {} for {}", graph.files.name, target));
    let ahead = Ahead { compiler, target: target.clone(), meshing: args.mesh.meshing()? };
    let jobs: Vec<Job> = before.into_iter().chain([main]).collect();
    let answers = ahead.answers(&jobs, false)?;
    let document = Document {
        model: graph.files.name.clone(),
        architecture: "ONNX",
        target: target.clone(),
        chips: target.chips(),
        devices: target.devices(),
        mesh: None,
        sizes: Sizes::Inputs { inputs: arguments },
        left_alone: left_alone(rewrites, &applied),
        rewrites: applied.into_iter().map(Rewrite::from).collect(),
        programs: answers.into_iter().map(Row::new).collect(),
        attribution: None,
        notes: unsharded(target).into_iter().chain(lifted(&recognised)).collect(),
    };
    present(&document, args, console)
}

/// What was found in the graph.
fn lifted(recognised: &BTreeMap<String, usize>) -> Option<String> {
    (!recognised.is_empty()).then(|| format!("recognised: {}", table::counted(recognised)))
}

/// A remark for a target of several devices.
fn unsharded(target: &Target) -> Option<String> {
    let devices = target.devices();
    let text =
        || format!("not sharded: each program runs on one of {devices} devices, the others would run copies");
    (devices > 1).then(text)
}
