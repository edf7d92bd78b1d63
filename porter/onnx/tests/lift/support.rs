//! Running programs on the CPU plugin.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use porter_ir::{InputRole, Program, TensorType};
use porter_numerics::{Budget, Comparison, Positions, View, compare};
use porter_onnx::Model;
use porter_runtime::{
    Client, ClientOptions, CompileOptions, Devices, HostTensor, Placement, Plugin, Signature, States, Step,
    Weights, plugins,
};
use safetensors::SafeTensors;

/// Tensors by name: type and little-endian bytes.
pub(crate) type Tensors = BTreeMap<String, (TensorType, Vec<u8>)>;

/// The folder of the exported transformers.
pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ci/onnx/transformers/fixtures")
}

/// The folder of the cases of ONNX Runtime's own operators.
pub(crate) fn contrib() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ci/onnx/contrib/fixtures")
}

/// A client of the CPU plugin.
pub(crate) fn client() -> Client {
    let located = plugins::ensure(Some("cpu"), &mut |_| {}).expect("a CPU plugin");
    let options = ClientOptions { cpu_device_count: Some(1), ..ClientOptions::default() };
    Client::create(&Plugin::load(&located.path).expect("a plugin"), &options).expect("a client")
}

/// The tensors of a safetensors file whose names start with `prefix`, without it.
pub(crate) fn tensors(bytes: &[u8], prefix: &str) -> Tensors {
    let file = SafeTensors::deserialize(bytes).expect("a safetensors file");
    let mut tensors = Tensors::new();
    for (name, view) in file.tensors() {
        let Some(name) = name.strip_prefix(prefix) else { continue };
        let dtype = format!("{:?}", view.dtype()).to_lowercase().parse().expect("a dtype");
        tensors.insert(name.to_owned(), (TensorType::new(dtype, view.shape()), view.data().to_vec()));
    }
    tensors
}

/// What the program gives for `given`, which has its arguments and weights by name.
pub(crate) fn run(client: &Client, program: &Program, given: &Tensors) -> BTreeMap<String, HostTensor> {
    let devices = Devices::of(client);
    let tensor = |name: &str| {
        let (ty, bytes) = given.get(name).unwrap_or_else(|| panic!("no value for {name:?}"));
        HostTensor::new(ty.clone(), Arc::new(bytes.clone())).expect("a tensor")
    };
    let mut weights = Weights::new();
    for input in program.inputs().iter().filter(|input| input.role == InputRole::Weight) {
        let weight = devices.upload(&tensor(&input.name), &Placement::One).expect("a buffer");
        weights.insert(input.name.clone(), Arc::new(weight));
    }
    let text = program.to_string();
    let executable = client
        .compile(&text, &Signature::of(&program.entry()), &CompileOptions::default())
        .unwrap_or_else(|e| panic!("{e}\n{text}"));
    let step = Step::new(&program.entry(), executable, &devices, &weights).expect("a step");
    let mut states = States::zeros(&devices, &program.entry()).expect("no states");
    let arguments: Vec<(&str, HostTensor)> = program
        .inputs()
        .iter()
        .filter(|input| input.role == InputRole::Argument)
        .map(|input| (input.name.as_str(), tensor(&input.name)))
        .collect();
    step.run(&arguments, &mut states).expect("results")
}

/// What `run` takes for a model: its inputs and its weights.
pub(crate) fn with_weights(model: &Model, program: &Program, inputs: &Tensors) -> Tensors {
    let mut given = inputs.clone();
    given.extend(porter_onnx::weights(model, program).expect("weights"));
    given
}

/// The comparison of `ours` with `reference` at `positions`.
pub(crate) fn compared(
    name: &str,
    ours: (&TensorType, &[u8]),
    reference: (&TensorType, &[u8]),
    positions: &Positions,
) -> Comparison {
    fn view<'a>((ty, bytes): (&TensorType, &'a [u8])) -> View<'a> {
        View::new(ty.dtype, ty.shape.clone(), bytes).expect("a view")
    }
    compare(name, &view(ours), &view(reference), positions).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Panics where the comparison is over the budget.
pub(crate) fn within(budget: &Budget, comparison: &Comparison) {
    assert!(
        budget.allows(comparison),
        "{} is off by {:e}, allowed {:e}: {}",
        comparison.name,
        comparison.max_abs,
        budget.max_abs,
        budget.why
    );
}
