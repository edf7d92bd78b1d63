//! Compiling: options, errors, and what a compiled program tells.

use porter_ir::{DType, TensorType};
use porter_runtime::{Arg, Client, Code, CompileOptions, Error, Flag, HostTensor, Result, SINGLE_YNN_OPS};

use crate::common::{add, client, device, f32s, signature, tensor};

fn compile(program: &str) -> Result<porter_runtime::LoadedExecutable> {
    let ty = f32s([2]);
    client().compile(program, &signature([ty.clone()], [ty]), &CompileOptions::default())
}

#[test]
fn errors_name_the_line_and_say_nothing_of_versions() {
    let program = "func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> {
  %0 = stablehlo.add %a, %nothing : tensor<2xf32>
  return %0 : tensor<2xf32>
}";
    let error = compile(program).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("compile the program: "), "{text}");
    assert!(text.contains(":2:26: error: use of undeclared SSA value name"), "{text}");
    assert!(
        !text.contains("forward") && !text.contains("StableHLO v") && !text.contains("<unknown>"),
        "{text}"
    );
}

#[test]
fn an_unknown_flag_is_an_error_and_a_known_one_is_not() {
    let program = "func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> { return %a : tensor<2xf32> }";
    let ty = f32s([2]);
    let compile = |name: &str, value| {
        let options = CompileOptions::default().flag(name, value);
        client().compile(program, &signature([ty.clone()], [ty.clone()]), &options)
    };
    let error = compile("xla_nope", Flag::Bool(true)).unwrap_err().to_string();
    assert!(error.contains("xla_nope"), "{error}");
    compile("xla_cpu_enable_fast_math", Flag::Bool(false)).unwrap();
}

#[test]
fn a_signature_that_the_program_does_not_have_is_refused() {
    let program = "func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> { return %a : tensor<2xf32> }";
    let with = |inputs: &[TensorType], outputs: &[TensorType]| {
        client()
            .compile(program, &signature(inputs, outputs), &CompileOptions::default())
            .unwrap_err()
            .to_string()
    };
    let wrong = with(&[f32s([2])], &[f32s([3])]);
    assert!(wrong.ends_with("result 0 is f32[2], the signature says f32[3]"), "{wrong}");
    let missing = with(&[f32s([2])], &[]);
    assert!(missing.ends_with("it has 1 results, the signature 0"), "{missing}");
    // The plugin would run either of these and read what is not there.
    let small = with(&[f32s([1])], &[f32s([2])]);
    assert!(small.ends_with("argument 0 is f32[2], the signature says f32[1]"), "{small}");
    let narrow = with(&[TensorType::new(DType::BF16, [2])], &[f32s([2])]);
    assert!(narrow.ends_with("argument 0 is f32[2], the signature says bf16[2]"), "{narrow}");
}

#[test]
fn device_ids_that_do_not_exist_are_refused() {
    let options = CompileOptions { device_ids: Some(vec![vec![77]]), ..CompileOptions::default() };
    let program = "func.func @main() -> tensor<f32> { %0 = stablehlo.constant dense<1.0> : tensor<f32> return %0 : tensor<f32> }";
    let error =
        client().compile(program, &signature([], [TensorType::scalar(DType::F32)]), &options).unwrap_err();
    assert!(matches!(&error, Error::Options(why) if why.contains("77")), "{error}");
    let options = CompileOptions { device_ids: Some(vec![vec![2]]), ..CompileOptions::default() };
    let on_second =
        client().compile(program, &signature([], [TensorType::scalar(DType::F32)]), &options).unwrap();
    assert_eq!(on_second.devices(), [2]);
    let one = on_second.execute(vec![]).unwrap();
    assert_eq!((one[0].device_index(), one[0].download().unwrap().to_vec::<f32>().unwrap()), (2, vec![1.0]));
}

#[test]
fn a_compiled_program_tells_its_size() {
    let program = add(&f32s([16, 16]));
    let memory = program.executable().memory().unwrap();
    assert_eq!((memory.arguments, memory.outputs, memory.aliased), (2048, 1024, 0));
    assert_eq!(program.executable().outputs().unwrap(), [Some(f32s([16, 16]))]);
    assert!(!program.executable().fingerprint().unwrap().is_empty());
    let optimized = program.executable().optimized().unwrap();
    assert_eq!(optimized.format, "hlo_with_config");
    assert!(optimized.code.windows(3).any(|w| w == b"add"));
    match program.executable().cost() {
        Ok(cost) => assert!(cost.iter().any(|value| value.name == "flops")),
        Err(e) => assert_eq!(e.code(), Some(Code::Unimplemented)),
    }
}

#[test]
fn clients_outlive_their_handles_while_something_needs_them() {
    let (program, buffer) = {
        let client =
            Client::create(&crate::common::plugin(), &porter_runtime::ClientOptions::default()).unwrap();
        let text = "func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> { return %a : tensor<2xf32> }";
        let program = client.compile(text, &signature([f32s([2])], [f32s([2])]), &CompileOptions::default());
        (program.unwrap(), client.device(0).unwrap().upload(&tensor(&[2], &[3.0_f32, 4.0])).unwrap())
    };
    let out = program.execute(vec![Arg::Keep(&buffer)]).unwrap();
    drop((program, buffer));
    assert_eq!(out[0].download().unwrap().to_vec::<f32>().unwrap(), [3.0, 4.0]);
    drop(device().upload(&HostTensor::scalar(1_i8)).unwrap());
}

/// Without the flag, XLA's CPU backend reads past the number that the matrix repeats, and gives NaN or the
/// like of 1e33 here.
#[test]
fn a_product_with_one_repeated_number_is_right_with_single_ynn_ops() {
    let program = "func.func @main(%x: tensor<169x512xf32>) -> tensor<169xf32> {
  %w = stablehlo.constant dense<0.25> : tensor<512x1000xf32>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %y = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] :
    (tensor<169x512xf32>, tensor<512x1000xf32>) -> tensor<169x1000xf32>
  %r = stablehlo.maximum %y, %y : tensor<169x1000xf32>
  %s = stablehlo.reduce(%r init: %zero) applies stablehlo.add across dimensions = [1] :
    (tensor<169x1000xf32>, tensor<f32>) -> tensor<169xf32>
  return %s : tensor<169xf32>
}";
    let (flag, value) = SINGLE_YNN_OPS;
    let options = CompileOptions::default().flag(flag, Flag::String(value.into()));
    let signature = signature([f32s([169, 512])], [f32s([169])]);
    let program = client().compile(program, &signature, &options).unwrap();
    let ones = device().upload(&tensor(&[169, 512], &[1.0_f32; 169 * 512])).unwrap();
    let sums = program.execute(vec![Arg::Keep(&ones)]).unwrap()[0].download().unwrap();
    // 1000 columns of 512 / 4, all exact in f32.
    assert_eq!(sums.to_vec::<f32>().unwrap(), [128_000.0; 169]);
}
