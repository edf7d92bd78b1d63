//! What rounding does to a case, measured.

use std::collections::BTreeMap;

use porter_executor::Floats;
use porter_numerics::{
    Budget, Floor, MeasureError, Measured,
    bisect::{Runner, Tensor},
    compare,
};

use super::{
    Checker, LOGITS,
    parts::{InExecutor, arguments},
    plan::Plan,
    run::Run,
};
use crate::PipelineError;

impl Checker<'_> {
    /// Holds what is over its derived budget in a narrow type to a measured one, if that is wider. What
    /// is derived counts roundings, and knows nothing of how a softmax or a gate amplifies them on these
    /// inputs; the reference executor, rounding where the model as the zoo writes it does, shows it.
    pub(super) fn second_opinion(
        &self,
        run: &Run<'_>,
        plan: &Plan<'_>,
        measured: &mut [Measured],
    ) -> Result<(), PipelineError> {
        if self.narrowest().is_none() || measured.iter().all(|m| m.pass || m.loosened.is_some()) {
            return Ok(());
        }
        let roundings = self.measured_roundings(run, plan)?;
        let of_output: BTreeMap<&str, &str> =
            plan.case.outputs().iter().map(|o| (o.tensor.as_str(), o.name.as_str())).collect();
        for m in measured.iter_mut().filter(|m| !m.pass && m.loosened.is_none()) {
            // The logits of the cached path are those of whole sequences.
            let name = of_output.get(m.comparison.name.as_str()).copied().unwrap_or(LOGITS);
            let Some(&rounding) = roundings.get(name) else { continue };
            let budget = Budget::measured(rounding, true, m.comparison.scale);
            if budget.max_abs > m.budget.max_abs {
                let floor = Floor::higher(m.floor.clone(), Floor::new(rounding, Floor::EXECUTOR_NARROW));
                *m = m.clone().held_to(budget).with_floor(floor);
            }
        }
        Ok(())
    }

    /// The greatest difference that rounding makes, by output of the case's forward program.
    fn measured_roundings(
        &self,
        run: &Run<'_>,
        plan: &Plan<'_>,
    ) -> Result<BTreeMap<String, f64>, PipelineError> {
        let Some(program) = run.narrow_program(&plan.forward) else { return Ok(BTreeMap::new()) };
        let arguments = arguments(&plan.sequences, self.opened)?;
        let run = |floats| -> Result<BTreeMap<String, Tensor>, PipelineError> {
            let opened = self.opened;
            InExecutor { floats, checkpoint: &*opened.checkpoint, weights: &opened.weight_map }
                .run(program, &arguments)
        };
        let (rounded, exact) = (run(Floats::AsWritten)?, run(Floats::Double)?);
        let mut roundings = BTreeMap::new();
        for (name, exact) in &exact {
            let Some(rounded) = rounded.get(name) else { continue };
            let positions = plan.case.positions(exact)?;
            let apart = compare(name, rounded, exact, &positions).map_err(MeasureError::from)?;
            roundings.insert(name.clone(), apart.max_abs);
        }
        Ok(roundings)
    }
}
