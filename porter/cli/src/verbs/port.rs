//! `porter port MODEL --target CHIP:SHAPE -o OUT`: a model as its target wants it.

mod onnx;

use std::{path::Path, time::Instant};

use porter_numerics::{Bundle, Judge, Report, Subject, Verdict};
use porter_pipeline::{
    Chosen, Meshing, PipelineError, Variant,
    artefact::{CheckRecord, Port, Ported},
    check::{Computed, Inputs, Reference},
    convert::place,
    onnx::find,
    open_with, phases,
};
use porter_weights::{
    Checkpoint,
    stream::{self, Conversion},
    write::Layout,
};

use super::convert;
use crate::{
    args::{BUILTIN, Global, PortArgs, RunDType},
    console::Console,
    exit::{Exit, Failure},
    fact::Fact,
    progress::{Converting, Fetching, Working},
};

pub(super) use onnx::report as graph_report;

/// Slots of the cache where nothing is said.
const CONTEXT: usize = 1024;

pub(super) fn run(args: &PortArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let Outcome { report, written, .. } = port(args, &args.mesh.meshing()?, global, console)?;
    if let Some(document) = written {
        console.result(&document, convert::render)?;
        return Ok(Exit::Done);
    }
    console.result(&report, |report| {
        report.as_ref().map_or_else(String::new, |report| super::check::render(report, console))
    })?;
    Ok(Exit::No)
}

/// What became of a port.
pub(super) struct Outcome {
    pub(super) tried: Tried,
    /// Its numbers, where they were compared.
    pub(super) report: Option<Report>,
    /// What was written; none where numbers are over their budgets.
    pub(super) written: Option<convert::Document>,
}

/// Ports a model or a graph, the model laid out as `meshing` says.
pub(super) fn port(
    args: &PortArgs,
    meshing: &Meshing,
    global: &Global,
    console: &Console,
) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let model = &args.model;
    if let Some(graph) = find(&model.model, &Fetching::new(console))? {
        return onnx::port(&graph, args, global, console);
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
    let rewrites = args.rewrites.chosen()?;
    let variant = Variant { rewrites, ..args.narrow.variant(dtype) };
    let port = Port::new(&opened, phases, variant, &args.target, meshing)?;
    let applied = port.applied().iter().map(|applied| (applied.rewrite, &*applied.reason));
    let tried = Tried::new(applied, rewrites);

    let check = |name: &str| {
        let bundle = if name == BUILTIN {
            Reference::Computed(Computed::new(&opened, Inputs::Standard, &Working::new(console))?)
        } else {
            Reference::Recorded(Bundle::open(Path::new(name)).map_err(PipelineError::from)?)
        };
        let judged = (name, Judge::default());
        report(&port.ported(), &opened.files.name, bundle.bundle(), judged, global, console)
    };
    let writing = Writing { args, started, tried, console };
    let what = format!(
        "{} ported to {}: dtype {}, {:?}, rewrites {rewrites}, batch {}, prompts {prompts:?}, context {context}",
        opened.files.name,
        args.target,
        dtype.name(),
        args.narrow,
        batch
    );
    let layout = |record| port.layout(args.writing.max_shard_size.0, record);
    writing.write((&what, &*opened.checkpoint), check, layout)
}

/// What was done to programs, and what the target's other rewrites look for.
pub(super) struct Tried {
    pub(super) applied: Vec<Fact>,
    pub(super) left_alone: Vec<Fact>,
}

impl Tried {
    fn new<'a>(applied: impl Iterator<Item = (&'a str, &'a str)>, rewrites: Chosen<'_>) -> Self {
        let applied: Vec<(&str, &str)> = applied.collect();
        let names: Vec<&str> = applied.iter().map(|(name, _)| *name).collect();
        let left = rewrites.left_alone(porter_rewrite::Target::Tpu, &names).into_iter();
        Self {
            applied: applied.iter().map(|&(name, reason)| Fact::new(name, reason)).collect(),
            left_alone: left.map(|(name, reason)| Fact::new(name, reason)).collect(),
        }
    }

    fn tell(&self, console: &Console) {
        for Fact { name, value } in &self.applied {
            console.note(&format!("{name}: {value}"));
        }
        for Fact { name, value } in &self.left_alone {
            console.detail(&format!("left alone: {name}: {value}"));
        }
    }
}

/// What is written, once it was checked.
struct Writing<'a> {
    args: &'a PortArgs,
    started: Instant,
    tried: Tried,
    console: &'a Console,
}

impl Writing<'_> {
    /// Runs the port's programs against the reference, where there is one, and writes the artefact where they pass.
    fn write(
        self,
        (what, checkpoint): (&str, &dyn Checkpoint),
        check: impl FnOnce(&str) -> Result<Report, Failure>,
        layout: impl FnOnce(Option<CheckRecord>) -> Result<Layout, PipelineError>,
    ) -> Result<Outcome, Failure> {
        let Self { args, started, tried, console } = self;
        tried.tell(console);
        let name = args.reference.as_ref().map(|path| path.display().to_string());
        let report = name.as_deref().map(check).transpose()?;
        let pass = report.as_ref().is_none_or(|report| report.verdict() == Verdict::Pass);
        if !pass && !args.accept {
            console
                .note("nothing is written: numbers are over their budgets; --accept writes it all the same");
            return Ok(Outcome { tried, report, written: None });
        }
        let record = name.zip(report.as_ref());
        let layout = layout(record.map(|(name, report)| CheckRecord::new(&name, report.findings(), pass)))?;
        let conversion = Conversion { what, checkpoint, layout: &layout };
        let store = place(&args.output, false)?;
        let options = convert::options(&args.writing, None);
        let observer = Converting::new(console);
        let summary = stream::write(&conversion, &*store, &options, &observer)?;
        let mut document = convert::Document::new(&args.output, summary, started);
        if args.writing.verify {
            stream::verify(&conversion, &*store, &options, &observer)?;
            document.verified = Some(true);
        }
        Ok(Outcome { tried, report, written: Some(document) })
    }
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
