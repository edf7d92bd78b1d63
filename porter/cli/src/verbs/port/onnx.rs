//! Porting an ONNX graph.

use std::{path::Path, time::Instant};

use porter_ir::DType;
use porter_numerics::{Judge, Report, Subject};
use porter_pipeline::{
    Engine,
    artefact::{GraphPort, PortedGraph},
    onnx::{Graph, GraphForm, Products, Reference, read_tensors},
};

use super::{Outcome, Tried, Writing};
use crate::{
    args::{BUILTIN, Global, GraphArgs, PortArgs},
    console::Console,
    exit::{Exit, Failure},
    progress::Working,
};

/// Ports the graph. It runs in the types of the file.
pub(super) fn port(
    graph: &Graph,
    args: &PortArgs,
    global: &Global,
    console: &Console,
) -> Result<Outcome, Failure> {
    let started = Instant::now();
    refuse_sequences(args)?;
    let inputs = args.input.as_deref().map(read_tensors).transpose()?;
    let rewrites = args.rewrites.chosen()?;
    let form = GraphForm { products: Products::of(args.dtype.map(Into::into))?, rewrites };
    let port = GraphPort::new(graph, &args.graph.dims(), inputs.as_deref(), &args.target, form)?;
    let check = |name: &str| {
        if name == BUILTIN {
            let message = "a graph is checked against what somebody recorded: give --reference FOLDER";
            return Err(Failure::new(Exit::Usage, message));
        }
        let folder = Path::new(name);
        let reference = Reference::open(folder, graph)?;
        report(&port.ported(), &graph.files.name, &reference, (folder, Judge::default()), global, console)
    };
    let applied = port.rewrites().iter().map(|done| (&*done.rewrite, &*done.reason));
    let writing = Writing { args, started, tried: Tried::new(applied, rewrites), console };
    let what = format!("{} ported to {}: {:?}, {form:?}", graph.files.name, args.target, port.record());
    let layout = |record| port.layout(args.writing.max_shard_size.0, record);
    writing.write((&what, port.checkpoint()), check, layout)
}

/// Refuses what a model of sequences alone is asked for.
fn refuse_sequences(args: &PortArgs) -> Result<(), Failure> {
    let sizes = [
        ("--batch", args.batch.is_some()),
        ("--prompt", !args.prompt.is_empty()),
        ("--context", args.context.is_some()),
        ("--mesh", args.mesh.mesh.is_some()),
    ];
    GraphArgs::refuse_sequences(&[&sizes[..], &args.narrow.given()].concat())
}

/// A ported graph's numbers against what was recorded.
pub(in super::super) fn report(
    ported: &PortedGraph<'_>,
    model: &str,
    reference: &Reference,
    (folder, judge): (&Path, Judge<'_>),
    global: &Global,
    console: &Console,
) -> Result<Report, Failure> {
    let engine = Engine::start(global.plugin.as_deref(), &mut |note| console.note(note))?;
    let findings = ported.check(&engine, reference, &judge, &Working::new(console))?;
    let subject = Subject {
        model: model.to_owned(),
        dtype: ported.dtype.map_or("its own types", DType::name).to_owned(),
        reference: folder.display().to_string(),
        plugin: engine.client.platform().to_owned(),
    };
    Ok(Report::new(subject, findings))
}
