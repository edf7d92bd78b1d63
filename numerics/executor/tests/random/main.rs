//! Random programs of every op, run here and by the CPU plugin.
//!
//! One program holds many instances of an op, of all element types that it takes, because compiling is what
//! takes the time. What the plugin does otherwise stands in `differences.rs` with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod differences;
mod draw;
mod elementwise;
mod products;
mod regions;
mod tensors;

use std::sync::{Arc, LazyLock};

use differences::{DIFFERENCES, Difference, Shows};
use draw::{Case, Draw, Tolerance};
use porter_executor::{ExecuteError, Executor, Floats, Tensor};
use porter_ir::{Builder, DType, Literal, OpKind, Program};
use porter_runtime::{
    Arg, Buffer, Client, ClientOptions, CompileOptions, HostTensor, Plugin, Signature, plugins,
};
use proptest::{
    prelude::any,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use rayon::prelude::*;

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let located = plugins::ensure(Some("cpu"), &mut |_| {}).unwrap();
    let options = ClientOptions { cpu_device_count: Some(1), ..ClientOptions::default() };
    Client::create(&Plugin::load(&located.path).unwrap(), &options).unwrap()
});

/// A program of several instances with its inputs.
struct Made {
    program: Program,
    inputs: Vec<Literal>,
    /// By output: which instance gives it, and how far it may be off.
    outputs: Vec<(DType, Tolerance)>,
}

/// Adds a random instance of `kind` on `dtype`; false where the op has no generator.
fn instance(kind: OpKind, dtype: DType, case: &mut Case<'_>) -> bool {
    elementwise::instance(kind, dtype, case)
        || products::instance(kind, dtype, case)
        || tensors::instance(kind, dtype, case)
        || regions::instance(kind, dtype, case)
}

/// The element types that instances of `kind` are made of.
fn dtypes(kind: OpKind) -> Vec<DType> {
    use OpKind as K;
    let floats = |dtype: &DType| dtype.is_float();
    match kind {
        K::PartitionId | K::ReplicaId => vec![DType::U32],
        K::BatchNormInference
        | K::BatchNormTraining
        | K::Cholesky
        | K::TriangularSolve
        | K::ReducePrecision => DType::ALL.into_iter().filter(floats).collect(),
        K::BitcastConvert | K::DotGeneral | K::Convolution | K::Iota | K::RngBitGenerator | K::TopK => {
            DType::ALL.into_iter().filter(|&dtype| dtype != DType::Bool).collect()
        }
        _ => elementwise::dtypes(kind),
    }
}

fn make(kind: OpKind, dtypes: &[DType], seed: u64) -> Made {
    make_with(dtypes, seed, |dtype, case| {
        assert!(instance(kind, dtype, case), "{kind:?} has no generator");
    })
}

