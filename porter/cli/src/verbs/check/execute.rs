//! Running a model on a bundle's cases.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use porter_ir::{DType, Program, Shape};
use porter_numerics::{
    Bundle, Case, Findings, Generated, MeasureError, Measured, Named, Noise, Output, Report, Roundings,
    Subject, TokenComparison, View,
};
use porter_runtime::{Generator, HostTensor, Next, States, Step};
use porter_text::{Sampler, SamplerOptions};
use porter_zoo::{Phase, Taps, Task};

use crate::{
    args::{CheckArgs, Global},
    console::Console,
    exit::Failure,
    pipeline::{Engine, Opened, PipelineError, Sequences, Sizes, open},
    progress::Fetching,
    verbs::bring_up::{Running, bring_up},
};

/// The model's numbers against the bundle's.
pub(super) fn execute(args: &CheckArgs, global: &Global, console: &Console) -> Result<Report, Failure> {
    let bundle = Bundle::open(&args.reference)?;
    let opened = open(&args.model.model, &args.model.ignore_config, &Fetching::new(console))?;
    let plans = bundle.cases().map(|case| Plan::new(case, &opened)).collect::<Result<Vec<_>, _>>()?;

    let dtype = args.dtype.into();
    let phases: Vec<Phase> =
        plans.iter().flat_map(Plan::phases).collect::<BTreeSet<_>>().into_iter().collect();
    let Running { engine, programs, resident } = bring_up(&opened, &phases, dtype, global, console)?;

    let steps = phases.iter().copied().zip(programs.iter().zip(resident.steps)).collect();
    let subject = Subject {
        model: opened.files.name.clone(),
        dtype: dtype.name().to_owned(),
        reference: args.reference.display().to_string(),
        plugin: engine.client.platform().to_owned(),
    };
    let mut check = Check { engine: &engine, opened: &opened, dtype, steps, findings: Findings::default() };
    for plan in &plans {
        check.forward(plan)?;
        check.continuation(plan)?;
    }
    Ok(Report::new(subject, check.findings))
}

/// What is run for one case.
struct Plan<'a> {
    case: Case<'a>,
    sequences: Sequences,
    forward: Phase,
    continuation: Option<(Generated<'a>, Sizes)>,
}

impl<'a> Plan<'a> {
    fn new(case: Case<'a>, opened: &Opened) -> Result<Self, Failure> {
        let mut sequences = Sequences::default();
        for name in case.arguments() {
            let Some(view) = case.input(name)? else { continue };
            let values = view.to_i64().unwrap_or_default();
            sequences.insert(name, Shape::new(view.shape().to_vec()), values);
        }
        let forward = sequences.phase(Taps::HiddenStates)?;
        let continuation = match (opened.model.task(), case.generated()?) {
            (Task::Generate, Some(generated)) => {
                let new = generated.tokens.len();
                let sizes = Sizes::new(1, generated.prompt.len(), new, opened.model.dimensions())?;
                Some((generated, sizes))
            }
            _ => None,
        };
        Ok(Self { case, sequences, forward, continuation })
    }

    fn phases(&self) -> impl Iterator<Item = Phase> {
        let cached = self.continuation.as_ref().map(|(_, sizes)| [sizes.prefill(), sizes.decode()]);
        [self.forward].into_iter().chain(cached.into_iter().flatten())
    }
}

/// A check under way.
struct Check<'a> {
    engine: &'a Engine,
    opened: &'a Opened,
    dtype: DType,
    steps: BTreeMap<Phase, (&'a Program, Step)>,
    findings: Findings,
}

impl Check<'_> {
    /// Runs the case through the forward program, and measures every output that was recorded.
    fn forward(&mut self, plan: &Plan<'_>) -> Result<(), Failure> {
        let Some((program, step)) = self.steps.get(&plan.forward) else { return Ok(()) };
        let arguments = plan.sequences.arguments(&self.opened.model)?;
        let mut states = States::zeros(&self.engine.device, program)?;
        let results = step.run(&arguments, &mut states)?;
        let roundings = self.roundings(program);
        for output in plan.case.outputs() {
            let Some(found) = results.get(&output.name) else {
                let why = format!("{} has no such output", self.opened.model.class());
                self.findings.skipped.push(Named { name: output.tensor.clone(), why });
                continue;
            };
            match measure(plan.case, output, found, roundings.get(&output.name)) {
                Ok(measured) => self.findings.comparisons.push(measured),
                Err(error) => {
                    self.findings
                        .problems
                        .push(Named { name: output.tensor.clone(), why: error.to_string() });
                }
            }
        }
        Ok(())
    }

    /// Continues the case's prompt through the cache, and compares the tokens.
    fn continuation(&mut self, plan: &Plan<'_>) -> Result<(), Failure> {
        let Some((recorded, sizes)) = &plan.continuation else { return Ok(()) };
        let (Some((_, prefill)), Some((program, decode))) =
            (self.steps.get(&sizes.prefill()), self.steps.get(&sizes.decode()))
        else {
            return Ok(());
        };
        let prompt: Vec<u32> = recorded.prompt.iter().map(|&id| id as u32).collect();
        let mut states = States::zeros(&self.engine.device, program)?;
        let mut sampler = Sampler::new(SamplerOptions::GREEDY).map_err(PipelineError::from)?;
        let mut found = Vec::new();
        let Sizes { batch, bucket, cache } = *sizes;
        let generator = Generator { prefill, decode, batch, bucket, cache };
        generator.generate(slice::from_ref(&prompt), &mut states, |_, logits| {
            let id = sampler.sample(logits).map_err(PipelineError::from)?;
            found.push(i64::from(id));
            let more = found.len() < recorded.tokens.len();
            Ok::<_, Failure>(if more { Next::Token(id) } else { Next::Stop })
        })?;
        let noise = Noise { max_abs: self.logits_budget(plan), narrower: self.dtype != DType::F32 };
        self.findings.tokens.push(TokenComparison::new(recorded, found, noise));
        Ok(())
    }

    /// The budget of the case's logits: how far one may be off.
    fn logits_budget(&self, plan: &Plan<'_>) -> f64 {
        let logits = plan.case.outputs().iter().find(|output| output.name == "logits");
        let measured =
            self.findings.comparisons.iter().find(|m| Some(&m.comparison.name) == logits.map(|o| &o.tensor));
        measured.map_or(0.0, |m| m.budget.max_abs)
    }

    /// The roundings that reach each output, where the type is narrower than the reference's.
    fn roundings(&self, program: &Program) -> BTreeMap<String, Roundings> {
        if self.dtype == DType::F32 { BTreeMap::new() } else { Roundings::all(program) }
    }
}

fn measure(
    case: Case<'_>,
    output: &Output,
    found: &HostTensor,
    narrower: Option<&Roundings>,
) -> Result<Measured, MeasureError> {
    let view = View::new(found.ty().dtype, found.ty().shape.clone(), found.bytes())?;
    case.measure(output, &view, narrower)
}
