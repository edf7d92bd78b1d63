//! A plugin at work: programs compiled through the cache, weights brought to the device.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use porter_ir::{DType, InputRole, Program};
use porter_rewrite::{CompilerFlag, FlagValue, Port, Shard, Target};
use porter_runtime::{
    Cached, Client, ClientOptions, CompileCache, CompileOptions, Devices, Flag, HostTensor, Outcome,
    Placement, Plugin, Signature, Step, Weights, plugins,
};
use porter_weights::{Checkpoint, Loaded};

use crate::PipelineError;

/// How XLA refuses a flag that it does not have (`facts/pjrt.md` part 2).
const UNKNOWN_FLAG: &str = "No such compile option";

/// A client of a plugin, its devices, and the compile cache.
pub struct Engine {
    /// The plugin at work.
    pub client: Client,
    /// Where programs run: on the first, or on as many as the mesh has.
    pub devices: Devices,
    /// What programs are lowered for.
    pub target: Target,
    /// How programs are laid out over the devices; on one of them where it is none.
    pub shard: Option<Shard>,
    cache: CompileCache,
}

/// Programs bound to resident weights, in the order of the port's programs, and what it took.
pub struct Resident {
    /// The programs.
    pub steps: Vec<Step>,
    /// How long all of them took to compile.
    pub compile: Duration,
    /// Whether each came from the compile cache.
    pub compiled: Vec<Outcome>,
    /// How long the weights took to load.
    pub load: Duration,
    /// The weights' bytes on the device.
    pub weight_bytes: usize,
}

impl Resident {
    /// What bringing up took, in one line.
    pub fn summary(&self) -> String {
        let hits = self.compiled.iter().filter(|outcome| **outcome == Outcome::Hit).count();
        format!(
            "weights: {:.1} MB in {:.2} s; programs: {} of {} from the compile cache, {:.2} s",
            self.weight_bytes as f64 / 1e6,
            self.load.as_secs_f64(),
            hits,
            self.compiled.len(),
            self.compile.as_secs_f64()
        )
    }
}

impl Engine {
    /// Starts the plugin that the user names, by path or by name, or the default; it is installed
    /// where it is missing, and `note` says so.
    pub fn start(wanted: Option<&str>, note: &mut dyn FnMut(&str)) -> Result<Self, PipelineError> {
        Self::start_over(wanted, None, note)
    }

    /// [`start`](Self::start) for programs that are laid out over devices; a CPU plugin is told to have as
    /// many.
    pub fn start_over(
        wanted: Option<&str>,
        shard: Option<Shard>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self, PipelineError> {
        let located = plugins::ensure(wanted, note)?;
        let plugin = Plugin::load(&located.path)?;
        let count = shard.as_ref().map(|shard| u32::try_from(shard.mesh.devices()).unwrap_or(u32::MAX));
        let options = ClientOptions { cpu_device_count: count, ..ClientOptions::default() };
        // Only a CPU plugin knows the option; others have the devices that they have.
        let client = match (count, Client::create(&plugin, &options)) {
            (Some(_), Err(_)) => Client::create(&plugin, &ClientOptions::default())?,
            (_, client) => client?,
        };
        let (devices, target) = (Devices::of(&client), Target::of_platform(client.platform()));
        Ok(Self { client, devices, target, shard, cache: CompileCache::standard()? })
    }

    /// Compiles the port's programs and loads its weights, side by side.
    pub fn bring_up(
        &self,
        port: &Port,
        checkpoint: &dyn Checkpoint,
        progress: impl FnMut(Loaded<'_>),
    ) -> Result<Resident, PipelineError> {
        let (compiled, loaded) = thread::scope(|scope| {
            let compiling = scope.spawn(|| self.compile_all(port));
            let loaded = self.load(port, checkpoint, progress);
            let panicked =
                |_| PipelineError::Unsupported("the compiling thread ended without a result".into());
            (compiling.join().map_err(panicked), loaded)
        });
        let ((compiled, compile), (weights, load)) = (compiled??, loaded?);
        let weight_bytes = weights.values().map(|weight| weight.ty().host_bytes()).sum();
        let mut steps = Vec::with_capacity(compiled.len());
        let mut outcomes = Vec::with_capacity(compiled.len());
        for (program, cached) in port.programs.iter().zip(compiled) {
            steps.push(Step::new(program, cached.executable, &self.devices, &weights)?);
            outcomes.push(cached.outcome);
        }
        Ok(Resident { steps, compile, compiled: outcomes, load, weight_bytes })
    }

    fn compile_all(&self, port: &Port) -> Result<(Vec<Cached>, Duration), PipelineError> {
        let started = Instant::now();
        let programs = port.programs.iter().zip(&port.flags);
        let compiled = programs.map(|(p, flags)| self.compile(p, flags)).collect::<Result<_, _>>()?;
        Ok((compiled, started.elapsed()))
    }

    pub(crate) fn compile(&self, program: &Program, flags: &[CompilerFlag]) -> Result<Cached, PipelineError> {
        let (text, signature) = (program.to_string(), Signature::of(program));
        let compile = |options| self.cache.compile(&self.client, &text, &signature, &options);
        match compile(options(program, flags)) {
            // Flags make a program faster, not right: a plugin without them compiles it all the same.
            Err(error) if error.to_string().contains(UNKNOWN_FLAG) => Ok(compile(options(program, &[]))?),
            compiled => Ok(compiled?),
        }
    }

    /// Evaluates the weights in the types that the programs take, and hands them to the device.
    fn load(
        &self,
        port: &Port,
        checkpoint: &dyn Checkpoint,
        progress: impl FnMut(Loaded<'_>),
    ) -> Result<(Weights, Duration), PipelineError> {
        let started = Instant::now();
        let inputs = weight_inputs(&port.programs);
        let dtype = |name: &str, inferred: &porter_ir::TensorType| {
            inputs.get(name).map_or(inferred.dtype, |&(dtype, _)| dtype)
        };
        let tensors = port.weights.load(checkpoint, dtype, progress)?;
        let upload = |(name, tensor): (String, porter_weights::HostTensor)| {
            let tensor = HostTensor::new(tensor.ty, tensor.bytes)?;
            let placement = inputs.get(name.as_str()).map_or(&Placement::One, |(_, placement)| placement);
            let weight = self.devices.upload(&tensor, placement)?;
            Ok::<_, PipelineError>((name, Arc::new(weight)))
        };
        let weights = tensors.into_iter().map(upload).collect::<Result<_, _>>()?;
        Ok((weights, started.elapsed()))
    }
}

/// How a program is compiled: for the devices of its mesh, with `flags`.
pub(crate) fn options(program: &Program, flags: &[CompilerFlag]) -> CompileOptions {
    let devices = program.mesh().and_then(|mesh| NonZeroU32::new(u32::try_from(mesh.devices()).ok()?));
    let options = devices.map_or_else(CompileOptions::default, CompileOptions::sharded);
    flags.iter().fold(options, |options, flag| {
        let value = match flag.value {
            FlagValue::Text(text) => Flag::String(text.to_owned()),
            FlagValue::Integer(number) => Flag::Int(number),
        };
        options.flag(flag.name, value)
    })
}

/// In which types the programs take their weights, and how these lie.
fn weight_inputs(programs: &[Program]) -> HashMap<&str, (DType, Placement)> {
    let mut inputs = HashMap::new();
    for program in programs {
        for input in program.inputs().iter().filter(|i| i.role == InputRole::Weight) {
            let placement = Placement::of(program, input.sharding.as_ref());
            inputs.insert(input.name.as_str(), (program.ty(input.value).dtype, placement));
        }
    }
    inputs
}