/// One instance a type. It draws the same whatever other types are in the program.
fn make_with(dtypes: &[DType], seed: u64, build: impl Fn(DType, &mut Case<'_>)) -> Made {
    let b = Builder::new("random");
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for &dtype in dtypes {
        let draw = Draw(seed ^ (dtype as u64 + 1).wrapping_mul(0x5851_F42D_4C95_7F2D));
        let mut case = Case { b: &b, draw, inputs, results: Vec::new() };
        build(dtype, &mut case);
        for (value, tolerance) in std::mem::take(&mut case.results) {
            b.result(&format!("y{}", outputs.len()), value).unwrap();
            outputs.push((dtype, tolerance));
        }
        inputs = case.inputs;
    }
    Made { program: b.finish(), inputs, outputs }
}

fn by_plugin(made: &Made) -> Result<Vec<Tensor>, String> {
    let signature = Signature::of(&made.program.entry());
    let loaded = CLIENT
        .compile(&made.program.to_string(), &signature, &CompileOptions::default())
        .map_err(|error| error.to_string())?;
    let device = CLIENT.device(0).unwrap();
    let upload = |literal: &Literal| {
        let tensor = HostTensor::new(literal.ty().clone(), Arc::new(literal.bytes().to_vec())).unwrap();
        device.upload(&tensor).unwrap()
    };
    let inputs: Vec<Buffer> = made.inputs.iter().map(upload).collect();
    let outputs = loaded
        .start(vec![inputs.iter().map(Arg::Keep).collect()])
        .and_then(porter_runtime::Running::wait)
        .map_err(|error| error.to_string())?;
    let download = |buffer: &Buffer| {
        let tensor = buffer.download().unwrap();
        Tensor::new(tensor.ty().clone(), tensor.bytes().to_vec()).unwrap()
    };
    Ok(outputs[0].iter().map(download).collect())
}

fn by_executor(made: &Made, floats: Floats) -> Result<Vec<Tensor>, ExecuteError> {
    let number = |name: &str| name[1..].parse::<usize>().unwrap();
    let mut outputs = Executor::new(floats).run(&made.program, |input, _| {
        Ok::<_, ExecuteError>(Tensor::from(&made.inputs[number(&input.name)]))
    })?;
    Ok((0..made.outputs.len()).map(|i| outputs.remove(&format!("y{i}")).unwrap()).collect())
}

/// What is wrong with `kind` on these types, if anything.
fn check(kind: OpKind, dtypes: &[DType], seed: u64) -> Result<(), String> {
    let made = make(kind, dtypes, seed);
    let theirs = by_plugin(&made).map_err(|error| format!("the plugin refuses: {error}"))?;
    let ours = by_executor(&made, Floats::AsWritten).map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let (dtype, tolerance) = made.outputs[i];
        if let Err(problem) = compare::close(ours, theirs, tolerance) {
            wrong.push(format!("on {dtype}, y{i}: {problem}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// All types in one program; where that fails, one after another, to tell which.
fn check_kind(kind: OpKind, seed: u64) -> Result<(), String> {
    let refused = |dtype: &DType| differences::find(kind, *dtype).is_some_and(Difference::is_refusal);
    let dtypes: Vec<DType> = dtypes(kind).into_iter().filter(|dtype| !refused(dtype)).collect();
    let Err(together) = check(kind, &dtypes, seed) else { return Ok(()) };
    let alone =
        |&dtype: &DType| check(kind, &[dtype], seed).err().map(|problem| format!("{dtype}: {problem}"));
    let wrong: Vec<String> = dtypes.iter().filter_map(alone).collect();
    let wrong = if wrong.is_empty() { together } else { wrong.join("\n") };
    Err(format!("{kind:?}, seed {seed:#x}:\n{wrong}"))
}

#[test]
fn every_op_has_a_generator() {
    for &kind in OpKind::ALL {
        let made = make(kind, &dtypes(kind)[..1], 0);
        let has = made.program.ops().any(|(_, op)| op.op.kind() == kind);
        assert!(has, "{kind:?} is not in its program");
    }
}

/// As many seeds an op as `PROPTEST_CASES` says, one by default; `ONLY=Gather SEED=12ab` runs one op again.
#[test]
fn every_op_agrees_with_the_plugin() {
    let only = std::env::var("ONLY").ok();
    let chosen =
        |kind: &&OpKind| only.as_ref().is_none_or(|only| format!("{kind:?}").contains(only.as_str()));
    let seed = std::env::var("SEED").ok().and_then(|seed| u64::from_str_radix(&seed, 16).ok());
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1);
    let kinds: Vec<OpKind> = OpKind::ALL.iter().filter(chosen).copied().collect();
    let wrong: Vec<String> = kinds
        .par_iter()
        .filter_map(|&kind| {
            if let Some(seed) = seed {
                return check_kind(kind, seed).err();
            }
            let config =
                Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
            let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            let mut runner = TestRunner::new_with_rng(config, rng);
            let run = runner.run(&any::<u64>(), |seed| check_kind(kind, seed).map_err(TestCaseError::fail));
            run.err().map(|error| error.to_string())
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each row is tried again: what is refused or done otherwise no longer should leave the table.
#[test]
fn the_differences_are_still_there() {
    let rows: Vec<_> =
        DIFFERENCES.iter().flat_map(|row| row.dtypes.iter().map(move |&dtype| (row, dtype))).collect();
    let gone: Vec<String> = rows
        .par_iter()
        .filter_map(|&(row, dtype)| {
            let found = match row.shows {
                Shows::Refused(words) => {
                    let made = make(row.kind, &[dtype], 7);
                    let ours = by_executor(&made, Floats::AsWritten).map_err(|error| error.to_string());
                    let known = match (row.kind, ours) {
                        (OpKind::CustomCall, ours) => ours.is_err_and(|error| error.contains(words)),
                        (_, ours) => ours.is_ok(),
                    };
                    assert!(known, "{:?} on {dtype} fails here too", row.kind);
                    by_plugin(&made).is_err_and(|error| error.contains(words))
                }
                Shows::Otherwise(build) => {
                    let made = make_with(&[dtype], 7, |dtype, case| build(case, dtype));
                    let (ours, theirs) =
                        (by_executor(&made, Floats::AsWritten).unwrap(), by_plugin(&made).unwrap());
                    let close = |(ours, theirs)| compare::close(ours, theirs, Tolerance::EXACT).is_ok();
                    !ours.iter().zip(&theirs).all(close)
                }
            };
            (!found).then(|| format!("{:?} on {dtype}: not any more: {}", row.kind, row.reason))
        })
        .collect();
    assert!(gone.is_empty(), "{}", gone.join("\n"));
}

/// Rounded to its declared type, what f64 gives is as far off as the type's rounding, and the order of sums.
#[test]
fn double_is_as_written_but_for_rounding() {
    let mut wrong = Vec::new();
    // Nothing is rounded in f64, which is all that `reduce_precision` does; no side knows a custom call.
    let compared = |kind: &&OpKind| !matches!(kind, OpKind::ReducePrecision | OpKind::CustomCall);
    for (&kind, seed) in
        OpKind::ALL.iter().filter(compared).flat_map(|kind| (0..4).map(move |seed| (kind, seed)))
    {
        for dtype in dtypes(kind).into_iter().filter(|dtype| dtype.is_float()) {
            let made = make(kind, &[dtype], seed);
            let written = by_executor(&made, Floats::AsWritten).unwrap();
            let double = by_executor(&made, Floats::Double).unwrap();
            for (i, (written, double)) in written.iter().zip(&double).enumerate() {
                let Tolerance { ulps, absolute } = made.outputs[i].1;
                let tolerance = Tolerance { ulps: ulps + 1.0, absolute };
                let rounded = compare::rounded(double, written.ty());
                if let Err(problem) = compare::close(written, &rounded, tolerance) {
                    wrong.push(format!("{kind:?} on {dtype}, seed {seed}, y{i}: {problem} (in f64)"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
