//! `porter plan MODEL --target CHIP:SHAPE`: which mesh, and whether the model fits, from its config or graph alone.

mod onnx;
mod search;

use std::{fs, path::Path};

use porter_ir::Mesh;
use porter_pipeline::{
    Ahead, Candidate, Configured, Meshing, Narrow, Objective, Padding, PipelineError, Plan, Planner,
    onnx::find, open_config, phases,
};
use porter_plan::{Buckets, Memory, Prompts, Roofline, Target, Verdict};
use porter_rewrite::{Shard, Tables};
use serde::Serialize;

use crate::{
    args::{Global, PlanArgs},
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    fact::Fact,
    progress::Fetching,
    table,
    verbs::compile,
};

/// Slots of the cache where nothing is said.
const CONTEXT: usize = 1024;
/// What a prefill program's length is a multiple of: a vector register of a TPU has 128 lanes, and scores have a
/// prompt's tokens there.
const TILE: usize = 128;
/// The most prefill programs that are looked at.
const MOST_BUCKETS: usize = 8;
/// What every plan must say of its times.
const CAVEAT: &str =
    "times of the plan are a roofline of the program as it is written: nothing of it was compiled or run";

/// The plan of a model or of a graph.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Planned {
    Model(Box<Document>),
    Graph(Box<onnx::Document>),
}

/// What `porter plan` says. Sizes in bytes a device, times in seconds.
#[derive(Serialize)]
pub(super) struct Document {
    model: String,
    architecture: &'static str,
    parameters: usize,
    target: Target,
    devices: usize,
    dtype: &'static str,
    /// The type, or the form of the weights, and of the cache where it is another.
    precision: String,
    prompt: usize,
    context: usize,
    /// What a device has for programs.
    available: u64,
    /// The best first.
    candidates: Vec<Row>,
    /// Meshes that the model does not lie over.
    refused: Vec<Refused>,
    /// Where the model does not fit: the smallest target of the chip that it fits, as it lies there.
    smallest: Option<Smallest>,
    /// For one prefill program, two, ... the lengths with the least padding, if prompts were given.
    buckets: Option<Vec<Buckets>>,
    /// What the compiler says of the best candidate.
    verified: Option<compile::Document>,
    /// The forms that the compiler judged, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<Vec<search::Row>>,
    notes: Vec<String>,
    /// How the best candidate lies, if it fits.
    #[serde(skip)]
    best: Option<Shard>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Serialize)]
struct Row {
    mesh: String,
    /// The rule tables.
    rules: String,
    /// What is padded, and why.
    pads: Vec<String>,
    /// Bytes of weights that padding adds, on all devices together.
    padded_bytes: usize,
    /// Operations that padding adds to the program that gets the most, as a share.
    padded_flops: f64,
    batch: usize,
    memory: Memory,
    total: usize,
    fits: bool,
    tokens_a_second: f64,
    programs: Vec<ProgramRow>,
}

#[derive(Serialize)]
struct ProgramRow {
    program: String,
    flops: f64,
    traffic: f64,
    roofline: Roofline,
    collectives: Vec<CollectiveRow>,
}

#[derive(Serialize)]
struct CollectiveRow {
    kind: &'static str,
    axes: Vec<String>,
    count: usize,
    bytes: f64,
}

