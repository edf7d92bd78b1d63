//! `porter port MODEL --target CHIP:SHAPE -o OUT`: a model as its target wants it.

mod onnx;

use std::{path::Path, time::Instant};

use porter_numerics::{Bundle, Judge, Report, Subject, Verdict};
use porter_pipeline::{
    PipelineError, Variant,
    artefact::{CheckRecord, Port, Ported},
    convert::place,
    onnx::find,
    open_with, phases,
};
use porter_weights::stream::{self, Conversion};

use super::convert;
use crate::{
    args::{Global, PortArgs, RunDType},
    console::Console,
    exit::{Exit, Failure},
    progress::{Converting, Fetching, Working},
};

pub(super) use onnx::report as graph_report;

/// Slots of the cache where nothing is said.
const CONTEXT: usize = 1024;

pub(super) fn run(args: &PortArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let started = Instant::now();
    let model = &args.model;
    if let Some(graph) = find(&model.model, &Fetching::new(console))? {
        return onnx::run(&graph, args, global, console);
    }
    if args.input.is_some() || !args.graph.dims().is_empty() {
        return Err(Failure::new(Exit::Usage, "--dim and --input are for ONNX graphs: leave them out"));
    }
    let (dtype, batch) = (args.dtype.unwrap_or(RunDType::Bf16), args.batch.unwrap_or(1));
    let opened = open_with(&model.model, &model.ignore_config, &model.options(), &Fetching::new(console))?;
    let positions = opened.model.dimensions().max_positions;
    let longest = args.prompt.iter().copied().max();
    let context = args.context.unwrap_or_else(|| longest.unwrap_or(CONTEXT).max(CONTEXT).min(positions));
    let prompts = if args.prompt.is_empty() { vec![context] } else { args.prompt.clone() };
    let phases = phases(&opened.model, batch, &prompts, context)?;
    let quantize = args.quantize.map(Into::into);
    let rewrites = args.rewrites.chosen()?;
    let cache = args.cache_dtype.map(Into::into);
    let variant = Variant { quantize, cache, rewrites, ..Variant::new(dtype.into()) };
    let port = Port::new(&opened, phases, variant, &args.target, &args.mesh.meshing()?)?;
    for applied in port.applied() {
        console.note(&format!("{}: {}", applied.rewrite, applied.reason));
    }

    let check = |path: &Path| {
        let bundle = Bundle::open(path).map_err(PipelineError::from)?;
        let name = path.display().to_string();
        report(&port.ported(), &opened.files.name, &bundle, (&name, Judge::default()), global, console)
    };
    let record = match checked(args, check, console)? {
        Checked::Refused(exit) => return Ok(exit),
        Checked::Written(record) => record,
    };
    let layout = port.layout(args.writing.max_shard_size.0, record)?;
    let what = format!(
        "{} ported to {}: dtype {}, {:?}, cache {:?}, rewrites {rewrites}, batch {}, prompts {prompts:?}, context \
         {context}",
        opened.files.name,
        args.target,
        dtype.name(),
        args.quantize,
        args.cache_dtype,
        batch
    );
    let conversion = Conversion { what: &what, checkpoint: &*opened.checkpoint, layout: &layout };
    write(&conversion, args, started, console)
}

/// Writes the artefact.
fn write(
    conversion: &Conversion<'_>,
    args: &PortArgs,
    started: Instant,
    console: &Console,
) -> Result<Exit, Failure> {
    let store = place(&args.output, false)?;
    let options = convert::options(&args.writing, None);
    let observer = Converting::new(console);
    let summary = stream::write(conversion, &*store, &options, &observer)?;
    let mut document = convert::Document::new(&args.output, summary, started);
    if args.writing.verify {
        stream::verify(conversion, &*store, &options, &observer)?;
        document.verified = Some(true);
    }
    console.result(&document, convert::render)?;
    Ok(Exit::Done)
}

/// What became of the check.
enum Checked {
    /// Nothing may be written.
    Refused(Exit),
    /// What the manifest says of it.
    Written(Option<CheckRecord>),
}

/// Runs the port's programs against the reference, where there is one.
fn checked(
    args: &PortArgs,
    check: impl FnOnce(&Path) -> Result<Report, Failure>,
    console: &Console,
) -> Result<Checked, Failure> {
    let Some(path) = &args.reference else { return Ok(Checked::Written(None)) };
    let name = path.display().to_string();
    let report = check(path)?;
    let pass = report.verdict() == Verdict::Pass;
    if !pass && !args.accept {
        console.note("nothing is written: numbers are over their budgets; --accept writes it all the same");
        console.result(&report, |report| super::check::render(report, console))?;
        return Ok(Checked::Refused(Exit::No));
    }
    Ok(Checked::Written(Some(CheckRecord::new(&name, report.findings(), pass))))
}

/// A port's numbers against a bundle's.
pub(super) fn report(
    ported: &Ported<'_>,
    model: &str,
    bundle: &Bundle,
    (name, judge): (&str, Judge<'_>),
    global: &Global,
    console: &Console,
) -> Result<Report, Failure> {
    let engine = ported.engine(global.plugin.as_deref(), &mut |note| console.note(note))?;
    let findings = ported.check(&engine, bundle, judge, &Working::new(console))?;
    let subject = Subject {
        model: model.to_owned(),
        dtype: ported.dtype.name().to_owned(),
        reference: name.to_owned(),
        plugin: engine.client.platform().to_owned(),
    };
    Ok(Report::new(subject, findings))
}
