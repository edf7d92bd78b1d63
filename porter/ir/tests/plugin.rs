//! Every op's printed form is accepted by a real plugin, and means what it should: the examples are
//! compiled and run, composites inlined and as calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod examples;

use std::{num::NonZeroU32, sync::Arc};

use examples::{Devices, Example, Expected, examples};
use porter_ir::{Composites, DType, Literal, OpKind, PrintOptions, TensorType};
use porter_runtime::{
    Arg, Buffer, Client, ClientOptions, CompileOptions, HostTensor, Plugin, Signature, plugins,
};

fn client() -> Client {
    let located = plugins::ensure(None, &mut |_| {}).expect("a plugin");
    let plugin = Plugin::load(&located.path).expect("the plugin loads");
    let options = ClientOptions { cpu_device_count: Some(2), ..ClientOptions::default() };
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
                let text = example.program.mlir(PrintOptions { composites });
                if let Err(problem) = run(&client, example, &text) {
                    wrong.push(format!("{kind:?}, example {i}, {composites:?}: {problem}\n{text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
            let signature = Signature::of(&example.program);
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
    let outputs = loaded.start(&args).and_then(porter_runtime::Running::wait).map_err(|e| e.to_string())?;
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
    let close = |(x, y): (&f32, &f32)| x == y || (x - y).abs() <= 1e-5 * y.abs().max(1.0);
    found.len() == expected.len() && floats(found).iter().zip(&floats(expected)).all(close)
}
