//! Every op's printed form is accepted by a real plugin, and means what it should: the examples are
//! compiled and run, composites inlined and as calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod examples;
mod programs;

use std::{num::NonZeroU32, sync::Arc};

use examples::{Devices, Example, Expected, examples};
use porter_ir::{Composites, DType, Literal, OpKind, PrintOptions, ShardingForm, TensorType};
use porter_runtime::{
    Arg, Buffer, Client, ClientOptions, CompileOptions, HostTensor, Partitioner, Plugin, Signature, plugins,
};

fn client() -> Client {
    let located = plugins::ensure(None, &mut |_| {}).expect("a plugin");
    let plugin = Plugin::load(&located.path).expect("the plugin loads");
    let options = ClientOptions { cpu_device_count: Some(8), ..ClientOptions::default() };
    Client::create(&plugin, &options).expect("a client")
}

#[test]
fn every_op_is_accepted_and_right() {
    let client = client();
    let mut wrong = Vec::new();
    for &kind in OpKind::ALL {
        let examples = examples(kind);
        assert!(!examples.is_empty(), "{kind:?} has no example");
        for (i, example) in examples.iter().enumerate() {
            assert!(
                example.program.ops().any(|(_, op)| op.op.kind() == kind),
                "{kind:?} is in its example {i}"
            );
            for composites in [Composites::Inline, Composites::Call] {
                if composites == Composites::Call && kind != OpKind::Composite {
                    continue;
                }
                let text = example.program.mlir(PrintOptions { composites, ..PrintOptions::default() });
                if let Err(problem) = run(&client, example, &text) {
                    wrong.push(format!("{kind:?}, example {i}, {composites:?}: {problem}\n{text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// States are donated, locations and symbols escaped, decompositions called, shardings followed.
#[test]
fn whole_programs_are_accepted() {
    let client = client();
    for program in [programs::step(), programs::control_flow(), programs::sharded()] {
        let program = program.unwrap();
        let devices = program.mesh().map_or(1, porter_ir::Mesh::devices);
        let options = match devices {
            1 => CompileOptions::default(),
            _ => CompileOptions::sharded(NonZeroU32::new(u32::try_from(devices).unwrap()).unwrap()),
        };
        let signature = Signature::of(&program.entry());
        for composites in [Composites::Inline, Composites::Call] {
            let text = program.mlir(PrintOptions { composites, ..PrintOptions::default() });
            client.compile(&text, &signature, &options).unwrap_or_else(|e| panic!("{e}\n{text}"));
        }
    }
}

/// Why the regions of `reduce` and the like are held to their arguments: the plugin refuses any other.
#[test]
fn a_fold_that_reads_from_outside_is_refused() {
    let text = r#"module @captures {
  func.func public @main(%0: tensor<2xf32>, %1: tensor<f32>) -> tensor<f32> {
    %5 = "stablehlo.reduce"(%0, %1) <{dimensions = array<i64: 0>}> ({
    ^bb0(%2: tensor<f32>, %3: tensor<f32>):
      %4 = "stablehlo.add"(%2, %1) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%4) : (tensor<f32>) -> ()
    }) : (tensor<2xf32>, tensor<f32>) -> tensor<f32>
    "func.return"(%5) : (tensor<f32>) -> ()
  }
}"#;
    let scalar = TensorType::scalar(DType::F32);
    let inputs = vec![TensorType::new(DType::F32, [2]), scalar.clone()];
    let signature = Signature { inputs, donated: vec![], outputs: vec![scalar] };
    assert!(client().compile(text, &signature, &CompileOptions::default()).is_err());
}

#[test]
fn shardings_are_accepted_in_their_older_form() {
    let program = programs::sharded().unwrap();
    let devices = u32::try_from(program.devices()).unwrap();
    let options = CompileOptions {
        partitioner: Partitioner::Gspmd,
        ..CompileOptions::sharded(NonZeroU32::new(devices).unwrap())
    };
    let text = program.mlir(PrintOptions { shardings: ShardingForm::Mhlo, ..PrintOptions::default() });
    assert!(text.contains("mhlo.sharding") && !text.contains("sdy"), "{text}");
    let compiled = client().compile(&text, &Signature::of(&program.entry()), &options);
    compiled.unwrap_or_else(|e| panic!("{e}\n{text}"));
}

fn run(client: &Client, example: &Example, text: &str) -> Result<(), String> {
    let two = NonZeroU32::new(2).unwrap();
    let options = match example.devices {
        Devices::One => CompileOptions::default(),
        Devices::Replicas => CompileOptions { replicas: two, ..CompileOptions::default() },
        Devices::Partitions => CompileOptions::sharded(two),
    };
    let expected = match &example.expected {
        Expected::Values(values) => values,
        Expected::Refused(words) => {
            let signature = Signature::of(&example.program.entry());
            return match client.compile(text, &signature, &options) {
                Ok(_) => Err("compiles, expected to be refused".to_owned()),
                Err(error) if error.to_string().contains(words) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
        }
    };
    let types = |tensors: &[Literal]| tensors.iter().map(|t| t.ty().clone()).collect();
    let signature =
        Signature { inputs: types(&example.inputs[0]), donated: vec![], outputs: types(&expected[0]) };
    let loaded = client.compile(text, &signature, &options).map_err(|e| e.to_string())?;
    let upload = |(device, tensors): (usize, &Vec<Literal>)| -> Vec<Buffer> {
        let device = client.device(device).unwrap();
        tensors.iter().map(|t| device.upload(&host(t)).unwrap()).collect()
    };
    let inputs: Vec<Vec<Buffer>> = example.inputs.iter().enumerate().map(upload).collect();
    let args: Vec<Vec<Arg<'_>>> =
        inputs.iter().map(|device| device.iter().map(Arg::Keep).collect()).collect();
    let outputs = loaded.start(args).and_then(porter_runtime::Running::wait).map_err(|e| e.to_string())?;
    for (device, (found, expected)) in outputs.iter().zip(expected).enumerate() {
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let found = found.download().map_err(|e| e.to_string())?;
            if !equal(expected.ty(), found.bytes(), &expected.bytes()) {
                let (found, expected) = (found.bytes(), expected.bytes());
                return Err(format!("device {device}, result {i}: {found:?}, expected {expected:?}"));
            }
        }
    }
    Ok(())
}

fn host(literal: &Literal) -> HostTensor {
    HostTensor::new(literal.ty().clone(), Arc::new(literal.bytes().to_vec())).unwrap()
}

/// Bit for bit, but f32 within 1e-5 of the value, or of one if that is larger: one op's rounding. Of
/// types below a byte the lower half counts: plugins do not extend the sign of an i4.
fn equal(ty: &TensorType, found: &[u8], expected: &[u8]) -> bool {
    let used = |byte: &u8| if ty.dtype.bits() == 4 { byte & 0x0F } else { *byte };
    if ty.dtype != DType::F32 {
        return found.iter().map(used).eq(expected.iter().map(used));
    }
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let close = |(x, y): (&f32, &f32)| x.to_bits() == y.to_bits() || (x - y).abs() <= 1e-5 * y.abs().max(1.0);
    found.len() == expected.len() && floats(found).iter().zip(&floats(expected)).all(close)
}
