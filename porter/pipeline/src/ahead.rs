//! Compiling ahead of time, for TPUs that are not there.

use std::{ffi::OsString, iter, path::PathBuf, thread, time::Duration};

use porter_ir::{Mesh, Program};
use porter_plan::{Estimate, Inputs, Target, Topologies, hlo::Module, model_flops};
use porter_rewrite::{Collective, Port, apply};
use porter_runtime::{
    Error as RuntimeError, NamedValue, Value,
    aot::{Compiled, Compiler, Job, OutOfMemory, TopologyRequest},
    plugins,
};
use porter_zoo::{Phase, Task};

use crate::{Configured, Meshing, PipelineError, Variant, engine::options, lower::programs_of};

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

/// What the compiler says of a model.
pub struct Answers {
    /// The mesh of the target's devices; none where it is one.
    pub mesh: Option<Mesh>,
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

/// The programs that a model runs with: decode and prefill, or one forward pass where it generates
/// nothing. `prompt` and `context` are tokens a row.
pub fn phases(
    model: &Configured,
    batch: usize,
    prompt: usize,
    context: usize,
) -> Result<Vec<Phase>, PipelineError> {
    let limit = model.model.dimensions().max_positions;
    let longest = prompt.max(context);
    if longest > limit {
        return Err(PipelineError::Usage(format!(
            "a context of {longest} tokens exceeds the {limit} positions of {}",
            model.name
        )));
    }
    if context < prompt {
        return Err(PipelineError::Usage(format!(
            "a prompt of {prompt} tokens does not fit a context of {context}"
        )));
    }
    Ok(match model.model.task() {
        Task::Generate => vec![
            Phase::Decode { batch, cache: context },
            Phase::Prefill { batch, tokens: prompt, cache: context },
        ],
        Task::Encode => {
            vec![Phase::Forward { batch, tokens: prompt, taps: porter_zoo::Taps::None }]
        }
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
        let form = porter_rewrite::Target::Tpu;
        let port = Port::new(programs_of(&model.model, phases, variant, form)?, model.weight_map.clone());
        let (mesh, port, predicted) = match self.meshing.shard(&port, self.target.devices())? {
            None => (None, port, vec![]),
            Some(shard) => {
                let predicted = shard.collectives(&port)?;
                let port = shard.patch(&port)?.apply(&port)?;
                (Some(shard.mesh), port, predicted)
            }
        };
        // The rewrites keep the rows of each device together, and so they come after the mesh.
        let (port, _) = apply(&variant.rewrites(form), port)?;
        Ok(Answers { mesh, programs: self.answers(&port.programs, predicted)? })
    }

    /// Compiles programs as they are.
    pub fn compile_programs(&self, programs: &[Program]) -> Result<Vec<Answer>, PipelineError> {
        self.answers(programs, vec![])
    }

    /// Compiles programs that lie as they shall.
    fn answers(
        &self,
        programs: &[Program],
        predicted: Vec<Vec<Collective>>,
    ) -> Result<Vec<Answer>, PipelineError> {
        let predicted = predicted.into_iter().chain(iter::repeat_with(Vec::new));
        thread::scope(|scope| {
            let one = |(program, predicted)| scope.spawn(move || self.answer(program, predicted));
            let running: Vec<_> = programs.iter().zip(predicted).map(one).collect();
            let ended = running.into_iter().map(|thread| {
                let panicked =
                    |_| PipelineError::Unsupported("a compiling thread ended without a result".into());
                thread.join().map_err(panicked)?
            });
            ended.collect()
        })
    }

    fn answer(&self, program: &Program, predicted: Vec<Collective>) -> Result<Answer, PipelineError> {
        let job = Job {
            topology: self.topology(),
            program: program.to_string(),
            options: options(program, &[]),
            serialize: false,
        };
        let outcome = match self.compiler.compile(&job) {
            Ok(compiled) => Ok(self.fitting(program, compiled)?),
            Err(error) => Err(error),
        };
        Ok(Answer { program: program.name().to_owned(), predicted, outcome })
    }

    fn fitting(&self, program: &Program, compiled: Compiled) -> Result<Fitting, PipelineError> {
        let module = Module::decode(&compiled.optimized.code)?;
        let flops = model_flops(program) / program.devices() as f64;
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
