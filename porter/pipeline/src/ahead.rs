//! Compiling ahead of time, for TPUs that are not there.

use std::{ffi::OsString, path::PathBuf, thread, time::Duration};

use porter_ir::Program;
use porter_plan::{Estimate, Inputs, Target, Topologies, hlo::Module, model_flops};
use porter_runtime::{
    CompileOptions, Error as RuntimeError, NamedValue, Value,
    aot::{Compiled, Compiler, Job, OutOfMemory, TopologyRequest},
    plugins,
};
use porter_zoo::{Phase, Task};

use crate::{
    Configured, PipelineError, Variant,
    lower::{lower_over, programs_of},
};

/// Compiles programs of a model for a target, each in a process of its own, side by side.
///
/// Sharding is not applied: a program is compiled for one device, and a target of several would run
/// copies of it.
pub struct Ahead {
    /// The compiler.
    pub compiler: Compiler,
    /// What to compile for.
    pub target: Target,
}

/// What the compiler says of one program.
pub struct Answer {
    /// The program's name: `decode_8_1024`.
    pub program: String,
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
    ) -> Result<Vec<Answer>, PipelineError> {
        let form = porter_rewrite::Target::Tpu;
        let programs = programs_of(&model.model, phases, variant, form)?;
        let lowered = lower_over(&model.weight_map, programs, variant, form)?;
        thread::scope(|scope| {
            let one = |program| scope.spawn(move || self.answer(program));
            let running: Vec<_> = lowered.port.programs.iter().map(one).collect();
            let ended = running.into_iter().map(|thread| {
                let panicked =
                    |_| PipelineError::Unsupported("a compiling thread ended without a result".into());
                thread.join().map_err(panicked)?
            });
            ended.collect()
        })
    }

    fn answer(&self, program: &Program) -> Result<Answer, PipelineError> {
        let job = Job {
            topology: self.topology(),
            program: program.to_string(),
            options: CompileOptions::default(),
            serialize: false,
        };
        let outcome = match self.compiler.compile(&job) {
            Ok(compiled) => Ok(self.fitting(program, compiled)?),
            Err(error) => Err(error),
        };
        Ok(Answer { program: program.name().to_owned(), outcome })
    }

    fn fitting(&self, program: &Program, compiled: Compiled) -> Result<Fitting, PipelineError> {
        let module = Module::decode(&compiled.optimized.code)?;
        let inputs = Inputs { model_flops: Some(model_flops(program)) };
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
