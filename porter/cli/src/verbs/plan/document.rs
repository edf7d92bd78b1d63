//! What a plan of a model says.

use std::iter;

use porter_ir::Mesh;
use porter_pipeline::{Candidate, Configured, Narrow, Padding, PipelineError, Plan, PlannedProgram, Planner};
use porter_plan::{Buckets, Memory, Roofline, Target, Verdict};
use porter_rewrite::Shard;
use serde::Serialize;

use super::search;
use crate::{
    args::PlanArgs,
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    fact::Fact,
    table,
    verbs::compile,
};

/// What every plan must say of its times.
pub(super) const CAVEAT: &str =
    "times of the plan are a roofline of the program as it is written: nothing of it was compiled or run";

/// What `porter plan` says. Sizes in bytes a device, times in seconds.
#[derive(Serialize)]
pub(in super::super) struct Document {
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
    pub(super) buckets: Option<Vec<Buckets>>,
    /// What the compiler says of the best candidate.
    verified: Option<compile::Document>,
    /// The forms that the compiler judged, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<Vec<search::Row>>,
    notes: Vec<String>,
    /// How the best candidate lies, if it fits.
    #[serde(skip)]
    pub(super) best: Option<Shard>,
    #[serde(skip)]
    pub(super) exit: Exit,
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

pub(super) fn document(
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
    pub(super) fn facts(&self) -> Vec<Fact> {
        let best = self.candidates.first().into_iter().flat_map(|best| {
            let fits = if best.fits { "fits" } else { "does not fit" };
            let memory = format!(
                "{} of {} a device: it {fits}",
                table::size(best.total as f64),
                table::size(self.available as f64)
            );
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
pub(super) fn name(mesh: &Mesh) -> String {
    if mesh.axes.is_empty() { "one device".to_owned() } else { mesh.to_string() }
}

impl Row {
    fn new(candidate: &Candidate) -> Self {
        let program = |p: &PlannedProgram| ProgramRow {
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

pub(super) fn gib(bytes: usize) -> String {
    format!("{:.2}", bytes as f64 / 2_f64.powi(30))
}

/// The most candidates, and meshes that the model does not lie over, that are shown.
const SHOWN: usize = 8;

pub(super) fn render(d: &Document, console: &Console) -> String {
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
            table(&mut iter::once(&smallest.row))
        )),
        None if !fits => parts.push(format!("it fits no {} in this form", d.target.chip().name)),
        None => {}
    }
    parts.extend(d.verified.as_ref().map(|verified| compile::render(verified, console)));
    parts.extend(d.search.as_deref().map(|rows| search::render(rows, console)));
    parts.extend(d.notes.iter().map(|note| console.paint(note, Tone::Dim)));
    parts.join("\n\n")
}
