//! A ported ONNX graph at work.

use porter_import::ModelFiles;
use porter_ir::{DType, OutputRole};
use porter_numerics::{Budget, Findings, Judge, Measured};
use porter_onnx::Recorded;
use porter_plan::Target;
use porter_weights::{Checkpoint, WeightMap};

use super::{
    manifest::{FixedRecord, GraphRecord, Manifest, RoundingsRecord},
    parts::{Parts, jobs, weights},
    program::PhaseRecord,
};
use crate::{
    Compilable, Engine, Observer, PipelineError, Resident,
    ahead::Job,
    onnx::{Reference, Running, bring_up, compare_case},
};

/// The programs of a graph over its weights.
pub struct PortedGraph<'a> {
    /// What it was made for.
    pub record: &'a GraphRecord,
    /// What its products take, where that is not the file's type.
    pub dtype: Option<DType>,
    /// One of [`PhaseRecord::Graph`], and one of [`PhaseRecord::Weights`] where there is something to compute.
    pub programs: Vec<(PhaseRecord, &'a Compilable)>,
    /// How their weights come from the checkpoint.
    pub weights: &'a WeightMap,
    /// The checkpoint.
    pub checkpoint: &'a dyn Checkpoint,
}

/// A ported graph on this machine.
pub struct GraphArtefact {
    /// Its files.
    pub files: ModelFiles,
    /// What it is.
    pub manifest: Manifest,
    /// Its weights.
    pub checkpoint: Box<dyn Checkpoint>,
    /// The target that it is for.
    pub target: Target,
    record: GraphRecord,
    dtype: Option<DType>,
    /// In the manifest's order.
    programs: Vec<Compilable>,
    weights: WeightMap,
}

impl GraphArtefact {
    pub(super) fn open(parts: Parts, record: GraphRecord) -> Result<Self, PipelineError> {
        let Parts { path, files, manifest, checkpoint, target, programs, .. } = parts;
        let phases: Vec<PhaseRecord> = manifest.programs.iter().map(|program| program.phase).collect();
        let count = |phase| phases.iter().filter(|found| **found == phase).count();
        let (graphs, before) = (count(PhaseRecord::Graph), count(PhaseRecord::Weights));
        let mut problems = Vec::new();
        if graphs != 1 || before > 1 || phases.len() != graphs + before {
            problems.push(format!(
                "a graph has one program of phase graph and at most one of phase weights, found {phases:?}"
            ));
        }
        let made: Vec<&str> = programs
            .iter()
            .zip(&phases)
            .filter(|(_, phase)| **phase == PhaseRecord::Weights)
            .flat_map(|(program, _)| &program.entry.outputs)
            .filter(|output| output.role == OutputRole::Result)
            .map(|output| output.name.as_str())
            .collect();
        let weights = weights(&programs, &*checkpoint, &made, &mut problems);
        let dtype = manifest.dtype.as_deref().map(str::parse).transpose();
        let dtype = dtype.unwrap_or_else(|error| {
            problems.push(format!("dtype: {error}"));
            None
        });
        if !problems.is_empty() {
            return Err(PipelineError::Artefact { path, problem: problems.join("\n") });
        }
        Ok(Self { files, manifest, checkpoint, target, record, dtype, programs, weights })
    }

    /// Its programs and weights.
    pub fn ported(&self) -> PortedGraph<'_> {
        let phases = self.manifest.programs.iter().map(|program| program.phase);
        PortedGraph {
            record: &self.record,
            dtype: self.dtype,
            programs: phases.zip(&self.programs).collect(),
            weights: &self.weights,
            checkpoint: &*self.checkpoint,
        }
    }

    /// Its programs, for the TPU compiler.
    pub fn jobs(self) -> Vec<Job> {
        jobs(&self.manifest, self.programs)
    }
}

impl PortedGraph<'_> {
    /// Compiles the programs, loads their weights, and computes what depends on them alone.
    pub fn bring_up<'e>(&self, engine: &'e Engine) -> Result<(Running<'e>, Resident), PipelineError> {
        let main = self.program(PhaseRecord::Graph);
        let main = main.ok_or_else(|| PipelineError::Unsupported("the port has no graph".to_owned()))?;
        let all: Vec<Compilable> = self.programs.iter().map(|(_, program)| (*program).clone()).collect();
        let load = || Ok(engine.load(&all, self.weights, self.checkpoint, |_| ())?.0);
        bring_up(engine, main, self.program(PhaseRecord::Weights), load)
    }

    /// Refuses inputs of other values than those that the program has as constants.
    pub fn fits(&self, inputs: &[Recorded]) -> Result<(), PipelineError> {
        let differs = inputs.iter().filter_map(|input| {
            let fixed = self.record.fixed.get(&input.name).filter(|fixed| **fixed != FixedRecord::of(input))?;
            Some(format!(
                "input {:?} is another value than the {} that the port was made for, which shapes depend on; port the \
                 graph with --input for this one",
                input.name, fixed.ty
            ))
        });
        let differs: Vec<String> = differs.collect();
        if differs.is_empty() { Ok(()) } else { Err(PipelineError::Usage(differs.join("\n"))) }
    }

    /// Runs every case, and compares what it recorded.
    pub fn check(
        &self,
        engine: &Engine,
        reference: &Reference,
        judge: &Judge<'_>,
        observer: &dyn Observer,
    ) -> Result<Findings, PipelineError> {
        for case in &reference.cases {
            self.fits(&case.inputs)?;
        }
        let (running, took) = self.bring_up(engine)?;
        observer.detail(&took.summary());
        let mut findings = Findings::default();
        for (i, case) in reference.cases.iter().enumerate() {
            compare_case(case, &running.run(&case.inputs)?, reference, judge, &mut findings);
            observer.step("cases", i + 1, reference.cases.len());
        }
        findings.comparisons =
            findings.comparisons.into_iter().map(|measured| self.held(measured, reference, judge)).collect();
        Ok(findings)
    }

    /// A comparison held to what narrow products do to the output, where there are any.
    fn held(&self, measured: Measured, reference: &Reference, judge: &Judge<'_>) -> Measured {
        let name = reference.output_of(&measured.comparison.name);
        let Some(RoundingsRecord { deviation, of }) = self.record.roundings.get(name) else {
            return measured;
        };
        let budget = Budget::rounded(*deviation, of, &measured.comparison);
        if judge.level.is_some() || measured.loosened.is_some() || budget.max_abs <= measured.budget.max_abs {
            return measured;
        }
        // How noisy the reference is in f32 says nothing of a port that rounds to less.
        measured.with_floor(None).held_to(budget)
    }

    fn program(&self, phase: PhaseRecord) -> Option<&Compilable> {
        self.programs.iter().find(|(found, _)| *found == phase).map(|(_, program)| *program)
    }
}
