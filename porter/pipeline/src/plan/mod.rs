//! Planning: which mesh, and whether the model fits, from its configuration alone.

mod graph;
mod written;

use porter_ir::Mesh;
use porter_plan::{Demand, Memory, Roofline, Target, Verdict, meshes};
use porter_rewrite::{Applied, Shard, ShardError, Tables};

use crate::{Configured, PipelineError, Variant, ahead::phases, meshing::check_devices};
pub use graph::GraphPlan;
use written::{Form, Written};

/// The mesh axes that are searched over: rows, rows with weights that are gathered, tensors; and of mixtures, experts.
const AXES: [&str; 4] = ["data", "fsdp", "tensor", "expert"];
/// The most rows that a search for throughput tries.
const MOST_ROWS: usize = 4096;

/// What a plan is to be best at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The time of a decode step, or of a forward pass.
    Latency,
    /// Tokens a second of all rows.
    Throughput,
    /// The memory of a device.
    Fit,
}

/// What is planned.
pub struct Planner<'a> {
    /// The model.
    pub model: &'a Configured,
    /// Its type and rewrites.
    pub variant: Variant<'a>,
    /// Which mesh axes split what: the best of these.
    pub tables: Vec<Tables>,
    /// Rows; where it is none, one, or as many as give the most tokens a second.
    pub batch: Option<usize>,
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Slots of the cache.
    pub context: usize,
    /// What to be best at.
    pub objective: Objective,
}

/// One way to lay the model out.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// How it lies.
    pub shard: Shard,
    /// What was padded so that it divides.
    pub padding: Padding,
    /// Rows.
    pub batch: usize,
    /// What lies on a device while its programs run in turn.
    pub memory: Memory,
    /// Whether that fits.
    pub verdict: Verdict,
    /// Its programs.
    pub programs: Vec<PlannedProgram>,
}

/// What padding costs, on all devices together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Padding {
    /// The rewrites that pad.
    pub applied: Vec<Applied>,
    /// Bytes of weights that are added.
    pub bytes: usize,
    /// Operations that are added, as a share of those of the program that gets the most.
    pub flops: f64,
}

/// What a program should take.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedProgram {
    /// Its name.
    pub name: String,
    /// Tokens that a run reads, of all rows.
    pub tokens: usize,
    /// What a device holds and does.
    pub demand: Demand,
    /// The least time.
    pub roofline: Roofline,
}

/// The candidates of a target.
pub struct Plan {
    /// The target.
    pub target: Target,
    /// What can be laid out, best first; those that do not fit come last.
    pub candidates: Vec<Candidate>,
    /// Meshes that the model does not lie over, and why.
    pub refused: Vec<ShardError>,
}

impl Plan {
    /// The best candidate, if it fits.
    pub fn winner(&self) -> Option<&Candidate> {
        self.candidates.first().filter(|best| best.verdict == Verdict::Fits)
    }
}

impl Candidate {
    /// The program that runs once a token: decode, or the forward pass.
    pub fn step(&self) -> Option<&PlannedProgram> {
        self.programs.first()
    }

    /// Tokens a second of all rows.
    pub fn tokens_a_second(&self) -> f64 {
        self.step().map_or(0.0, |step| step.tokens as f64 / step.roofline.seconds)
    }

    /// How good it is; less is better.
    fn cost(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Latency => self.step().map_or(f64::INFINITY, |step| step.roofline.seconds),
            Objective::Throughput => -self.tokens_a_second(),
            Objective::Fit => self.memory.total() as f64,
        }
    }

    /// All programs once: what decides between candidates of the same cost.
    fn all_seconds(&self) -> f64 {
        self.programs.iter().map(|program| program.roofline.seconds).sum()
    }
}