#[derive(Serialize)]
struct Refused {
    mesh: String,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Smallest {
    target: Target,
    #[serde(flatten)]
    row: Row,
}

pub(super) fn run(args: &PlanArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let planned = plan(args, global, console)?;
    console.result(&planned, |planned| planned.render(console))?;
    Ok(planned.exit())
}

/// Plans a model or a graph.
pub(super) fn plan(args: &PlanArgs, global: &Global, console: &Console) -> Result<Planned, Failure> {
    // A configuration alone is no model to the resolver; what is nothing at all is told below.
    if let Ok(Some(graph)) = find(&args.model, &Fetching::new(console)) {
        return Ok(Planned::Graph(Box::new(onnx::plan(&graph, args, global, console)?)));
    }
    if args.input.is_some() || !args.graph.dims().is_empty() {
        return Err(Failure::new(Exit::Usage, "--dim and --input are for ONNX graphs: leave them out"));
    }
    let model = open_config(&args.model, &args.ignore_config, &Fetching::new(console))?;
    let Meshing { mesh, tables } = args.mesh.meshing()?;
    let tables = match args.mesh.rules {
        Some(_) => vec![tables],
        None => vec![tables, Tables::two_dimensional().map_err(PipelineError::from)?],
    };
    let positions = model.model.dimensions().max_positions;
    let buckets = args.prompts.as_deref().map(buckets).transpose()?;
    let longest = buckets.iter().flatten().filter_map(|buckets| buckets.sizes.last().copied()).max();
    let prompt = args.prompt.or(longest);
    let context = args.context.unwrap_or_else(|| prompt.unwrap_or(CONTEXT).max(CONTEXT).min(positions));
    let variant = args.narrow.variant(args.dtype());
    if let Some(form) = variant.quantize {
        form.serves(args.target.chip())?;
    }
    let planner = Planner {
        model: &model,
        variant,
        tables,
        batch: args.batch,
        prompt: prompt.unwrap_or(context),
        context,
        objective: args.objective.unwrap_or_default().into(),
    };
    let plan = planner.plan(&args.target, mesh.as_ref())?;
    let smallest = if plan.winner().is_some() { None } else { planner.smallest(&args.target)? };
    let verified = match plan.winner() {
        Some(winner) if args.verify => Some(verify(args, &planner, winner, global, console)?),
        _ => None,
    };
    let searched = args.search.map(|meshes| search::rows(args, meshes, &planner, &plan, global, console));
    let searched = searched.transpose()?;
    let exit = match (&verified, &searched, plan.winner()) {
        (Some(document), ..) => document.exit(),
        (None, Some(rows), _) if !rows.iter().any(search::Row::fits) => Exit::No,
        (None, Some(_), _) | (None, None, Some(_)) => Exit::Done,
        (None, None, None) => Exit::No,
    };
    let document = Document {
        buckets,
        search: searched,
        exit,
        ..document(args, &model, &planner, &plan, smallest, verified)?
    };
    Ok(Planned::Model(Box::new(document)))
}

impl Planned {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Planned::Model(document) => document.exit,
            Planned::Graph(document) => document.exit(),
        }
    }

    /// How the best candidate lies, if it fits and there are several devices.
    pub(super) fn meshing(&self) -> Option<Meshing> {
        match self {
            Planned::Model(document) => {
                let Shard { mesh, tables } = document.best.clone()?;
                Some(Meshing { mesh: (mesh.devices() > 1).then_some(mesh), tables })
            }
            Planned::Graph(_) => None,
        }
    }

    /// The plan in a few lines, each with its name.
    pub(super) fn facts(&self) -> Vec<Fact> {
        match self {
            Planned::Model(document) => document.facts(),
            Planned::Graph(document) => document.facts(),
        }
    }

    fn render(&self, console: &Console) -> String {
        match self {
            Planned::Model(document) => render(document, console),
            Planned::Graph(document) => onnx::render(document, console),
        }
    }
}

