//! What runs a program: a plugin, and Porter's own executor.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use porter_executor::{ExecuteError, Executor, Floats, Tensor};
use porter_ir::{Input, TensorType};
use porter_onnx::{Model, Program, Recorded};
use porter_runtime::{
    Client, ClientOptions, CompileOptions, Devices, Flag, HostTensor, NamedValue, Placement, Plugin,
    SINGLE_YNN_OPS, Signature, States, Step, Value, Weights, plugins,
};

/// A kind of failure, and what failed.
pub(crate) type Failure = (&'static str, String);
/// Type and host bytes of each output.
pub(crate) type Outputs = BTreeMap<String, (TensorType, Vec<u8>)>;

/// The plugin, by path or name, where it is not the CPU's.
const PLUGIN: &str = "PORTER_SUITE_PLUGIN";

pub(crate) fn client() -> Client {
    let wanted = std::env::var(PLUGIN).ok();
    let located = plugins::ensure(Some(wanted.as_deref().unwrap_or("cpu")), &mut |_| {}).expect("a plugin");
    let options = match wanted {
        None => ClientOptions { cpu_device_count: Some(1), ..ClientOptions::default() },
        // Children share the device's memory.
        Some(_) => ClientOptions {
            other: vec![NamedValue::new("preallocate", Value::Bool(false))],
            ..ClientOptions::default()
        },
    };
    Client::create(&Plugin::load(&located.path).expect("a plugin"), &options).expect("a client")
}

/// The program as StableHLO on the plugin.
pub(crate) fn plugin(
    client: &Client,
    model: &Model,
    program: &Program,
    given: &[Recorded],
) -> Result<Outputs, Failure> {
    let devices = Devices::of(client);
    let tensor = |ty: &TensorType, bytes: &[u8]| {
        HostTensor::new(ty.clone(), Arc::new(bytes.to_vec())).map_err(|e| ("execute", e.to_string()))
    };
    let mut weights = Weights::new();
    for (name, (ty, bytes)) in porter_onnx::weights(model, program).map_err(|e| ("execute", e))? {
        let weight =
            devices.upload(&tensor(&ty, &bytes)?, &Placement::One).map_err(|e| ("execute", e.to_string()))?;
        weights.insert(name, Arc::new(weight));
    }
    // The suite rounds f16 after every op.
    let options = CompileOptions::default().flag("xla_allow_excess_precision", Flag::Bool(false));
    let (flag, value) = SINGLE_YNN_OPS;
    let options = match client.platform() {
        "cpu" => options.flag(flag, Flag::String(value.to_owned())),
        _ => options,
    };
    let executable = client
        .compile(&program.to_string(), &Signature::of(&program.entry()), &options)
        .map_err(|e| ("compile", e.to_string()))?;
    let step = Step::new(&program.entry(), executable, &devices, &weights)
        .map_err(|e| ("execute", e.to_string()))?;
    let mut states = States::zeros(&devices, &program.entry()).map_err(|e| ("execute", e.to_string()))?;
    let arguments = given.iter().map(|given| Ok((given.name.as_str(), tensor(&given.ty, &given.bytes)?)));
    let taken: BTreeSet<&str> = program.inputs().iter().map(|i| i.name.as_str()).collect();
    let arguments: Vec<_> = arguments.collect::<Result<Vec<_>, Failure>>()?;
    let arguments: Vec<_> = arguments.into_iter().filter(|(name, _)| taken.contains(name)).collect();
    let results = step.run(&arguments, &mut states).map_err(|e| ("execute", e.to_string()))?;
    Ok(results.into_iter().map(|(name, t)| (name, (t.ty().clone(), t.bytes().to_vec()))).collect())
}

/// The program on the reference executor, as written: without StableHLO text and without XLA.
pub(crate) fn executor(model: &Model, program: &Program, given: &[Recorded]) -> Result<Outputs, Failure> {
    let mut weights = porter_onnx::weights(model, program).map_err(|e| ("execute", e))?;
    let input = |input: &Input, _: &TensorType| -> Result<Tensor, ExecuteError> {
        let given = given.iter().find(|given| given.name == input.name);
        let (ty, bytes) = match given.map(|given| (given.ty.clone(), given.bytes.clone())) {
            Some(tensor) => tensor,
            None => weights.remove(&input.name).expect("a program reads inputs and weights of its model"),
        };
        Tensor::new(ty, bytes)
    };
    let results =
        Executor::new(Floats::AsWritten).run(program, input).map_err(|e| ("execute", e.to_string()))?;
    Ok(results.into_iter().map(|(name, t)| (name, (t.ty().clone(), t.into_bytes()))).collect())
}
