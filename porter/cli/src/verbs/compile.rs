//! `porter compile MODEL --target CHIP:SHAPE`: what the TPU compiler makes of a model, without a TPU.

use std::{env, fs, iter, time::Duration};

use porter_pipeline::{Ahead, Answer, Configured, Fitting, Variant, compiler_for, open_config, phases};
use porter_plan::{Estimate, Target, html};
use porter_runtime::aot;
use serde::Serialize;

use crate::{
    args::{CompileArgs, Global},
    console::{Console, Tone, printable},
    exit::{self, Exit, Failure},
    progress::Fetching,
    table,
};

/// Slots of the cache where nothing is said.
const CONTEXT: usize = 1024;

/// What `porter compile` says. Sizes in bytes a device, times in seconds.
#[derive(Serialize)]
struct Document {
    model: String,
    architecture: &'static str,
    target: Target,
    chips: usize,
    devices: usize,
    dtype: &'static str,
    batch: usize,
    prompt: usize,
    context: usize,
    programs: Vec<Row>,
    notes: Vec<String>,
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
    /// Why there is no estimate.
    error: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

pub(super) fn run(args: &CompileArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let model = open_config(&args.model, &args.ignore_config, &Fetching::new(console))?;
    let positions = model.model.dimensions().max_positions;
    let context = args.context.unwrap_or_else(|| args.prompt.unwrap_or(CONTEXT).max(CONTEXT).min(positions));
    let prompt = args.prompt.unwrap_or(context);
    let phases = phases(&model, args.batch, prompt, context)?;

    let this = env::current_exe()
        .map_err(|e| Failure::new(Exit::Environment, format!("cannot find porter's own program: {e}")))?;
    let time_limit = Duration::from_secs(args.time_limit as u64);
    let worker = (this, vec!["aot-worker".into()]);
    let compiler =
        compiler_for(global.plugin.as_deref(), worker, time_limit, &mut |text| console.note(text))?;
    console.note(&format!("compiling {} programs of {} for {}", phases.len(), model.name, args.target));
    let ahead = Ahead { compiler, target: args.target.clone() };
    let quantize = args.quantize.map(Into::into);
    let variant = Variant { quantize, ..Variant::new(args.dtype.into()) };
    let answers = ahead.compile(&model, &phases, &variant)?;

    let document = document(args, &model, prompt, context, answers);
    if let Some(path) = &args.html {
        fs::write(path, page(&document)).map_err(|e| Failure::write(path, &e))?;
    }
    console.result(&document, |document| render(document, console))?;
    Ok(document.exit())
}

/// The hidden verb that compiles one program in a process of its own.
pub(super) fn work() -> Result<Exit, Failure> {
    aot::serve().map_err(|e| Failure::new(Exit::Environment, format!("serve a compiler's request: {e}")))?;
    Ok(Exit::Done)
}

fn document(
    args: &CompileArgs,
    model: &Configured,
    prompt: usize,
    context: usize,
    answers: Vec<Answer>,
) -> Document {
    let target = &args.target;
    let unsharded = (target.devices() > 1).then(|| {
        let devices = target.devices();
        format!("not sharded: each program runs on one of {devices} devices, the others would run copies")
    });
    Document {
        model: model.name.clone(),
        architecture: model.model.class(),
        target: target.clone(),
        chips: target.chips(),
        devices: target.devices(),
        dtype: args.dtype.name(),
        batch: args.batch,
        prompt,
        context,
        programs: answers.into_iter().map(Row::new).collect(),
        notes: unsharded.into_iter().collect(),
    }
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

    fn fits(&self) -> &'static str {
        match self.fits {
            Some(true) => "fits",
            Some(false) => "does not fit",
            None => "failed",
        }
    }

    fn memory(&self) -> String {
        let size = |bytes: f64| match bytes {
            b if b < 2_f64.powi(27) => format!("{:.2} MiB", b / 2_f64.powi(20)),
            b => format!("{:.2} GiB", b / 2_f64.powi(30)),
        };
        let used = self.peak.map(|peak| peak as f64).or(self.needed.map(|needed| needed as f64));
        match (used, self.available) {
            (Some(used), Some(available)) => format!("{} of {}", size(used), size(available as f64)),
            (Some(used), None) => size(used),
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
    fn facts(&self) -> Vec<(String, String)> {
        let fact = |name: &str, value: String| (name.to_owned(), value);
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
    fn exit(&self) -> Exit {
        let exits = || self.programs.iter().map(|row| row.exit);
        let worst = [Exit::Environment, Exit::Unsupported, Exit::No].into_iter();
        worst.into_iter().find(|&worst| exits().any(|exit| exit == worst)).unwrap_or(Exit::Done)
    }

    fn subtitle(&self) -> String {
        format!(
            "{} on {} in {}: batch {}, prompt {}, context {}",
            self.architecture, self.target, self.dtype, self.batch, self.prompt, self.context
        )
    }
}

fn section(row: &Row) -> html::Section<'_> {
    html::Section { title: row.program.clone(), facts: row.facts(), estimate: row.estimate.as_ref() }
}

fn page(document: &Document) -> String {
    let sections: Vec<html::Section<'_>> = document.programs.iter().map(section).collect();
    let subtitle =
        iter::once(document.subtitle()).chain(document.notes.clone()).collect::<Vec<_>>().join("; ");
    html::page(&format!("{} on {}", document.model, document.target), &subtitle, &sections)
}

fn render(d: &Document, console: &Console) -> String {
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
    parts.extend(d.notes.iter().map(|note| console.paint(note, Tone::Dim)));
    parts.join("\n\n")
}
