//! `porter compile MODEL --target CHIP:SHAPE`: what the TPU compiler makes of a model, without a TPU.

mod attribute;
mod onnx;
mod ported;

use std::{collections::BTreeMap, env, fs, iter, time::Duration};

use porter_ir::Mesh;
use porter_pipeline::{
    Ahead, Answer, Answers, Chosen, Fitting, Variant, artefact, compiler_for, onnx::find, open_config, phases,
};
use porter_plan::{Estimate, Target, html};
use porter_rewrite::{Applied, Collective};
use porter_runtime::aot;
use serde::Serialize;

pub(super) use ported::{Compiling, compile as compile_port};

use crate::{
    args::{CompileArgs, Global},
    console::{Console, Tone, printable},
    exit::{self, Exit, Failure},
    fact::Fact,
    progress::Fetching,
    table,
};

/// Slots of the cache where nothing is said.
const CONTEXT: usize = 1024;

/// What `porter compile` says. Sizes in bytes a device, times in seconds.
#[derive(Serialize)]
pub(super) struct Document {
    model: String,
    /// The class of the model, or the format of a graph.
    architecture: &'static str,
    target: Target,
    chips: usize,
    devices: usize,
    /// The axes of the devices, as `data=2,tensor=4`; none where there is one.
    mesh: Option<String>,
    #[serde(flatten)]
    sizes: Sizes,
    /// What was done to the programs, in order.
    rewrites: Vec<Rewrite>,
    /// The target's rewrites that found nothing to do, and what they look for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_alone: Vec<Rewrite>,
    programs: Vec<Row>,
    /// What each of the target's rewrites brings, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    attribution: Option<Vec<attribute::Form>>,
    notes: Vec<String>,
}

/// A rewrite that was applied.
#[derive(Serialize)]
struct Rewrite {
    rewrite: &'static str,
    reason: String,
}