/// For which lengths of the prompts in a file to have programs.
fn buckets(path: &Path) -> Result<Vec<Buckets>, Failure> {
    let failed = |source| PipelineError::File { doing: "read", path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let refuse = |what: String| Failure::new(Exit::Usage, format!("{}: {what}", path.display()));
    let prompts = Prompts::parse(&text).map_err(|error| refuse(error.to_string()))?;
    let buckets = prompts.buckets(TILE, MOST_BUCKETS);
    if buckets.is_empty() { Err(refuse("it has no lengths of prompts".to_owned())) } else { Ok(buckets) }
}

/// Has the compiler judge the best candidate.
fn verify(
    args: &PlanArgs,
    planner: &Planner<'_>,
    winner: &Candidate,
    global: &Global,
    console: &Console,
) -> Result<compile::Document, Failure> {
    let compiler = compile::compiler(args.time_limit, global, console)?;
    let Shard { mesh, tables } = winner.shard.clone();
    console.note(&format!("compiling the best mesh, {}, for {}", name(&mesh), args.target));
    let meshing = Meshing { mesh: (mesh.devices() > 1).then_some(mesh), tables };
    let phases = phases(&planner.model.model, winner.batch, &[planner.prompt], planner.context)?;
    let answers = Ahead { compiler, target: args.target.clone(), meshing }.compile(
        planner.model,
        &phases,
        &planner.variant,
    )?;
    let sizes = compile::Sizes::Sequences {
        dtype: args.dtype().name(),
        batch: winner.batch,
        prompt: planner.prompt,
        context: planner.context,
    };
    Ok(compile::document(
        &args.target,
        sizes,
        (planner.model.name.clone(), planner.model.model.class()),
        answers,
    ))
}

fn document(
    args: &PlanArgs,
    model: &Configured,
    planner: &Planner<'_>,
    plan: &Plan,
    smallest: Option<Plan>,
    verified: Option<compile::Document>,
) -> Result<Document, Failure> {
    let parameters = model.model.parameters().map_err(PipelineError::from)?;
    let refused = plan.refused.iter().map(|error| Refused {
        mesh: name(&error.mesh),
        problems: error.problems.iter().map(ToString::to_string).collect(),
    });
    let smallest = smallest.and_then(|plan| {
        let row = Row::new(plan.candidates.first()?);
        Some(Smallest { target: plan.target, row })
    });
    let target = &args.target;
    Ok(Document {
        model: model.name.clone(),
        architecture: model.model.class(),
        parameters: parameters.values().map(porter_ir::Shape::elements).sum(),
        target: target.clone(),
        devices: target.devices(),
        dtype: args.dtype().name(),
        precision: Narrow::in_variant(&planner.variant).name(planner.variant.dtype),
        prompt: planner.prompt,
        context: planner.context,
        available: target.chip().usable_hbm.value as u64,
        candidates: plan.candidates.iter().map(Row::new).collect(),
        refused: refused.collect(),
        smallest,
        buckets: None,
        verified,
        search: None,
        notes: vec![CAVEAT.to_owned()],
        best: plan.winner().map(|winner| winner.shard.clone()),
        exit: Exit::Done,
    })
}

impl Document {
    fn facts(&self) -> Vec<Fact> {
        let best = self.candidates.first().into_iter().flat_map(|best| {
            let fits = if best.fits { "fits" } else { "does not fit" };
            let memory =
                format!("{} of {} a device: it {fits}", size(best.total), size(self.available as usize));
            let pads = best.pads.iter().map(|pad| Fact::new("padding", pad));
            let programs = best.programs.iter().map(|program| {
                let Roofline { seconds, bound, .. } = program.roofline;
                Fact::new(
                    &program.program,
                    format!("{:.3} ms at least (a roofline), bound by {bound}", seconds * 1e3),
                )
            });
            let lies = format!("{} by the rules {}, {} rows", best.mesh, best.rules, best.batch);
            [Fact::new("layout", lies), Fact::new("memory", memory)].into_iter().chain(pads).chain(programs)
        });
        let smallest = self.smallest.iter().map(|smallest| {
            Fact::new("smallest that it fits", format!("{} as {}", smallest.target, smallest.row.mesh))
        });
        let refused = self.refused.iter().filter(|_| self.candidates.is_empty());
        let refused = refused.map(|refused| Fact::new(&refused.mesh, refused.problems.join("; ")));
        [Fact::new("precision", &self.precision)]
            .into_iter()
            .chain(best)
            .chain(smallest)
            .chain(refused)
            .collect()
    }
}

/// A mesh, or what stands for that of one device.
fn name(mesh: &Mesh) -> String {
    if mesh.axes.is_empty() { "one device".to_owned() } else { mesh.to_string() }
}

impl Row {
    fn new(candidate: &Candidate) -> Self {
        let program = |p: &porter_pipeline::PlannedProgram| ProgramRow {
            program: p.name.clone(),
            flops: p.demand.flops,
            traffic: p.demand.traffic,
            roofline: p.roofline,
            collectives: p
                .demand
                .exchanges
                .iter()
                .map(|e| CollectiveRow { kind: e.kind, axes: e.axes.clone(), count: e.count, bytes: e.bytes })
                .collect(),
        };
        let Padding { applied, bytes, flops } = &candidate.padding;
        Self {
            mesh: name(&candidate.shard.mesh),
            rules: candidate.shard.tables.name.clone(),
            pads: applied.iter().map(|pad| format!("{}: {}", pad.rewrite, pad.reason)).collect(),
            padded_bytes: *bytes,
            padded_flops: *flops,
            batch: candidate.batch,
            memory: candidate.memory,
            total: candidate.memory.total(),
            fits: candidate.verdict == Verdict::Fits,
            tokens_a_second: candidate.tokens_a_second(),
            programs: candidate.programs.iter().map(program).collect(),
        }
    }

    fn cells(&self, console: &Console) -> Vec<String> {
        let milliseconds = |program: Option<&ProgramRow>| {
            program.map_or_else(|| "-".to_owned(), |p| format!("{:.3} ms", p.roofline.seconds * 1e3))
        };
        let (step, first) = (self.programs.first(), self.programs.get(1));
        vec![
            self.mesh.clone(),
            self.rules.clone(),
            if self.pads.is_empty() { String::new() } else { format!("+{:.1}%", 100.0 * self.padded_flops) },
            self.batch.to_string(),
            gib(self.memory.weights),
            gib(self.memory.cache),
            gib(self.memory.interface + self.memory.temporaries),
            gib(self.total),
            milliseconds(step),
            step.map_or_else(String::new, |p| p.roofline.bound.to_string()),
            milliseconds(first),
            format!("{:.0}", self.tokens_a_second),
            if self.fits {
                console.paint("fits", Tone::Good)
            } else {
                console.paint("does not fit", Tone::Bad)
            },
        ]
    }
}

/// Bytes in the unit that suits them.
fn size(bytes: usize) -> String {
    if bytes < 1 << 27 { format!("{:.2} MiB", bytes as f64 / 2_f64.powi(20)) } else { gib(bytes) + " GiB" }
}

fn gib(bytes: usize) -> String {
    format!("{:.2}", bytes as f64 / 2_f64.powi(30))
}

/// The most candidates, and meshes that the model does not lie over, that are shown.
const SHOWN: usize = 8;

fn render(d: &Document, console: &Console) -> String {
    let heading = [
        "MESH",
        "RULES",
        "PADDED",
        "BATCH",
        "WEIGHTS",
        "CACHE",
        "TEMP",
        "TOTAL GiB",
        "STEP",
        "BOUND",
        "PREFILL",
        "TOKENS/s",
        "",
    ];
    let table = |rows: &mut dyn Iterator<Item = &Row>| {
        table::render(&heading, rows.map(|row| row.cells(console)), &[2, 3, 4, 5, 6, 7, 8, 10, 11])
    };
    let mut parts = vec![format!(
        "{}  {} of {:.1} billion parameters on {} in {}: prompt {}, context {}, {} GiB a device",
        console.paint(&printable(&d.model), Tone::Strong),
        d.architecture,
        d.parameters as f64 / 1e9,
        d.target,
        d.precision,
        d.prompt,
        d.context,
        gib(d.available as usize),
    )];
    if !d.candidates.is_empty() {
        parts.push(table(&mut d.candidates.iter().take(SHOWN)));
    }
    if let Some(more) = d.candidates.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        parts.push(format!("and {more} candidates more (--json has all)"));
    }
    if let Some(best) = d.candidates.first().filter(|best| !best.pads.is_empty()) {
        let added = format!("padding for {} adds {} GiB of weights:", best.mesh, gib(best.padded_bytes));
        parts.push([vec![added], best.pads.clone()].concat().join("\n- "));
    }
    if let Some(buckets) = &d.buckets {
        let sizes = |b: &Buckets| b.sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        let rows = buckets.iter().map(|b| vec![sizes(b), format!("{:.1}%", 100.0 * b.padding)]);
        parts.push(table::render(&["PREFILL PROGRAMS", "PADDING READ"], rows, &[1]));
    }
    for refused in d.refused.iter().take(if d.candidates.is_empty() { SHOWN } else { 3 }) {
        let problems: Vec<String> = refused.problems.iter().map(|problem| printable(problem)).collect();
        parts.push(format!("{} is left out:\n- {}", refused.mesh, problems.join("\n- ")));
    }
    let fits = d.candidates.first().is_some_and(|best| best.fits);
    match &d.smallest {
        Some(smallest) => parts.push(format!(
            "the smallest {} that it fits: {}\n{}",
            smallest.target.chip().name,
            smallest.target,
            table(&mut std::iter::once(&smallest.row))
        )),
        None if !fits => parts.push(format!("it fits no {} in this form", d.target.chip().name)),
        None => {}
    }
    parts.extend(d.verified.as_ref().map(|verified| compile::render(verified, console)));
    parts.extend(d.search.as_deref().map(|rows| search::render(rows, console)));
    parts.extend(d.notes.iter().map(|note| console.paint(note, Tone::Dim)));
    parts.join("\n\n")
}

impl From<crate::args::PlanFor> for Objective {
    fn from(objective: crate::args::PlanFor) -> Self {
        match objective {
            crate::args::PlanFor::Latency => Self::Latency,
            crate::args::PlanFor::Throughput => Self::Throughput,
            crate::args::PlanFor::Fit => Self::Fit,
        }
    }
}
