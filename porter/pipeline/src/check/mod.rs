//! A model's numbers against a reference's.

mod attribute;
mod bisect;
mod cases;
mod parts;
mod plan;
mod record;
mod reference;
mod run;

use porter_ir::{DType, Op, Program};
use porter_numerics::{
    Bundle, Case, Findings, MeasureError, Measured, Named, Noise, Output, Roundings, TokenComparison, View,
};
use porter_runtime::HostTensor;

use crate::{Engine, Observer, Opened, PipelineError, Variant};
pub use bisect::Trust;
use plan::Plan;
pub use reference::{Computed, Inputs};
use run::{Continued, Run};

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
    /// Who hears what is being done.
    pub observer: &'a dyn Observer,
}

impl Checker<'_> {
    /// Compares everything that a bundle recorded and the model gives: outputs, hidden states, and the
    /// tokens of the cached path with the logits that they were taken from.
    pub fn check(&self, bundle: &Bundle) -> Result<Findings, PipelineError> {
        let plans = bundle.cases().map(|case| Plan::new(case, self.opened)).collect::<Result<Vec<_>, _>>()?;
        let run = Run::new(self, &plans)?;
        let mut findings = Findings::default();
        for (i, plan) in plans.iter().enumerate() {
            self.forward(&run, plan, &mut findings)?;
            self.continuation(&run, plan, &mut findings)?;
            self.observer.step("cases", i + 1, plans.len());
        }
        Ok(findings)
    }

    /// Runs the case through the forward program, and measures every output that was recorded.
    fn forward(&self, run: &Run<'_>, plan: &Plan<'_>, findings: &mut Findings) -> Result<(), PipelineError> {
        let results = run.forward(plan)?;
        let roundings = run.program(&plan.forward).and_then(|program| self.roundings(program));
        for output in plan.case.outputs() {
            let name = output.tensor.clone();
            let Some(found) = results.get(&output.name) else {
                let why = format!("{} has no such output", self.opened.model.class());
                findings.skipped.push(Named { name, why });
                continue;
            };
            match measure(plan.case, output, found, roundings.as_ref()) {
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
            let roundings = run.program(&decode).and_then(|program| self.roundings(program));
            let vocabulary = logits.len() / tokens.len().max(1);
            let ours = View::f32(&logits, [tokens.len(), vocabulary]).map_err(MeasureError::from)?;
            match plan.case.measure_generated(&ours, roundings.as_ref()) {
                Ok(measured) => findings.comparisons.extend(measured),
                Err(error) => {
                    let (name, why) = (format!("{}_logits", recorded.name), error.to_string());
                    findings.problems.push(Named { name, why });
                }
            }
        }
        if let Some(chunked) = run.chunked(plan)? {
            let roundings = plan.chunk().and_then(|phase| self.roundings(run.program(&phase)?));
            let ours = View::new(chunked.ty().dtype, chunked.ty().shape.clone(), chunked.bytes())
                .map_err(MeasureError::from)?;
            findings.comparisons.extend(plan.case.measure_last_generated(&ours, roundings.as_ref())?);
        }
        if recorded.greedy {
            let noise = Noise { max_abs: logits_budget(plan, findings), narrower: self.narrowest().is_some() };
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

    /// The roundings of a type that is narrower than f32.
    fn roundings(&self, program: &Program) -> Option<Roundings> {
        let layers = self.opened.model.dimensions().layers;
        Some(Roundings::transformer(self.narrowest()?, layers, longest_sum(program)))
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
    narrower: Option<&Roundings>,
) -> Result<Measured, MeasureError> {
    let view = View::new(found.ty().dtype, found.ty().shape.clone(), found.bytes())?;
    case.measure(output, &view, narrower)
}

/// The longest sum that a product of `program` takes.
fn longest_sum(program: &Program) -> usize {
    let sums = program.ops().filter_map(|(_, data)| match (&data.op, &data.operands[..]) {
        (Op::DotGeneral(dot), [lhs, _]) => {
            let shape = &program.ty(*lhs).shape;
            Some(dot.dimensions.lhs_contracting.iter().map(|&d| shape[d]).product())
        }
        _ => None,
    });
    sums.max().unwrap_or(1)
}
