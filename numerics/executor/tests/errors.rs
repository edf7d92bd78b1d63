//! Runs that cannot end well say why, and name where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;

use porter_executor::{ExecuteError, Executor, Floats, Tensor};
use porter_ir::{
    Builder, DType, Literal, TensorType,
    ops::{Among, CustomCall, CustomCallApi, Groups},
};

#[derive(Debug, PartialEq)]
enum Problem {
    Executor(ExecuteError),
    NotThere(String),
}

impl From<ExecuteError> for Problem {
    fn from(error: ExecuteError) -> Self {
        Problem::Executor(error)
    }
}

/// The error of a program of one input `x`, an f32[2], that is given `given`.
fn error(build: impl FnOnce(&Builder, porter_ir::Value) -> porter_ir::Value, given: &Tensor) -> String {
    let b = Builder::new("main").at("model.layers.3");
    let x = b.argument("x", TensorType::new(DType::F32, [2])).unwrap();
    let y = build(&b, x);
    b.result("y", y).unwrap();
    let run = Executor::new(Floats::AsWritten).run(&b.finish(), |_, _| Ok::<_, ExecuteError>(given.clone()));
    run.unwrap_err().to_string()
}

fn pair() -> Tensor {
    Tensor::from_slice([2], &[1.0_f32, 2.0]).unwrap()
}

#[test]
fn an_input_of_another_type_is_named() {
    let same = |_: &Builder, x| x;
    let long = Tensor::from_slice([3], &[1.0_f32, 2.0, 3.0]).unwrap();
    assert_eq!(error(same, &long), "input \"x\": found f32[3], expected f32[2]");
    let wide = Tensor::from_slice([2], &[1.0_f64, 2.0]).unwrap();
    assert_eq!(error(same, &wide), "input \"x\": found f64[2], expected f32[2]");
    let whole = Tensor::from_slice([2], &[1_i32, 2]).unwrap();
    assert_eq!(error(same, &whole), "input \"x\": found i32[2], expected f32[2]");
}

#[test]
fn a_tensor_has_the_bytes_of_its_type() {
    let error = Tensor::new(TensorType::new(DType::F32, [2]), vec![0; 7]).unwrap_err();
    assert_eq!(error.to_string(), "7 bytes for f32[2], expected 8");
    assert!(Tensor::new(TensorType::new(DType::F32, [usize::MAX, 2]), vec![]).is_err());
    assert!(Tensor::from_slice([3], &[1_u8]).is_err());
}

#[test]
fn what_is_missing_is_the_callers_error() {
    let b = Builder::new("main");
    let x = b.argument("x", TensorType::scalar(DType::F32)).unwrap();
    b.result("y", b.negate(x).unwrap()).unwrap();
    let run =
        Executor::new(Floats::Double).run(&b.finish(), |input, _| Err(Problem::NotThere(input.name.clone())));
    assert_eq!(run.unwrap_err(), Problem::NotThere("x".to_owned()));
}

#[test]
fn an_unknown_custom_call_is_named() {
    let call = |b: &Builder, x| {
        let op = CustomCall {
            target: "nowhere_registered".to_owned(),
            api: CustomCallApi::Original(String::new()),
            has_side_effect: false,
            results: vec![b.ty(x)],
        };
        b.custom_call(op, &[x]).unwrap()[0]
    };
    assert_eq!(
        error(call, &pair()),
        "model.layers.3: stablehlo.custom_call(f32[2]): knows no custom call, found one of \"nowhere_registered\""
    );
}

#[test]
fn an_error_in_a_region_names_the_op_in_it() {
    let call = |b: &Builder, x| {
        let groups = Groups { groups: vec![vec![0, 1]], among: Among::Replicas };
        let inner = |b: &Builder| Ok(vec![b.scope("attention").all_gather(x, 0, groups.clone())?]);
        let index = b.full(TensorType::scalar(DType::I32), 0.0).unwrap();
        let y = b.case(index, &[&inner]).unwrap()[0];
        b.slice(y, &[0], &[2], &[1]).unwrap()
    };
    assert_eq!(
        error(call, &pair()),
        "model.layers.3.attention: stablehlo.all_gather(f32[2]): the groups are [[0, 1]]: the executor runs one \
         device, alone in its group"
    );
}