impl Planner<'_> {
    /// Every mesh of the target's devices, or the one that is asked for, best first.
    pub fn plan(&self, target: &Target, mesh: Option<&Mesh>) -> Result<Plan, PipelineError> {
        mesh.map_or(Ok(()), |mesh| check_devices(mesh, target.devices()))?;
        let mut plan = Plan { target: target.clone(), candidates: Vec::new(), refused: Vec::new() };
        for batch in self.batches() {
            let phases = phases(&self.model.model, batch, &[self.prompt], self.context)?;
            let mut written = Written::new(self.model, phases, &self.variant)?;
            let before = plan.candidates.len();
            plan.refused.clear();
            let axes = if written.has_experts() { &AXES[..] } else { &AXES[..3] };
            let meshes = mesh.map_or_else(|| meshes(target.devices(), axes), |mesh| vec![mesh.clone()]);
            for mesh in &meshes {
                self.candidates(&mut written, mesh, batch, &mut plan)?;
            }
            let added = plan.candidates.get(before..).unwrap_or_default();
            let any_fits = added.iter().any(|candidate| candidate.verdict == Verdict::Fits);
            if !added.is_empty() && !any_fits {
                break;
            }
        }
        let key = |c: &Candidate| (c.verdict != Verdict::Fits, c.cost(self.objective), c.all_seconds());
        plan.candidates.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
        });
        if self.objective == Objective::Fit {
            plan.candidates.sort_by_key(|candidate| candidate.memory.total());
        }
        Ok(plan)
    }

    /// The smallest target of the same chip that the model fits, with its plan.
    pub fn smallest(&self, target: &Target) -> Result<Option<Plan>, PipelineError> {
        for other in Target::all(target.chip()) {
            let plan = self.plan(&other, None)?;
            if plan.winner().is_some() {
                return Ok(Some(plan));
            }
        }
        Ok(None)
    }

    /// How many rows are tried.
    fn batches(&self) -> Vec<usize> {
        match (self.batch, self.objective) {
            (Some(batch), _) => vec![batch],
            (None, Objective::Throughput) => std::iter::successors(Some(1), |rows| Some(rows * 2))
                .take_while(|&rows| rows <= MOST_ROWS)
                .collect(),
            (None, _) => vec![1],
        }
    }

    /// The candidates of a mesh by the tables, those that are alike once; or why there are none.
    fn candidates(
        &self,
        written: &mut Written,
        mesh: &Mesh,
        batch: usize,
        plan: &mut Plan,
    ) -> Result<(), PipelineError> {
        let before = plan.candidates.len();
        let mut refused = None;
        for tables in &self.tables {
            let shard = Shard { mesh: mesh.clone(), tables: tables.clone() };
            let as_written = candidate(&written.form, &shard, batch, &plan.target);
            let found = match as_written {
                Err(_) => candidate(written.padded(shard.pads())?, &shard, batch, &plan.target),
                found => found,
            };
            match found {
                Ok(candidate) => {
                    let added = plan.candidates.get(before..).unwrap_or_default();
                    if !added.iter().any(|other| other.programs == candidate.programs) {
                        plan.candidates.push(candidate);
                    }
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if plan.candidates.len() == before {
            plan.refused.extend(refused);
        }
        Ok(())
    }
}

fn candidate(form: &Form, shard: &Shard, batch: usize, target: &Target) -> Result<Candidate, ShardError> {
    let mut planned = Vec::with_capacity(form.programs.len());
    for program in &form.programs {
        let demand = program.demand(shard, target.devices())?;
        let roofline = Roofline::new(&demand, &shard.mesh, target);
        let tokens = program.phase.batch() * program.phase.tokens();
        planned.push(PlannedProgram { name: program.name.clone(), tokens, demand, roofline });
    }
    let memory = planned.iter().fold(Memory::default(), |memory, p| memory.with(p.demand.memory));
    let (verdict, padding) = (memory.verdict(target), form.padding.clone());
    Ok(Candidate { shard: shard.clone(), padding, batch, memory, verdict, programs: planned })
}
