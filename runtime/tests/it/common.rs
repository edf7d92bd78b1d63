//! A client of the plugin under test, and programs.

use std::{env, sync::LazyLock};

use porter_ir::{DType, Shape, TensorType};
use porter_runtime::{
    Client, ClientOptions, CompileOptions, Device, Element, HostTensor, LoadedExecutable, Plugin, Signature,
    plugins,
};

pub(crate) fn plugin() -> Plugin {
    let name = env::var("PORTER_TEST_PLUGIN");
    let located = plugins::ensure(Some(name.as_deref().unwrap_or("cpu")), &mut |_| {}).unwrap();
    Plugin::load(&located.path).unwrap()
}

/// A client that the tests of this process share.
pub(crate) fn client() -> Client {
    static CLIENT: LazyLock<Client> =
        LazyLock::new(|| Client::create(&plugin(), &ClientOptions::default()).unwrap());
    CLIENT.clone()
}

pub(crate) fn device() -> Device {
    client().device(0).unwrap()
}

pub(crate) fn f32s(shape: impl Into<Shape>) -> TensorType {
    TensorType::new(DType::F32, shape)
}

/// The signature of a program that donates nothing.
pub(crate) fn signature(
    inputs: impl Into<Vec<TensorType>>,
    outputs: impl Into<Vec<TensorType>>,
) -> Signature {
    Signature { inputs: inputs.into(), donated: vec![], outputs: outputs.into() }
}

/// `a + b` for tensors of one type.
pub(crate) fn add(ty: &TensorType) -> LoadedExecutable {
    let t = ty.mlir();
    let program = format!(
        "func.func @main(%a: {t}, %b: {t}) -> {t} {{
  %0 = stablehlo.add %a, %b : {t}
  return %0 : {t}
}}"
    );
    let signature = signature([ty.clone(), ty.clone()], [ty.clone()]);
    client().compile(&program, &signature, &CompileOptions::default()).unwrap()
}

pub(crate) fn tensor<T: Element>(shape: &[usize], elements: &[T]) -> HostTensor {
    HostTensor::from_slice(shape, elements).unwrap()
}
