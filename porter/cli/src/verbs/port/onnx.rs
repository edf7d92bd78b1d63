//! Porting an ONNX graph.

use std::{path::Path, time::Instant};

use porter_numerics::{Judge, Report, Subject};
use porter_pipeline::{
    Engine,
    artefact::{GraphPort, PortedGraph},
    onnx::{Graph, Reference, read_tensors},
};
use porter_weights::stream::Conversion;

use super::{Checked, checked, write};
use crate::{
    args::{Global, GraphArgs, PortArgs},
    console::Console,
    exit::{Exit, Failure},
    progress::Working,
};

/// Ports the graph. It runs in the types of the file.
pub(super) fn run(
    graph: &Graph,
    args: &PortArgs,
    global: &Global,
    console: &Console,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    refuse_sequences(args)?;
    let inputs = args.input.as_deref().map(read_tensors).transpose()?;
    let rewrites = args.rewrites.chosen()?;
    let port = GraphPort::new(graph, &args.graph.dims(), inputs.as_deref(), &args.target, rewrites)?;
    for done in port.rewrites() {
        console.note(&format!("{}: {}", done.rewrite, done.reason));
    }
    let check = |folder: &Path| {
        let reference = Reference::open(folder, graph)?;
        report(&port.ported(), &graph.files.name, &reference, (folder, Judge::default()), global, console)
    };
    let record = match checked(args, check, console)? {
        Checked::Refused(exit) => return Ok(exit),
        Checked::Written(record) => record,
    };
    let layout = port.layout(args.writing.max_shard_size.0, record)?;
    let what =
        format!("{} ported to {}: {:?}, rewrites {rewrites}", graph.files.name, args.target, port.record());
    write(&Conversion { what: &what, checkpoint: port.checkpoint(), layout: &layout }, args, started, console)
}

/// Refuses what a model of sequences alone is asked for.
fn refuse_sequences(args: &PortArgs) -> Result<(), Failure> {
    GraphArgs::refuse_sequences(&[
        ("--dtype", args.dtype.is_some()),
        ("--batch", args.batch.is_some()),
        ("--prompt", !args.prompt.is_empty()),
        ("--context", args.context.is_some()),
        ("--quantize", args.quantize.is_some()),
        ("--cache-dtype", args.cache_dtype.is_some()),
        ("--mesh", args.mesh.mesh.is_some()),
    ])
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
        dtype: "its own types".to_owned(),
        reference: folder.display().to_string(),
        plugin: engine.client.platform().to_owned(),
    };
    Ok(Report::new(subject, findings))
}
