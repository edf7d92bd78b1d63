//! Compiling ahead of time, for TPUs that are not there.

use std::{ffi::OsString, iter, path::PathBuf, thread, time::Duration};

use porter_ir::{Mesh, Program};
use porter_plan::{Estimate, Inputs, Target, Topologies, hlo::Module, model_flops};
use porter_rewrite::{Applied, Collective};
use porter_runtime::{
    Error as RuntimeError, NamedValue, Value,
    aot::{self, Compiled, Compiler, OutOfMemory, TopologyRequest},
    plugins,
};
use porter_zoo::{Model, Phase, Taps, Task};

use crate::{Compilable, Configured, Meshing, PipelineError, Variant, engine::options, lower::port};

/// Compiles programs of a model for a target, each in a process of its own, side by side, laid out over the
/// target's devices.
pub struct Ahead {
    /// The compiler.
    pub compiler: Compiler,
    /// What to compile for.
    pub target: Target,
    /// How programs lie over its devices.
    pub meshing: Meshing,
}

/// A program to compile.
pub struct Job {
    /// The program.
    pub program: Compilable,
    /// The arithmetic of the model in it, on all devices together, as [`model_flops`] counts it.
    pub flops: f64,
    /// The collectives that its layout asks for.
    pub predicted: Vec<Collective>,
}

impl Job {
    /// A program as it is.
    pub fn new(program: &Program, predicted: Vec<Collective>) -> Self {
        Self { program: program.into(), flops: model_flops(program), predicted }
    }
}

/// What the compiler says of a model.
pub struct Answers {
    /// The mesh of the target's devices; none where it is one.
    pub mesh: Option<Mesh>,
    /// What was done to the programs that the zoo writes.
    pub applied: Vec<Applied>,
    /// By program.
    pub programs: Vec<Answer>,
}

/// What the compiler says of one program.
pub struct Answer {
    /// The program's name: `decode_8_1024`.
    pub program: String,
    /// The collectives that the layout asks for; no others should be in what is compiled.
    pub predicted: Vec<Collective>,
    /// The program fits, or it does not, or the compiler fails otherwise: at this program, or at any.
    pub outcome: Result<Fitting, RuntimeError>,
}

/// A program that fits its device.
pub struct Fitting {
    /// What the compiler made of it.
    pub compiled: Compiled,
    /// What it should cost.
    pub estimate: Estimate,
}

impl Answer {
    /// What the program lacks, where it does not fit a device's HBM. A step that does not fit vector memory
    /// is another failure: it is no matter of how large the model is.
    pub fn out_of_memory(&self) -> Option<&OutOfMemory> {
        match &self.outcome {
            Err(RuntimeError::OutOfMemory(oom)) if oom.space == "hbm" => Some(oom),
            _ => None,
        }
    }
}

/// The compiler in libtpu, or in the plugin that `wanted` names by path or name, installed where it is
/// missing. `worker` is a command that calls [`serve`](porter_runtime::aot::serve).
pub fn compiler_for(
    wanted: Option<&str>,
    worker: (PathBuf, Vec<OsString>),
    time_limit: Duration,
    note: &mut dyn FnMut(&str),
) -> Result<Compiler, PipelineError> {
    let located = plugins::ensure(Some(wanted.unwrap_or("tpu")), note)?;
    Ok(Compiler { worker, plugin: located.path, time_limit })
}