/// For what sizes the programs are.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Sizes {
    /// Those of a model of the zoo.
    Sequences { dtype: &'static str, batch: usize, prompt: usize, context: usize },
    /// Those that a port was written for: its programs' names say them.
    Ported { dtype: &'static str },
    /// Those of a graph's inputs, by name.
    Inputs { inputs: BTreeMap<String, String> },
}

/// One program.
#[derive(Serialize)]
struct Row {
    program: String,
    /// None where the compiler failed for another reason.
    fits: Option<bool>,
    /// The most in use at one time.
    peak: Option<i64>,
    /// What a device has.
    available: Option<u64>,
    /// What a program needs that does not fit.
    needed: Option<u64>,
    arguments: Option<i64>,
    temporaries: Option<i64>,
    code: Option<i64>,
    compile: Option<f64>,
    estimate: Option<Estimate>,
    /// How many collectives of each kind the layout asks for; those that were compiled are in the estimate.
    predicted: BTreeMap<&'static str, usize>,
    /// Why there is no estimate.
    error: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

pub(super) fn run(args: &CompileArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    // A configuration alone is no model to the resolver; what is nothing at all is told below.
    if let Ok(Some(graph)) = find(&args.model, &Fetching::new(console)) {
        return onnx::run(&graph, target(args)?, args, global, console);
    }
    if let Some(artefact) = artefact::find(&args.model)? {
        return ported::run(artefact, args, global, console);
    }
    let target = target(args)?;
    if args.executables {
        return Err(Failure::new(Exit::Usage, "--executables keeps those of what `porter port` wrote"));
    }
    let model = open_config(&args.model, &args.ignore_config, &Fetching::new(console))?;
    let positions = model.model.dimensions().max_positions;
    let context = args.context.unwrap_or_else(|| args.prompt.unwrap_or(CONTEXT).max(CONTEXT).min(positions));
    let prompt = args.prompt.unwrap_or(context);
    let phases = phases(&model.model, args.batch, &[prompt], context)?;
    let meshing = args.mesh.meshing()?;

    let compiler = compiler(args.time_limit, global, console)?;
    console.note(&format!("compiling {} programs of {} for {}", phases.len(), model.name, target));
    let ahead = Ahead { compiler, target: target.clone(), meshing };
    let rewrites = args.rewrites.chosen()?;
    let variant = Variant { rewrites, ..args.narrow.variant(args.dtype()) };
    let answers = ahead.compile(&model, &phases, &variant)?;
    let forms = || {
        let all = (&answers.programs[..], &answers.applied[..]);
        attribute::forms(&ahead, &model, &phases, &variant, all, console)
    };
    let attribution = args.attribute.then(forms).transpose()?;

    let sizes = Sizes::Sequences { dtype: args.dtype().name(), batch: args.batch, prompt, context };
    let left_alone = left_alone(rewrites, &answers.applied);
    let document = document(target, sizes, (model.name, model.model.class()), answers);
    present(&Document { left_alone, attribution, ..document }, args, console)
}

/// The target, which only a port says itself.
fn target(args: &CompileArgs) -> Result<&Target, Failure> {
    let missing = || Failure::new(Exit::Usage, "give --target CHIP:SHAPE, as v6e:2x4");
    args.target.as_ref().ok_or_else(missing)
}

/// The TPU compiler, in processes of its own that are stopped after `seconds`.
pub(super) fn compiler(seconds: usize, global: &Global, console: &Console) -> Result<aot::Compiler, Failure> {
    let this = env::current_exe()
        .map_err(|e| Failure::new(Exit::Environment, format!("cannot find porter's own program: {e}")))?;
    let worker = (this, vec!["aot-worker".into()]);
    let time_limit = Duration::from_secs(seconds as u64);
    Ok(compiler_for(global.plugin.as_deref(), worker, time_limit, &mut |text| console.note(text))?)
}

/// Prints a document, and writes it as a page where that was asked for.
fn present(document: &Document, args: &CompileArgs, console: &Console) -> Result<Exit, Failure> {
    if let Some(path) = &args.html {
        fs::write(path, page(document)).map_err(|e| Failure::write(path, &e))?;
    }
    console.result(document, |document| render(document, console))?;
    Ok(document.exit())
}

/// The hidden verb that compiles one program in a process of its own.
pub(super) fn work() -> Result<Exit, Failure> {
    aot::serve().map_err(|e| Failure::new(Exit::Environment, format!("serve a compiler's request: {e}")))?;
    Ok(Exit::Done)
}

/// What the compiler said.
pub(super) fn document(
    target: &Target,
    sizes: Sizes,
    (model, architecture): (String, &'static str),
    answers: Answers,
) -> Document {
    let Answers { mesh, applied, programs } = answers;
    let programs: Vec<Row> = programs.into_iter().map(Row::new).collect();
    let notes = programs.iter().filter_map(Row::unpredicted).collect();
    Document {
        model,
        architecture,
        target: target.clone(),
        chips: target.chips(),
        devices: target.devices(),
        mesh: mesh.as_ref().map(Mesh::to_string),
        sizes,
        rewrites: applied.into_iter().map(Rewrite::from).collect(),
        left_alone: Vec::new(),
        programs,
        attribution: None,
        notes,
    }
}

impl From<Applied> for Rewrite {
    fn from(applied: Applied) -> Self {
        Self { rewrite: applied.rewrite, reason: applied.reason }
    }
}

/// Which of a TPU's rewrites found nothing to do.
fn left_alone(rewrites: Chosen<'_>, applied: &[Applied]) -> Vec<Rewrite> {
    let applied: Vec<&str> = applied.iter().map(|applied| applied.rewrite).collect();
    let left = rewrites.left_alone(porter_rewrite::Target::Tpu, &applied).into_iter();
    left.map(|(rewrite, reason)| Rewrite { rewrite, reason }).collect()
}

/// How many collectives there are of each kind.
fn counts(collectives: &[Collective]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for collective in collectives {
        *counts.entry(collective.kind).or_insert(0) += collective.count;
    }
    counts
}

impl Row {
    fn new(answer: Answer) -> Self {
        let oom = answer.out_of_memory().cloned();
        let row = Self {
            program: answer.program,
            fits: None,
            peak: None,
            available: None,
            needed: None,
            arguments: None,
            temporaries: None,
            code: None,
            compile: None,
            estimate: None,
            predicted: counts(&answer.predicted),
            error: None,
            exit: Exit::Done,
        };
        match (answer.outcome, oom) {
            (Ok(Fitting { compiled, estimate }), _) => Self {
                fits: Some(true),
                peak: Some(compiled.memory.peak),
                available: compiled.device_memory(),
                arguments: Some(compiled.memory.arguments),
                temporaries: Some(compiled.memory.temporaries),
                code: Some(compiled.memory.code),
                compile: Some(compiled.time.as_secs_f64()),
                estimate: Some(estimate),
                ..row
            },
            (Err(error), Some(oom)) => Self {
                fits: Some(false),
                needed: oom.needed,
                available: oom.available,
                error: Some(error.to_string()),
                exit: Exit::No,
                ..row
            },
            (Err(error), None) => Self { exit: exit::runtime(&error), error: Some(error.to_string()), ..row },
        }
    }

    /// What the compiler added to the collectives that the layout asks for. Fewer are those that it joined.
    fn unpredicted(&self) -> Option<String> {
        let estimate = self.estimate.as_ref()?;
        let compiled: BTreeMap<&str, usize> =
            estimate.collectives.iter().map(|c| (c.kind.as_str(), c.count.round() as usize)).collect();
        let list = |counts: &BTreeMap<&str, usize>| {
            if counts.is_empty() { "none".to_owned() } else { table::counted(counts) }
        };
        let most = |kind: &str| self.predicted.get(kind).copied().unwrap_or(0);
        compiled.iter().any(|(kind, &count)| count > most(kind)).then(|| {
            format!(
                "{}: the compiled collectives are {}, the layout asks for {}",
                self.program,
                list(&compiled),
                list(&self.predicted)
            )
        })
    }

    fn fits(&self) -> &'static str {
        match self.fits {
            Some(true) => "fits",
            Some(false) => "does not fit",
            None => "failed",
        }
    }

    fn memory(&self) -> String {
        let used = self.peak.map(|peak| peak as f64).or(self.needed.map(|needed| needed as f64));
        match (used, self.available) {
            (Some(used), Some(available)) => {
                format!("{} of {}", table::size(used), table::size(available as f64))
            }
            (Some(used), None) => table::size(used),
            (None, _) => "-".to_owned(),
        }
    }

    fn cells(&self, console: &Console) -> Vec<String> {
        let estimate = self.estimate.as_ref();
        let of = |text: &dyn Fn(&Estimate) -> String| estimate.map_or_else(|| "-".to_owned(), text);
        let tone = if self.fits == Some(true) { Tone::Good } else { Tone::Bad };
        vec![
            self.program.clone(),
            self.memory(),
            of(&|e| format!("{:.3} ms", e.seconds * 1e3)),
            of(&|e| e.bound.to_string()),
            of(&|e| format!("{:.1}%", 100.0 * e.mfu)),
            of(&|e| format!("{:.0}%", 100.0 * e.hbm_share)),
            self.compile.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s")),
            console.paint(self.fits(), tone),
        ]
    }

    /// What the page says beside the estimate.
    fn facts(&self) -> Vec<Fact> {
        let fact = |name: &str, value: String| Fact::new(name, value);
        let seconds = self.compile.map(|seconds| fact("compile time", format!("{seconds:.1} s")));
        let error = self.error.as_ref().map(|error| fact("why", error.clone()));
        let estimate = self.estimate.as_ref().into_iter().flat_map(|e| {
            [
                fact("estimate", format!("{:.3} ms a run, bound by {}", e.seconds * 1e3, e.bound)),
                fact("MFU", format!("{:.1}%", 100.0 * e.mfu)),
                fact("HBM busy", format!("{:.0}%", 100.0 * e.hbm_share)),
                fact("links busy", format!("{:.0}%", 100.0 * e.ici_share)),
                fact("the compiler's windows alone", format!("{:.3} ms", e.window_seconds * 1e3)),
            ]
        });
        let memory = [fact("verdict", self.fits().to_owned()), fact("peak HBM of a device", self.memory())];
        memory.into_iter().chain(estimate).chain(seconds).chain(error).collect()
    }
}

impl Document {
    /// What does not fit is a no; a compiler that fails is worse, an environment that does worst.
    pub(super) fn exit(&self) -> Exit {
        let exits = || self.programs.iter().map(|row| row.exit);
        let worst = [Exit::Environment, Exit::Unsupported, Exit::No].into_iter();
        worst.into_iter().find(|&worst| exits().any(|exit| exit == worst)).unwrap_or(Exit::Done)
    }

    /// A section of a page for each program.
    pub(super) fn sections(&self) -> impl Iterator<Item = html::Section<'_>> {
        self.programs.iter().map(section)
    }

    /// Each program in a line.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let estimate = |e: &Estimate| format!(", {:.3} ms a run, bound by {}", e.seconds * 1e3, e.bound);
        let fact = |row: &Row| {
            let estimate = row.estimate.as_ref().map_or_else(String::new, estimate);
            Fact::new(&row.program, format!("{}, {}{estimate}", row.fits(), row.memory()))
        };
        self.programs.iter().map(fact).collect()
    }

    fn subtitle(&self) -> String {
        let sizes = match &self.sizes {
            Sizes::Sequences { dtype, batch, prompt, context } => {
                format!("in {dtype}: batch {batch}, prompt {prompt}, context {context}")
            }
            Sizes::Ported { dtype } => format!("in {dtype}, as ported"),
            Sizes::Inputs { inputs } => {
                let inputs: Vec<String> = inputs.iter().map(|(name, ty)| format!("{name} {ty}")).collect();
                format!("with {}", inputs.join(", "))
            }
        };
        let mesh = self.mesh.as_ref().map_or_else(String::new, |mesh| format!(" as {mesh}"));
        format!("{} on {}{mesh} {sizes}", self.architecture, self.target)
    }
}