/// Larger than memory, or than can be counted: no allocation is tried that would end the process.
#[test]
fn absurd_sizes_are_errors() {
    let sizes: [&[usize]; 3] = [&[1 << 50, 2], &[usize::MAX / 4, 2], &[usize::MAX, usize::MAX]];
    for shape in sizes {
        let broadcast = |b: &Builder, x: porter_ir::Value| {
            let wide = b.broadcast_in_dim(x, [shape, &[2]].concat(), &[shape.len()]).unwrap();
            let all: Vec<usize> = (0..shape.len()).collect();
            b.reduce_sum(wide, &all).unwrap()
        };
        let message = error(broadcast, &pair());
        assert!(message.ends_with("takes more memory than there is"), "{message}");
        assert!(message.starts_with("model.layers.3: stablehlo.broadcast_in_dim(f32[2]): "), "{message}");
        let count = |b: &Builder, x: porter_ir::Value| {
            let numbers = b.iota(TensorType::new(DType::F64, shape), 0).unwrap();
            let all: Vec<usize> = (0..shape.len()).collect();
            let sum = b.convert(b.reduce_sum(numbers, &all).unwrap(), DType::F32).unwrap();
            b.add(x, b.broadcast_in_dim(sum, [2], &[]).unwrap()).unwrap()
        };
        let message = error(count, &pair());
        assert!(message.ends_with("takes more memory than there is"), "{message}");
    }
    // A literal of that size is only written, not filled.
    let filled = |b: &Builder, _| {
        b.constant(Literal::splat(TensorType::new(DType::F32, [1 << 50]), 1.0).unwrap()).unwrap()
    };
    assert!(error(filled, &pair()).ends_with("takes more memory than there is"));
}

#[test]
fn empty_tensors_of_any_size_are_fine() {
    let b = Builder::new("main");
    let x = b.argument("x", TensorType::new(DType::F32, [0, usize::MAX, usize::MAX])).unwrap();
    let y = b.transpose(x, &[2, 0, 1]).unwrap();
    let y = b.add(y, y).unwrap();
    b.result("sum", b.reduce_sum(y, &[0, 1, 2]).unwrap()).unwrap();
    b.result("y", b.reverse(y, &[0]).unwrap()).unwrap();
    let run =
        Executor::new(Floats::AsWritten).run(&b.finish(), |_, ty| Tensor::new(ty.clone(), vec![])).unwrap();
    assert_eq!(run["sum"], Tensor::from_slice([], &[0.0_f32]).unwrap());
    assert_eq!(run["y"].bytes(), &[0_u8; 0]);
}

#[test]
fn regions_nested_too_deep_are_an_error() {
    fn nested(b: &Builder, x: porter_ir::Value, depth: usize) -> porter_ir::Result<Vec<porter_ir::Value>> {
        if depth == 0 {
            return Ok(vec![x]);
        }
        let pred = b.full(TensorType::scalar(DType::Bool), 1.0)?;
        b.if_(pred, |b| nested(b, x, depth - 1), |_| Ok(vec![x]))
    }
    let message = error(|b, x| nested(b, x, 150).unwrap()[0], &pair());
    assert!(message.contains("nested more than 100 deep"), "{message}");
}

/// Inputs are asked for once each, in the order of need, and those that nothing reads not at all.
#[test]
fn inputs_are_asked_for_when_they_are_needed() {
    let b = Builder::new("main");
    let scalar = || TensorType::scalar(DType::F32);
    let [unread, late, early, given] =
        ["unread", "late", "early", "given"].map(|name| b.argument(name, scalar()).unwrap());
    b.multiply(unread, unread).unwrap();
    let first = b.add(early, early).unwrap();
    b.result("y", b.add(first, late).unwrap()).unwrap();
    b.result("given", given).unwrap();
    let asked = RefCell::new(Vec::new());
    let outputs = Executor::new(Floats::AsWritten)
        .run(&b.finish(), |input, _| {
            asked.borrow_mut().push(input.name.clone());
            Tensor::from_slice([], &[3.0_f32])
        })
        .unwrap();
    assert_eq!(asked.into_inner(), ["early", "late", "given"]);
    assert_eq!(outputs["y"], Tensor::from_slice([], &[9.0_f32]).unwrap());
    assert_eq!(outputs["given"], Tensor::from_slice([], &[3.0_f32]).unwrap());
}