/// The programs that a model runs with: decode and a prefill for each of `prompts`, or a forward pass for each
/// where it generates nothing. `prompts` and `context` are tokens a row.
pub fn phases(
    model: &Model,
    batch: usize,
    prompts: &[usize],
    context: usize,
) -> Result<Vec<Phase>, PipelineError> {
    let (limit, prompt) = (model.dimensions().max_positions, prompts.iter().copied().max().unwrap_or(1));
    let longest = prompt.max(context);
    if longest > limit {
        return Err(PipelineError::Usage(format!(
            "a context of {longest} tokens exceeds the {limit} positions of {}",
            model.class()
        )));
    }
    if context < prompt {
        return Err(PipelineError::Usage(format!(
            "a prompt of {prompt} tokens does not fit a context of {context}"
        )));
    }
    let prompts = prompts.iter().copied();
    Ok(match model.task() {
        Task::Generate => iter::once(Phase::Decode { batch, cache: context })
            .chain(prompts.map(|tokens| Phase::Prefill { batch, tokens, cache: context }))
            .collect(),
        Task::Encode => prompts.map(|tokens| Phase::Forward { batch, tokens, taps: Taps::None }).collect(),
    })
}

impl Ahead {
    /// Compiles the programs of `phases`. A program that does not fit is an answer, not an error.
    pub fn compile(
        &self,
        model: &Configured,
        phases: &[Phase],
        variant: &Variant<'_>,
    ) -> Result<Answers, PipelineError> {
        variant.quantize.map_or(Ok(()), |form| form.serves(self.target.chip()))?;
        let devices = self.target.devices();
        let ported = port(&model.model, &model.weight_map, phases, variant, &self.meshing, devices)?;
        let jobs = ported.port.programs.iter().zip(ported.predicted);
        let jobs: Vec<Job> = jobs.map(|(program, predicted)| Job::new(program, predicted)).collect();
        Ok(Answers { mesh: ported.mesh, applied: ported.applied, programs: self.answers(&jobs, false)? })
    }

    /// Compiles programs as they are; with `serialize` their executables are kept.
    pub fn answers(&self, jobs: &[Job], serialize: bool) -> Result<Vec<Answer>, PipelineError> {
        thread::scope(|scope| {
            let one = |job| scope.spawn(move || self.answer(job, serialize));
            let running: Vec<_> = jobs.iter().map(one).collect();
            let ended = running.into_iter().map(|thread| {
                let panicked =
                    |_| PipelineError::Unsupported("a compiling thread ended without a result".into());
                thread.join().map_err(panicked)?
            });
            ended.collect()
        })
    }

    fn answer(&self, job: &Job, serialize: bool) -> Result<Answer, PipelineError> {
        let Compilable { entry, text, flags } = &job.program;
        let request = aot::Job {
            topology: self.topology(),
            program: text.clone(),
            options: options(entry, flags),
            serialize,
        };
        let outcome = match self.compiler.compile(&request) {
            Ok(compiled) => Ok(self.fitting(job, compiled)?),
            Err(error) => Err(error),
        };
        Ok(Answer { program: entry.name.clone(), predicted: job.predicted.clone(), outcome })
    }

    fn fitting(&self, job: &Job, compiled: Compiled) -> Result<Fitting, PipelineError> {
        let module = Module::decode(&compiled.optimized.code)?;
        let flops = job.flops / job.program.entry.devices() as f64;
        let inputs = Inputs { model_flops: Some(flops) };
        let estimate = Estimate::new(&module, &self.target, &inputs)?;
        Ok(Fitting { compiled, estimate })
    }

    /// The target as libtpu is asked for it.
    fn topology(&self) -> TopologyRequest {
        let (target, chip) = (&self.target, self.target.chip());
        let config = chip.chip_config.map(|name| ("chip_config_name", Value::String(name.into())));
        // libtpu does not assume of cubes that they are tori (`facts/pjrt.md` part 4).
        let torus = matches!(chip.topologies, Topologies::Torus { .. }) && target.rings().contains(&true);
        let wrap = torus.then(|| ("wrap", Value::IntList(vec![1; 3])));
        let options = config.into_iter().chain(wrap);
        TopologyRequest {
            name: target.libtpu_name(),
            options: options.map(|(name, value)| NamedValue::new(name, value)).collect(),
            devices: target.devices(),
            kind: chip.device_kind.to_owned(),
        }
    }
}
