//! `porter plan MODEL --target CHIP:SHAPE`: which mesh, and whether the model fits, from its config or graph alone.

mod document;
mod onnx;
mod search;

use std::{fs, path::Path};

use porter_pipeline::{
    Ahead, Candidate, Meshing, Objective, PipelineError, Planner, onnx::find, open_config, phases,
};
use porter_plan::{Buckets, Prompts};
use porter_rewrite::{Shard, Tables};
use serde::Serialize;

use document::{Document, document, name, render};

use crate::{
    args::{Global, PlanArgs},
    console::Console,
    exit::{Exit, Failure},
    fact::Fact,
    progress::Fetching,
    verbs::compile,
};

/// Slots of the cache where nothing is said.
const CONTEXT: usize = 1024;
/// What a prefill program's length is a multiple of: a vector register of a TPU has 128 lanes, and scores have a
/// prompt's tokens there.
const TILE: usize = 128;
/// The most prefill programs that are looked at.
const MOST_BUCKETS: usize = 8;

/// The plan of a model or of a graph.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Planned {
    Model(Box<Document>),
    Graph(Box<onnx::Document>),
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
    let mut document = document(args, &model, &planner, &plan, smallest, verified)?;
    (document.buckets, document.search, document.exit) = (buckets, searched, exit);
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

impl From<crate::args::PlanFor> for Objective {
    fn from(objective: crate::args::PlanFor) -> Self {
        match objective {
            crate::args::PlanFor::Latency => Self::Latency,
            crate::args::PlanFor::Throughput => Self::Throughput,
            crate::args::PlanFor::Fit => Self::Fit,
        }
    }
}