fn section(row: &Row) -> html::Section<'_> {
    let facts = row.facts().into_iter().map(Into::into).collect();
    html::Section { title: row.program.clone(), facts, estimate: row.estimate.as_ref() }
}

fn page(document: &Document) -> String {
    let sections: Vec<html::Section<'_>> = document.sections().collect();
    let subtitle =
        iter::once(document.subtitle()).chain(document.notes.clone()).collect::<Vec<_>>().join("; ");
    html::page(&format!("{} on {}", document.model, document.target), &subtitle, &sections)
}

pub(super) fn render(d: &Document, console: &Console) -> String {
    let heading = ["PROGRAM", "PEAK HBM", "ESTIMATE", "BOUND", "MFU", "HBM", "COMPILE", ""];
    let rows = d.programs.iter().map(|row| row.cells(console));
    let mut parts = vec![
        format!("{}  {}", console.paint(&printable(&d.model), Tone::Strong), d.subtitle()),
        table::render(&heading, rows, &[1, 2, 4, 5, 6]),
    ];
    for row in &d.programs {
        let name = console.paint(&row.program, Tone::Strong);
        if let Some(estimate) = &row.estimate {
            parts.push(format!("{name}: {}", estimate.to_string().trim_end()));
        }
        if let Some(error) = &row.error {
            let lines: Vec<String> = error.lines().map(printable).collect();
            parts.push(format!("{name}: {}", lines.join("\n  ")));
        }
    }
    parts.extend(d.attribution.as_deref().map(attribute::render));
    let rewrites = d.rewrites.iter().map(|Rewrite { rewrite, reason }| format!("{rewrite}: {reason}"));
    let left = d.left_alone.iter();
    let left = left.map(|Rewrite { rewrite, reason }| format!("left alone: {rewrite}: {reason}"));
    let rewrites = rewrites.chain(left).collect::<Vec<_>>().join("\n");
    parts.extend((!rewrites.is_empty()).then(|| console.paint(&rewrites, Tone::Dim)));
    parts.extend(d.notes.iter().map(|note| console.paint(note, Tone::Dim)));
    parts.join("\n\n")
}
