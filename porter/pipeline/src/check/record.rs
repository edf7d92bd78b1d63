//! What a model gives in one variant, as a reference for another.

use porter_ir::{DType, TensorType};
use porter_numerics::Bundle;

use super::{
    Checker,
    parts::{of_host, owned, wide_integers},
    plan::Plan,
    reference::{Computed, Files},
    run::Run,
};
use crate::PipelineError;

impl Checker<'_> {
    /// Runs this model on the inputs of `bundle`, and keeps what it gives as a bundle of its own.
    pub fn record(&self, bundle: &Bundle) -> Result<Computed, PipelineError> {
        let plans = bundle.cases().map(|case| Plan::new(case, self.opened)).collect::<Result<Vec<_>, _>>()?;
        let run = Run::new(self, &plans)?;
        let mut files = Files::default();
        for (i, plan) in plans.iter().enumerate() {
            let case = plan.case.name();
            for (name, shape, values) in plan.sequences.inputs() {
                files.input(case, name, wide_integers(values, shape)?);
            }
            for (name, tensor) in run.forward(plan)? {
                files.output(case, &name, of_host(&tensor)?);
            }
            if let (Some((recorded, _)), Some(continued)) = (&plan.continuation, run.continuation(plan)?) {
                let steps = recorded.tokens.len();
                let logits: Vec<u8> = continued.logits.iter().flat_map(|x| x.to_le_bytes()).collect();
                let ty = TensorType::new(DType::F32, [steps, continued.logits.len() / steps.max(1)]);
                files.output(case, "forced", wide_integers(&recorded.tokens, &[1, steps])?);
                files.output(case, "forced_logits", owned(&ty, logits)?);
            }
            self.observer.step("recording the other side", i + 1, plans.len());
        }
        files.write()
    }
}
