//! A plugin at work: programs compiled through the cache, weights brought to the device.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use porter_ir::{DType, Entry, InputRole, Program, TensorType};
use porter_rewrite::{CompilerFlag, FlagValue, Port, Shard, Target};
use porter_runtime::{
    Cached, Client, ClientOptions, CompileCache, CompileOptions, Devices, Flag, HostTensor, Outcome,
    Placement, Plugin, Signature, Step, Weights, plugins,
};
use porter_weights::{Checkpoint, Loaded, WeightMap};

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

/// A program as a plugin takes it.
#[derive(Clone)]
pub struct Compilable {
    /// What it takes and gives.
    pub entry: Entry,
    /// Its StableHLO.
    pub text: String,
    /// What it is compiled with.
    pub flags: Vec<CompilerFlag>,
}

impl Compilable {
    /// The programs of a port.
    pub fn all(port: &Port) -> Vec<Self> {
        let flagged = port.programs.iter().zip(&port.flags);
        flagged.map(|(program, flags)| Self { flags: flags.clone(), ..Self::from(program) }).collect()
    }
}

impl From<&Program> for Compilable {
    /// A program that is compiled without flags.
    fn from(program: &Program) -> Self {
        Self { entry: program.entry(), text: program.to_string(), flags: Vec::new() }
    }
}

/// Programs bound to resident weights, in the order of the programs, and what it took.
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
        Self::start_on(wanted, None, note)
    }

    /// [`start`](Self::start) for programs that are laid out over devices; a CPU plugin is told to have as
    /// many.
    pub fn start_over(
        wanted: Option<&str>,
        shard: Option<Shard>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self, PipelineError> {
        let devices = shard.as_ref().map(|shard| shard.mesh.devices());
        Ok(Self { shard, ..Self::start_on(wanted, devices, note)? })
    }

    /// [`start`](Self::start) with so many devices at least, where the plugin can be told.
    pub(crate) fn start_on(
        wanted: Option<&str>,
        devices: Option<usize>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self, PipelineError> {
        let located = plugins::ensure(wanted, note)?;
        let plugin = Plugin::load(&located.path)?;
        let count = devices.map(|devices| u32::try_from(devices).unwrap_or(u32::MAX));
        let options = ClientOptions { cpu_device_count: count, ..ClientOptions::default() };
        // Only a CPU plugin knows the option; others have the devices that they have.
        let client = match (count, Client::create(&plugin, &options)) {
            (Some(_), Err(_)) => Client::create(&plugin, &ClientOptions::default())?,
            (_, client) => client?,
        };
        let (devices, target) = (Devices::of(&client), Target::of_platform(client.platform()));
        Ok(Self { client, devices, target, shard: None, cache: CompileCache::standard()? })
    }

    /// Compiles programs and loads their weights, side by side.
    pub fn bring_up(
        &self,
        programs: &[Compilable],
        weights: &WeightMap,
        checkpoint: &dyn Checkpoint,
        progress: impl FnMut(Loaded<'_>),
    ) -> Result<Resident, PipelineError> {
        let (compiled, loaded) = thread::scope(|scope| {
            let compiling = scope.spawn(|| self.compile_all(programs));
            let loaded = self.load(programs, weights, checkpoint, progress);
            let panicked =
                |_| PipelineError::Unsupported("the compiling thread ended without a result".into());
            (compiling.join().map_err(panicked), loaded)
        });
        let ((compiled, compile), (weights, load)) = (compiled??, loaded?);
        let weight_bytes = weights.values().map(|weight| weight.ty().host_bytes()).sum();
        let mut steps = Vec::with_capacity(compiled.len());
        let mut outcomes = Vec::with_capacity(compiled.len());
        for (program, cached) in programs.iter().zip(compiled) {
            steps.push(Step::new(&program.entry, cached.executable, &self.devices, &weights)?);
            outcomes.push(cached.outcome);
        }
        Ok(Resident { steps, compile, compiled: outcomes, load, weight_bytes })
    }

    fn compile_all(&self, programs: &[Compilable]) -> Result<(Vec<Cached>, Duration), PipelineError> {
        let started = Instant::now();
        let compiled = programs.iter().map(|program| self.compile(program)).collect::<Result<_, _>>()?;
        Ok((compiled, started.elapsed()))
    }

    pub(crate) fn compile(&self, program: &Compilable) -> Result<Cached, PipelineError> {
        let Compilable { entry, text, flags } = program;
        let signature = Signature::of(entry);
        let compile = |options| self.cache.compile(&self.client, text, &signature, &options);
        match compile(options(entry, flags)) {
            // Flags make a program faster, not right: a plugin without them compiles it all the same.
            Err(error) if error.to_string().contains(UNKNOWN_FLAG) => Ok(compile(options(entry, &[]))?),
            compiled => Ok(compiled?),
        }
    }

    /// Evaluates the weights in the types that the programs take, and hands them to the device.
    pub(crate) fn load(
        &self,
        programs: &[Compilable],
        weights: &WeightMap,
        checkpoint: &dyn Checkpoint,
        progress: impl FnMut(Loaded<'_>),
    ) -> Result<(Weights, Duration), PipelineError> {
        let started = Instant::now();
        let inputs = weight_inputs(programs);
        let dtype = |name: &str, inferred: DType| inputs.get(name).map_or(inferred, |&(dtype, _)| dtype);
        let host = |name: &str, inferred: &TensorType| dtype(name, inferred.dtype).on_host();
        let tensors = weights.load(checkpoint, host, progress)?;
        let upload = |(name, tensor): (String, porter_weights::HostTensor)| {
            let ty = TensorType { dtype: dtype(&name, tensor.ty.dtype), ..tensor.ty };
            let tensor = HostTensor::new(ty, tensor.bytes)?;
            let placement = inputs.get(name.as_str()).map_or(&Placement::One, |(_, placement)| placement);
            let weight = self.devices.upload(&tensor, placement)?;
            Ok::<_, PipelineError>((name, Arc::new(weight)))
        };
        let weights = tensors.into_iter().map(upload).collect::<Result<_, _>>()?;
        Ok((weights, started.elapsed()))
    }
}

/// How a program is compiled: for the devices of its mesh, with `flags`.
pub(crate) fn options(entry: &Entry, flags: &[CompilerFlag]) -> CompileOptions {
    let devices = entry.mesh.as_ref().and_then(|mesh| NonZeroU32::new(u32::try_from(mesh.devices()).ok()?));
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
fn weight_inputs(programs: &[Compilable]) -> HashMap<&str, (DType, Placement)> {
    let mut inputs = HashMap::new();
    for Compilable { entry, .. } in programs {
        for input in entry.inputs.iter().filter(|input| input.role == InputRole::Weight) {
            inputs.insert(input.name.as_str(), (input.ty.dtype, Placement::of(entry, input)));
        }
    }
    inputs
}
