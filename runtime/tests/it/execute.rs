//! What goes in and what comes out.

use half::bf16;
use porter_ir::{DType, TensorType};
use porter_runtime::{Arg, Client, ClientOptions, CompileOptions, Error, HostTensor};

use crate::common::{add, client, device, f32s, plugin, signature, tensor};

#[test]
fn f32_sums() {
    let program = add(&f32s([2, 3]));
    let a = device().upload(&tensor(&[2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    let b = device().upload(&tensor(&[2, 3], &[0.5_f32; 6])).unwrap();
    let sum = program.execute(vec![Arg::Keep(&a), Arg::Keep(&b)]).unwrap();
    let sum = sum[0].download().unwrap();
    assert_eq!(sum.ty(), &f32s([2, 3]));
    assert_eq!(sum.to_vec::<f32>().unwrap(), [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]);
}

#[test]
fn bf16_rounds_to_bf16() {
    let program = add(&TensorType::new(DType::BF16, [2]));
    let x = [1.0, 256.0].map(bf16::from_f32);
    let a = device().upload(&tensor(&[2], &x)).unwrap();
    let sum = program.execute(vec![Arg::Keep(&a), Arg::Keep(&a)]).unwrap()[0].download().unwrap();
    assert_eq!(sum.to_vec::<bf16>().unwrap(), [2.0, 512.0].map(bf16::from_f32));
    // 256 + 1 lies between two bf16 numbers and rounds to the even one.
    let b = device().upload(&tensor(&[2], &[256.0, 1.0].map(bf16::from_f32))).unwrap();
    let sum = program.execute(vec![Arg::Keep(&a), Arg::Keep(&b)]).unwrap()[0].download().unwrap();
    assert_eq!(sum.to_vec::<bf16>().unwrap(), [256.0, 256.0].map(bf16::from_f32));
}

/// Every dtype goes up and comes down as it was: the numbers of types, and the size of elements on
/// the host, are what the plugin thinks they are.
#[test]
fn every_dtype_makes_the_round_trip() {
    for dtype in DType::ALL {
        // 0 and 1 are valid bit patterns of every type, also of bool and of types below a byte.
        let ty = TensorType::new(dtype, [3]);
        let bytes: Vec<u8> = (0..ty.host_bytes()).map(|i| u8::from(i % 2 == 0)).collect();
        let tensor = HostTensor::new(ty.clone(), std::sync::Arc::new(bytes.clone())).unwrap();
        let down = device().upload(&tensor).unwrap().download().unwrap();
        assert_eq!((down.ty(), down.bytes()), (&ty, &bytes[..]), "{dtype}");
    }
}

#[test]
fn scalars_and_empty_tensors() {
    let scalar = device().upload(&HostTensor::scalar(7_i32)).unwrap();
    assert_eq!(scalar.download().unwrap().to_vec::<i32>().unwrap(), [7]);
    let empty = device().upload(&tensor::<f32>(&[0, 3], &[])).unwrap();
    let program = add(&f32s([0, 3]));
    let sum = program.execute(vec![Arg::Keep(&empty), Arg::Keep(&empty)]).unwrap();
    assert!(sum[0].download().unwrap().bytes().is_empty());
}

/// A result that the device keeps column by column comes down row by row.
#[test]
fn downloads_are_row_major_whatever_the_device_does() {
    let t = "tensor<2x3xf32>";
    let program = format!(
        "func.func @main(%a: {t}) -> ({t} {{mhlo.layout_mode = \"{{0,1}}\"}}) {{
  %0 = stablehlo.negate %a : {t}
  return %0 : {t}
}}"
    );
    let ty = f32s([2, 3]);
    let program =
        client().compile(&program, &signature([ty.clone()], [ty]), &CompileOptions::default()).unwrap();
    let a = device().upload(&tensor(&[2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    let out = program.execute(vec![Arg::Keep(&a)]).unwrap()[0].download().unwrap();
    assert_eq!(out.to_vec::<f32>().unwrap(), [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
}

#[test]
fn wrong_arguments_are_refused_all_at_once() {
    let program = add(&f32s([2, 3]));
    let shape = device().upload(&tensor(&[3, 2], &[0.0_f32; 6])).unwrap();
    let dtype = device().upload(&tensor(&[2, 3], &[0_i32; 6])).unwrap();
    let problems = |args| match program.execute(args) {
        Err(Error::Arguments(problems)) => problems,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        problems(vec![Arg::Keep(&shape), Arg::Keep(&dtype)]),
        ["argument 0 is f32[3, 2], expected f32[2, 3]", "argument 1 is i32[2, 3], expected f32[2, 3]"]
    );
    assert_eq!(problems(vec![Arg::Keep(&shape)]), ["it takes 2 arguments, 1 were given"]);
}

#[test]
fn buffers_of_other_devices_and_clients_are_refused() {
    let program = add(&f32s([1]));
    let here = device().upload(&HostTensor::from_slice([1], &[1.0_f32]).unwrap()).unwrap();
    let there = client().device(1).unwrap().upload(&tensor(&[1], &[1.0_f32])).unwrap();
    let other = Client::create(&plugin(), &ClientOptions::default()).unwrap();
    let foreign = other.device(0).unwrap().upload(&tensor(&[1], &[1.0_f32])).unwrap();
    let refused =
        |buffer| program.execute(vec![Arg::Keep(&here), Arg::Keep(buffer)]).unwrap_err().to_string();
    assert_eq!(refused(&there), "execute the program: argument 1 is on device 1, expected 0");
    assert_eq!(refused(&foreign), "execute the program: argument 1 belongs to another client");
}
