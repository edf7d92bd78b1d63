//! The hand-written examples of every op give the values that they state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../porter/ir/tests/examples/mod.rs"]
mod examples;

use examples::{Devices, Example, Expected, examples};
use porter_executor::{ExecuteError, Executor, Floats, Tensor};
use porter_ir::{DType, Literal, OpKind};

#[test]
fn every_op_is_right() {
    let mut wrong = Vec::new();
    for &kind in OpKind::ALL {
        for (i, example) in examples(kind).iter().enumerate() {
            for floats in [Floats::AsWritten, Floats::Double] {
                if floats == Floats::Double && kind == OpKind::ReducePrecision {
                    // Nothing is rounded there, which is all that it does.
                    continue;
                }
                if let Err(problem) = check(example, floats) {
                    wrong.push(format!("{kind:?}, example {i}, {floats:?}: {problem}\n{}", example.program));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(example: &Example, floats: Floats) -> Result<(), String> {
    let run = Executor::new(floats).run(&example.program, |input, _| {
        let at = example.program.inputs().iter().position(|other| other.name == input.name).unwrap();
        Ok::<_, ExecuteError>(Tensor::from(&example.inputs[0][at]))
    });
    let expected = match (&example.expected, example.devices) {
        (Expected::Values(values), Devices::One) => &values[0],
        // What several devices do together is refused. What needs none of the others runs; of a sharded
        // program the example has the parts only, which are no inputs here.
        (Expected::Values(_), _) => {
            let refused = run.err().map(|error| error.to_string());
            let one = refused.is_none_or(|words| {
                words.contains("the executor runs one device")
                    || words == "input \"x\": found f32[2], expected f32[4]"
            });
            return if one { Ok(()) } else { Err("is refused for another reason".to_owned()) };
        }
        (Expected::Refused(words), Devices::One) => {
            let error = run.err().ok_or("runs, expected to be refused")?;
            let named = error.to_string().contains(words);
            return if named { Ok(()) } else { Err(error.to_string()) };
        }
        (Expected::Refused(_), _) => return Ok(()),
    };
    let outputs = run.map_err(|error| error.to_string())?;
    for (i, expected) in expected.iter().enumerate() {
        let found = &outputs[&format!("y{i}")];
        let same_type = found.ty().shape == expected.ty().shape
            && (found.ty().dtype == expected.ty().dtype || floats == Floats::Double);
        if !same_type || !equal(found, expected) {
            return Err(format!("result {i}: {found:?}, expected {expected:?}"));
        }
    }
    Ok(())
}

/// Bit for bit, but f32 within 1e-5 of the value, or of one if that is larger: the rounding of an op, or of
/// the decimals that it is written with. In f64, floats are compared by value.
fn equal(found: &Tensor, expected: &Literal) -> bool {
    let dtype = expected.ty().dtype;
    if !dtype.is_float() || (dtype != DType::F32 && found.ty().dtype == dtype) {
        return found.bytes() == &expected.bytes()[..];
    }
    let decode = |dtype: DType, bytes: &[u8]| -> Vec<f64> {
        let value = |bytes: &[u8]| {
            let bits = bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
            porter_ir::float::decode(dtype, bits).unwrap()
        };
        bytes.chunks_exact(dtype.host_bytes()).map(value).collect()
    };
    let (found, expected) = (decode(found.ty().dtype, found.bytes()), decode(dtype, &expected.bytes()));
    let close = |(x, y): (&f64, &f64)| {
        x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-5 * y.abs().max(1.0)
    };
    found.len() == expected.len() && found.iter().zip(&expected).all(close)
}
