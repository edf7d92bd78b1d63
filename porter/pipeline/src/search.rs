//! Letting the compiler choose: the best meshes of a plan in every precision, and the best of these under fewer
//! rewrites.

use porter_ir::DType;
use porter_rewrite::Target as Form;
use porter_runtime::aot::Compiler;
use porter_zoo::{Phase, Task};

use crate::{
    Ahead, Answers, Candidate, Chosen, Meshing, Objective, PipelineError, Plan, Planner, Quantize, Variant,
    ahead::phases, cache_error,
};

/// What is narrower than the type that a model runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Narrow {
    /// The weights of linear layers.
    pub quantize: Option<Quantize>,
    /// The KV cache.
    pub cache: Option<DType>,
}

impl Narrow {
    /// What it adds to a value behind `layers` layers, as a share of the value's deviation.
    pub fn error(self, layers: usize) -> f64 {
        let weights = self.quantize.map_or(0.0, |form| form.error(layers));
        weights.hypot(self.cache.map_or(0.0, |dtype| cache_error(dtype, layers)))
    }

    /// What is narrow in a variant.
    pub const fn in_variant(variant: &Variant<'_>) -> Self {
        Self { quantize: variant.quantize, cache: variant.cache }
    }

    /// The variant with this in it.
    pub const fn of(self, variant: Variant<'_>) -> Variant<'_> {
        Variant { quantize: self.quantize, cache: self.cache, ..variant }
    }

    /// Its name, where the rest is in `dtype`: `bf16`, `int8`, `int8, fp8 cache`.
    pub fn name(self, dtype: DType) -> String {
        let weights = self.quantize.map_or(dtype.name(), Quantize::name);
        let cache = |dtype: DType| if dtype.bits() < 16 { "fp8" } else { dtype.name() };
        self.cache.map_or_else(|| weights.to_owned(), |dtype| format!("{weights}, {} cache", cache(dtype)))
    }
}

/// A form of a model, and what the compiler says of it.
pub struct Trial<'a> {
    /// How it lies, and for how many rows.
    pub candidate: &'a Candidate,
    /// What is narrower than the type that is asked for.
    pub narrow: Narrow,
    /// Which of the target's rewrites apply.
    pub rewrites: Chosen<'static>,
    /// What the compiler says, the program that runs once a token first.
    pub answers: Answers,
}

impl Trial<'_> {
    /// Seconds of each program, estimated; none where one does not compile or fit.
    pub fn seconds(&self) -> Option<Vec<f64>> {
        let fitting = self.answers.programs.iter().map(|answer| answer.outcome.as_ref().ok());
        fitting.map(|fitting| Some(fitting?.estimate.seconds)).collect()
    }

    /// The most bytes of a device's HBM that a program has in use.
    pub fn peak(&self) -> Option<i64> {
        let fitting = self.answers.programs.iter().map(|answer| answer.outcome.as_ref().ok());
        let peaks: Option<Vec<i64>> = fitting.map(|fitting| Some(fitting?.compiled.memory.peak)).collect();
        peaks?.into_iter().max()
    }

    /// How good it is by what the compiler says; less is better, and what does not fit is worst.
    pub fn cost(&self, objective: Objective) -> f64 {
        let step = self.seconds().and_then(|seconds| seconds.first().copied());
        let cost = match objective {
            Objective::Latency => step,
            Objective::Throughput => step.map(|seconds| seconds / self.candidate.batch as f64),
            Objective::Fit => self.peak().map(|peak| peak as f64),
        };
        cost.unwrap_or(f64::INFINITY)
    }

    /// [`Self::cost`], and all programs once where that is equal.
    fn key(&self, objective: Objective) -> (f64, f64) {
        (self.cost(objective), self.seconds().map_or(f64::INFINITY, |seconds| seconds.iter().sum()))
    }
}

/// Compiles forms of a plan's candidates.
pub struct Search<'a> {
    /// What was planned.
    pub planner: &'a Planner<'a>,
    /// The compiler.
    pub compiler: Compiler,
    /// The best meshes that are tried.
    pub meshes: usize,
}

impl Search<'_> {
    /// Every precision of the chip over each of the best meshes; then the best of each precision with a cache of 8
    /// bits, without each of the rewrites that it has, with each that it has on request, and as the zoo writes it. Best
    /// first. `note` hears what is compiled.
    pub fn trials<'p>(
        &self,
        plan: &'p Plan,
        note: &mut dyn FnMut(&str),
    ) -> Result<Vec<Trial<'p>>, PipelineError> {
        let objective = self.planner.objective;
        let chip = plan.target.chip();
        let narrow = Quantize::ALL.into_iter().filter(|form| form.serves(chip).is_ok()).map(Some);
        let precisions: Vec<Option<Quantize>> = std::iter::once(None).chain(narrow).collect();
        let mut all = Vec::new();
        for quantize in precisions {
            let narrow = Narrow { quantize, cache: None };
            let mut trials = Vec::new();
            for candidate in plan.candidates.iter().take(self.meshes) {
                trials.push(self.trial(plan, candidate, narrow, Chosen::All, note)?);
            }
            trials.sort_by(|a, b| by_key(a.key(objective), b.key(objective)));
            if let Some(best) = trials.first().filter(|best| best.seconds().is_some()) {
                let (candidate, forms) = (best.candidate, other_forms(&best.answers));
                if self.planner.model.model.task() == Task::Generate {
                    let narrow = Narrow { cache: Some(DType::F8E4M3FN), ..narrow };
                    trials.push(self.trial(plan, candidate, narrow, Chosen::All, note)?);
                }
                for rewrites in forms {
                    trials.push(self.trial(plan, candidate, narrow, rewrites, note)?);
                }
            }
            all.extend(trials);
        }
        all.sort_by(|a, b| by_key(a.key(objective), b.key(objective)));
        Ok(all)
    }

    fn trial<'p>(
        &self,
        plan: &Plan,
        candidate: &'p Candidate,
        narrow: Narrow,
        rewrites: Chosen<'static>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Trial<'p>, PipelineError> {
        let planner = self.planner;
        let mesh = candidate.shard.mesh.clone();
        let precision = narrow.name(planner.variant.dtype);
        let over = if mesh.axes.is_empty() { String::new() } else { format!("{mesh} ") };
        note(&format!("compiling {over}in {precision}, {} rows, rewrites: {rewrites}", candidate.batch));
        let phases: Vec<Phase> =
            phases(&planner.model.model, candidate.batch, &[planner.prompt], planner.context)?;
        let tables = candidate.shard.tables.clone();
        let meshing = Meshing { mesh: (mesh.devices() > 1).then_some(mesh), tables };
        let ahead = Ahead { compiler: self.compiler.clone(), target: plan.target.clone(), meshing };
        let variant = Variant { rewrites, ..narrow.of(planner.variant) };
        let answers = ahead.compile(planner.model, &phases, &variant)?;
        Ok(Trial { candidate, narrow, rewrites, answers })
    }
}

fn by_key(a: (f64, f64), b: (f64, f64)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
}

/// All rewrites of the target that applied but one, for each of them; all and one of those on request; and none.
fn other_forms(answers: &Answers) -> Vec<Chosen<'static>> {
    let applied = |name: &&str| answers.applied.iter().any(|applied| applied.rewrite == *name);
    let own = Form::Tpu.rewrites().iter().map(|rewrite| rewrite.name()).filter(applied);
    let more = Form::Tpu.on_request().iter().map(|rewrite| rewrite.name()).filter(|name| !applied(name));
    own.map(Chosen::Without).chain(more.map(Chosen::With)).chain([Chosen::None]).collect()
}
