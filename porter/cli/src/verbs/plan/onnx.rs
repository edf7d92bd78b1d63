//! Planning an ONNX graph.

use std::collections::BTreeMap;

use porter_pipeline::{
    Ahead, Answers, GraphPlan,
    onnx::{Graph, Products, read_tensors},
};
use porter_plan::{Memory, Roofline, Target, Verdict};
use serde::Serialize;

use super::document::{CAVEAT, gib};
use crate::{
    args::{Global, GraphArgs, PlanArgs},
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    fact::Fact,
    table,
    verbs::compile,
};

/// What `porter plan` says of a graph. Sizes in bytes, times in seconds.
#[derive(Serialize)]
pub(in super::super) struct Document {
    model: String,
    architecture: &'static str,
    /// Numbers of the weights that the program reads.
    parameters: usize,
    target: Target,
    /// The types of its arguments, by name.
    inputs: BTreeMap<String, String>,
    /// What was recognised in it, and how often.
    recognised: BTreeMap<String, usize>,
    memory: Memory,
    total: usize,
    /// What the device has for programs.
    available: u64,
    fits: bool,
    flops: f64,
    traffic: f64,
    roofline: Roofline,
    /// Where it does not fit: the one device with the least memory that it fits.
    smallest: Option<Target>,
    /// What the compiler says.
    verified: Option<compile::Document>,
    notes: Vec<String>,
}

pub(super) fn plan(
    graph: &Graph,
    args: &PlanArgs,
    global: &Global,
    console: &Console,
) -> Result<Document, Failure> {
    refuse_sequences(args)?;
    let inputs = args.input.as_deref().map(read_tensors).transpose()?;
    let products = Products::of(args.dtype.map(Into::into))?;
    let plan = GraphPlan::new(graph, &args.graph.dims(), inputs.as_deref(), &args.target, products)?;
    let fits = plan.verdict == Verdict::Fits;
    let verified = (fits && args.verify).then(|| verify(graph, &plan, args, global, console)).transpose()?;
    Ok(document(graph, plan, verified))
}

/// Refuses what a model of sequences alone is asked for.
fn refuse_sequences(args: &PlanArgs) -> Result<(), Failure> {
    let sizes = [
        ("--batch", args.batch.is_some()),
        ("--prompt", args.prompt.is_some()),
        ("--prompts", args.prompts.is_some()),
        ("--context", args.context.is_some()),
        ("--objective", args.objective.is_some()),
        ("--mesh", args.mesh.mesh.is_some()),
        ("--rules", args.mesh.rules.is_some()),
        ("--search", args.search.is_some()),
        ("--ignore-config", !args.ignore_config.is_empty()),
    ];
    GraphArgs::refuse_sequences(&[&sizes[..], &args.narrow.given()].concat())
}

/// Has the compiler judge the graph.
fn verify(
    graph: &Graph,
    plan: &GraphPlan,
    args: &PlanArgs,
    global: &Global,
    console: &Console,
) -> Result<compile::Document, Failure> {
    let compiler = compile::compiler(args.time_limit, global, console)?;
    console.note(&format!("compiling {} for {}", graph.files.name, plan.target));
    let ahead = Ahead { compiler, target: plan.target.clone(), meshing: args.mesh.meshing()? };
    let sizes = compile::Sizes::Inputs { inputs: plan.arguments.clone() };
    let answers =
        Answers { mesh: None, applied: plan.applied.clone(), programs: ahead.answers(&plan.jobs, false)? };
    Ok(compile::document(&plan.target, sizes, (graph.files.name.clone(), "ONNX"), answers))
}

fn document(graph: &Graph, plan: GraphPlan, verified: Option<compile::Document>) -> Document {
    let memory = plan.demand.memory;
    Document {
        model: graph.files.name.clone(),
        architecture: "ONNX",
        parameters: plan.parameters,
        inputs: plan.arguments,
        recognised: plan.recognised,
        memory,
        total: memory.total(),
        available: plan.target.chip().usable_hbm.value as u64,
        fits: plan.verdict == Verdict::Fits,
        flops: plan.demand.flops,
        traffic: plan.demand.traffic,
        roofline: plan.roofline,
        smallest: plan.smallest,
        target: plan.target,
        verified,
        notes: vec![CAVEAT.to_owned()],
    }
}

impl Document {
    pub(super) fn exit(&self) -> Exit {
        match &self.verified {
            Some(verified) => verified.exit(),
            None if self.fits => Exit::Done,
            None => Exit::No,
        }
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let fits = if self.fits { "fits" } else { "does not fit" };
        let memory = format!(
            "{} of {} a device: it {fits}",
            table::size(self.total as f64),
            table::size(self.available as f64)
        );
        let Roofline { seconds, bound, .. } = self.roofline;
        let smallest = self.smallest.as_ref();
        let smallest = smallest.map(|target| Fact::new("smallest that it fits", target.to_string()));
        let run = format!("{:.3} ms at least (a roofline), bound by {bound}", seconds * 1e3);
        [Fact::new("memory", memory), Fact::new("a run", run)].into_iter().chain(smallest).collect()
    }
}

pub(super) fn render(d: &Document, console: &Console) -> String {
    let inputs: Vec<String> = d.inputs.iter().map(|(name, ty)| format!("{} {ty}", printable(name))).collect();
    let fits =
        if d.fits { console.paint("fits", Tone::Good) } else { console.paint("does not fit", Tone::Bad) };
    let row = vec![
        mib(d.memory.weights),
        mib(d.memory.interface),
        mib(d.memory.temporaries),
        mib(d.total),
        format!("{:.3}", d.flops / 1e9),
        format!("{:.3} ms", d.roofline.seconds * 1e3),
        d.roofline.bound.to_string(),
        fits,
    ];
    let heading = ["WEIGHTS", "INPUTS, RESULTS", "TEMP", "TOTAL MiB", "GFLOP", "RUN", "BOUND", ""];
    let mut parts = vec![
        format!(
            "{}  ONNX of {:.2} million parameters on {} with {}: {} GiB a device",
            console.paint(&printable(&d.model), Tone::Strong),
            d.parameters as f64 / 1e6,
            d.target,
            inputs.join(", "),
            gib(d.available as usize),
        ),
        table::render(&heading, std::iter::once(row), &[0, 1, 2, 3, 4, 5]),
    ];
    if !d.recognised.is_empty() {
        parts.push(format!("recognised: {}", table::counted(&d.recognised)));
    }
    match &d.smallest {
        Some(smallest) => parts.push(format!("the smallest device that it fits: {smallest}")),
        None if !d.fits => parts.push("it fits no device".to_owned()),
        None => {}
    }
    parts.extend(d.verified.as_ref().map(|verified| compile::render(verified, console)));
    parts.extend(d.notes.iter().map(|note| console.paint(note, Tone::Dim)));
    parts.join("\n\n")
}

fn mib(bytes: usize) -> String {
    format!("{:.2}", bytes as f64 / 2_f64.powi(20))
}
