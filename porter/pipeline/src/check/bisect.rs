//! Which module of a port is wrong.

use std::collections::BTreeMap;

use porter_executor::Floats;
use porter_ir::{InputRole, Program};
use porter_numerics::{
    Bundle, Findings, Positions,
    bisect::{Bisection, Runner, Search, Tensor},
};
use porter_rewrite::{Port, apply};
use porter_zoo::Phase;

use super::{
    Checker,
    parts::{InExecutor, OnPlugin, arguments, integers, owned},
    plan::Plan,
};
use crate::{PipelineError, Variant};

/// What a search may take from the bundle besides its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// What was recorded counts more than what Porter computes.
    Recorded,
    /// Nothing: Porter computed the bundle itself.
    Inputs,
}

impl Checker<'_> {
    /// Searches the programs in which something left its budget: the forward program of the first case
    /// that did, or else the cached path, prefill before decode.
    pub fn bisect(
        &self,
        bundle: &Bundle,
        findings: &Findings,
        trust: Trust,
    ) -> Result<Vec<Bisection>, PipelineError> {
        let over = |name: &str| findings.comparisons.iter().any(|m| m.comparison.name == name && !m.pass);
        let mut searched = Vec::new();
        for case in bundle.cases() {
            let plan = Plan::new(case, self.opened)?;
            if case.outputs().iter().any(|output| over(&output.tensor)) {
                searched.push(self.search_forward(&plan, trust)?);
            }
            if searched.iter().any(|found| !found.suspects.is_empty()) {
                return Ok(searched);
            }
        }
        for case in bundle.cases() {
            let plan = Plan::new(case, self.opened)?;
            let Some((recorded, _)) = &plan.continuation else { continue };
            let differs = findings.tokens.iter().any(|t| t.name == recorded.name && !t.pass);
            if differs || over(&format!("{}_logits", recorded.name)) {
                searched.extend(self.search_cached(&plan)?);
            }
            if searched.iter().any(|found| !found.suspects.is_empty()) {
                break;
            }
        }
        Ok(searched)
    }

    /// Searches the forward program on a case's inputs.
    fn search_forward(&self, plan: &Plan<'_>, trust: Trust) -> Result<Bisection, PipelineError> {
        let arguments = arguments(&plan.sequences, self.opened)?;
        let (recorded, positions) = match trust {
            Trust::Recorded => recorded(plan)?,
            Trust::Inputs => (BTreeMap::new(), Positions::All),
        };
        let found = self.search(&plan.forward, arguments, recorded, positions)?;
        let program = match plan.case.name() {
            "" => found.program,
            case => format!("{case}: {}", found.program),
        };
        Ok(Bisection { program, ..found })
    }

    /// Searches the programs of the cached path on a case's prompt and tokens: the prefill, the first
    /// decode step, and the last.
    fn search_cached(&self, plan: &Plan<'_>) -> Result<Vec<Bisection>, PipelineError> {
        let Some((recorded, sizes)) = &plan.continuation else { return Ok(Vec::new()) };
        let (prefill, decode) = (sizes.prefill(), sizes.decode());
        let padding = integers(&[(sizes.bucket - recorded.prompt.len()) as i64], &[1])?;
        let ids = [vec![0; sizes.bucket - recorded.prompt.len()], recorded.prompt.clone()].concat();
        let reference = self.reference(&prefill)?;
        let mut arguments = zeros(&reference)?;
        arguments.insert("input_ids".to_owned(), integers(&ids, &[1, sizes.bucket])?);
        arguments.insert("padding".to_owned(), padding.clone());
        let mut searched = vec![self.search(&prefill, arguments.clone(), BTreeMap::new(), Positions::All)?];
        let mut states = self.exact().run(&reference, &arguments)?;
        let reference = self.reference(&decode)?;
        let last = recorded.tokens.len().saturating_sub(2);
        for (i, &token) in recorded.tokens.iter().enumerate().take(last + 1) {
            if searched.iter().any(|found| !found.suspects.is_empty()) {
                break;
            }
            let mut arguments = states.clone();
            arguments.remove("logits");
            arguments.insert("input_ids".to_owned(), integers(&[token], &[1, 1])?);
            arguments.insert("padding".to_owned(), padding.clone());
            arguments.insert("offset".to_owned(), integers(&[(sizes.bucket + i) as i64], &[])?);
            if i == 0 || i == last {
                searched.push(self.search(&decode, arguments.clone(), BTreeMap::new(), Positions::All)?);
            }
            states = self.exact().run(&reference, &arguments)?;
        }
        Ok(searched)
    }

    fn search(
        &self,
        phase: &Phase,
        arguments: BTreeMap<String, Tensor>,
        recorded: BTreeMap<String, Tensor>,
        positions: Positions,
    ) -> Result<Bisection, PipelineError> {
        let reference = self.reference(phase)?;
        let port = Port::new(vec![reference.clone()], self.opened.weight_map.clone());
        let (port, _) = apply(self.variant.before, port)?;
        let Some(program) = port.programs.first() else {
            return Err(PipelineError::Unsupported("a rewrite took the program away".into()));
        };
        let own = Variant { before: &[], ..self.variant };
        let mut port_runner = OnPlugin {
            engine: self.engine,
            checkpoint: &*self.opened.checkpoint,
            weights: &port.weights,
            rewrites: own.rewrites(self.engine.target),
        };
        let mut rounded = InExecutor { floats: Floats::AsWritten, ..self.exact() };
        let search = Search {
            port: program,
            port_runner: &mut port_runner,
            reference: &reference,
            exact: &mut self.exact(),
            rounded: &mut rounded,
            narrow: self.narrowest().is_some(),
            arguments,
            recorded,
            positions,
        };
        Ok(search.run()?)
    }

    /// The program as the zoo writes it in the variant's precision.
    fn reference(&self, phase: &Phase) -> Result<Program, PipelineError> {
        Ok(self.opened.model.program(phase, &self.variant.precision(self.engine.target))?)
    }

    fn exact(&self) -> InExecutor<'_> {
        InExecutor {
            floats: Floats::Double,
            checkpoint: &*self.opened.checkpoint,
            weights: &self.opened.weight_map,
        }
    }
}

/// What was recorded of a case, in double precision where it was, and which positions count.
fn recorded(plan: &Plan<'_>) -> Result<(BTreeMap<String, Tensor>, Positions), PipelineError> {
    let mut recorded = BTreeMap::new();
    let mut positions = Positions::All;
    for output in plan.case.outputs() {
        let view = match plan.case.twin(output)? {
            Some(twin) => twin,
            None => plan.case.reference(output)?,
        };
        if let rows @ Positions::Rows(_) = plan.case.positions(&view)? {
            positions = rows;
        }
        recorded.insert(output.name.clone(), owned(view.ty(), view.bytes().to_vec())?);
    }
    Ok((recorded, positions))
}

/// Zeros for every state of a program.
fn zeros(program: &Program) -> Result<BTreeMap<String, Tensor>, PipelineError> {
    let states = program.inputs().iter().filter(|i| i.role == InputRole::State);
    states
        .map(|input| {
            let ty = program.ty(input.value);
            Ok((input.name.clone(), owned(ty, vec![0; ty.host_bytes()])?))
        })
        .collect()
}
