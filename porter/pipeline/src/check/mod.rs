//! A model's numbers against a reference's.

mod attribute;
mod bisect;
mod cases;
mod parts;
mod plan;
mod record;
mod reference;
mod run;
mod second_opinion;

use porter_ir::DType;
use porter_numerics::{
    Bundle, Case, Findings, Judge, MeasureError, Measured, Named, Noise, Output, Roundings, TokenComparison,
    View,
};
use porter_runtime::HostTensor;

use crate::{Engine, Observer, Opened, PipelineError, Variant};
pub use bisect::Trust;
use plan::Plan;
pub use reference::{Computed, Inputs, Reference};
use run::{Continued, Run};

/// The output that is a distribution over tokens.
const LOGITS: &str = "logits";

/// A model in one variant on one plugin, ready to be compared.
#[derive(Clone, Copy)]
pub struct Checker<'a> {
    /// The plugin.
    pub engine: &'a Engine,
    /// The model.
    pub opened: &'a Opened,
    /// How it is run.
    pub variant: Variant<'a>,
    /// The type that the reference was run in, which may round too.
    pub reference: DType,
    /// Which budgets its outputs are held to.
    pub judge: Judge<'a>,
    /// Who hears what is being done.
    pub observer: &'a dyn Observer,
}

impl Checker<'_> {
    /// Compares everything that a bundle recorded and the model gives: outputs, hidden states, and the
    /// tokens of the cached path with the logits that they were taken from.
    pub fn check(&self, bundle: &Bundle) -> Result<Findings, PipelineError> {
        let plans = bundle.cases().map(|case| Plan::new(case, self.opened)).collect::<Result<Vec<_>, _>>()?;
        self.compare(&plans)
    }

    /// Compares what a bundle recorded of whole sequences, and nothing of the cached path.
    fn check_sequences(&self, bundle: &Bundle) -> Result<Findings, PipelineError> {
        let plan = |case| Ok(Plan { continuation: None, ..Plan::new(case, self.opened)? });
        self.compare(&bundle.cases().map(plan).collect::<Result<Vec<_>, PipelineError>>()?)
    }

    fn compare(&self, plans: &[Plan<'_>]) -> Result<Findings, PipelineError> {
        let run = Run::new(self, plans)?;
        let mut findings = Findings::default();
        for (i, plan) in plans.iter().enumerate() {
            let before = findings.comparisons.len();
            self.forward(&run, plan, &mut findings)?;
            self.continuation(&run, plan, &mut findings)?;
            self.second_opinion(&run, plan, &mut findings.comparisons[before..])?;
            self.observer.step("cases", i + 1, plans.len());
        }
        Ok(findings)
    }

    /// Runs the case through the forward program, and measures every output that was recorded.
    fn forward(&self, run: &Run<'_>, plan: &Plan<'_>, findings: &mut Findings) -> Result<(), PipelineError> {
        let results = run.forward(plan)?;
        let roundings = run.roundings(&plan.forward);
        let mut outputs: Vec<&Output> = plan.case.outputs().iter().collect();
        outputs.sort_by_key(|output| run.place(&plan.forward, &output.name));
        for output in outputs {
            let name = output.tensor.clone();
            let Some(found) = results.get(&output.name) else {
                let why = format!("{} has no such output", self.opened.model.class());
                findings.skipped.push(Named { name, why });
                continue;
            };
            match measure(
                plan.case,
                output,
                found,
                &self.judge(roundings.and_then(|all| all.get(&output.name))),
            ) {
                // How noisy the reference is in f32 says nothing of a port that rounds to less.
                Ok(measured) if self.narrowest().is_some() => {
                    findings.comparisons.push(measured.with_floor(None));
                }
                Ok(measured) => findings.comparisons.push(measured),
                Err(error) => findings.problems.push(Named { name, why: error.to_string() }),
            }
        }
        Ok(())
    }

    /// Continues the case's prompt through the cache, and compares the tokens and their logits.
    fn continuation(
        &self,
        run: &Run<'_>,
        plan: &Plan<'_>,
        findings: &mut Findings,
    ) -> Result<(), PipelineError> {
        let (Some((recorded, _)), Some(continued)) = (&plan.continuation, run.continuation(plan)?) else {
            return Ok(());
        };
        let Continued { tokens, logits, decode } = continued;
        if recorded.logits.is_some() {
            let roundings = run.roundings(&decode);
            let vocabulary = logits.len() / tokens.len().max(1);
            let ours = View::f32(&logits, [tokens.len(), vocabulary]).map_err(MeasureError::from)?;
            match plan.case.measure_generated(&ours, &self.judge(roundings.and_then(|all| all.get(LOGITS)))) {
                Ok(measured) => findings.comparisons.extend(measured),
                Err(error) => {
                    let (name, why) = (format!("{}_logits", recorded.name), error.to_string());
                    findings.problems.push(Named { name, why });
                }
            }
        }
        if let (Some(phase), Some(chunked)) = (plan.chunk(), run.chunked(plan)?) {
            let roundings = run.roundings(&phase);
            let ours = View::new(chunked.ty().dtype, chunked.ty().shape.clone(), chunked.bytes())
                .map_err(MeasureError::from)?;
            findings.comparisons.extend(
                plan.case
                    .measure_last_generated(&ours, &self.judge(roundings.and_then(|all| all.get(LOGITS))))?,
            );
        }
        if recorded.greedy {
            let noise =
                Noise { max_abs: logits_budget(plan, findings), narrower: self.narrowest().is_some() };
            findings.tokens.push(TokenComparison::new(recorded, tokens, noise));
        }
        Ok(())
    }

    /// The type narrower than f32 that either side rounds to.
    fn narrowest(&self) -> Option<DType> {
        let types = [self.variant.dtype, self.reference].into_iter().filter(|dtype| dtype.bits() < 32);
        // Of two types of one width, bf16 keeps fewer digits.
        types.min_by_key(|dtype| (dtype.bits(), *dtype != DType::BF16))
    }

    fn judge<'b>(&'b self, roundings: Option<&'b Roundings>) -> Judge<'b> {
        Judge { roundings, ..self.judge }
    }
}

/// The budget of the case's logits: how far one may be off.
fn logits_budget(plan: &Plan<'_>, findings: &Findings) -> f64 {
    let logits = plan.case.outputs().iter().find(|output| output.name == "logits");
    let measured =
        findings.comparisons.iter().find(|m| Some(&m.comparison.name) == logits.map(|o| &o.tensor));
    measured.map_or(0.0, |m| m.budget.max_abs)
}

fn measure(
    case: Case<'_>,
    output: &Output,
    found: &HostTensor,
    judge: &Judge<'_>,
) -> Result<Measured, MeasureError> {
    let view = View::new(found.ty().dtype, found.ty().shape.clone(), found.bytes())?;
    case.measure_by(output, &view, judge)
}
