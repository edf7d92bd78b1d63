//! What f64 throughout means.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use porter_executor::{ExecuteError, Executor, Floats, Tensor};
use porter_ir::{Builder, DType, Program, TensorType};

/// A third in bf16, squared, through f8 and back, summed with a number that bf16 loses beside it.
fn program() -> Program {
    let b = Builder::new("narrow");
    let x = b.argument("x", TensorType::new(DType::BF16, [1])).unwrap();
    let small = b.argument("small", TensorType::new(DType::BF16, [1])).unwrap();
    let square = b.multiply(x, x).unwrap();
    let narrow = b.convert(square, DType::F8E4M3FN).unwrap();
    let sum = b.add(b.convert(narrow, DType::BF16).unwrap(), small).unwrap();
    b.result("sum", b.reduce_precision(sum, 5, 2).unwrap()).unwrap();
    b.finish()
}

fn sum(floats: Floats, x: &Tensor, small: &Tensor) -> Tensor {
    let outputs = Executor::new(floats).run(&program(), |input, _| {
        Ok::<_, ExecuteError>(if input.name == "x" { x.clone() } else { small.clone() })
    });
    outputs.unwrap().remove("sum").unwrap()
}

#[test]
fn nothing_is_rounded_in_f64() {
    let (x, small) = (half::bf16::from_f32(1.0 / 3.0), half::bf16::from_f32(1e-6));
    let tensors = [x, small].map(|value| Tensor::from_slice([1], &[value]).unwrap());
    let exact = f64::from(x) * f64::from(x) + f64::from(small);
    assert_eq!(sum(Floats::Double, &tensors[0], &tensors[1]), Tensor::from_slice([1], &[exact]).unwrap());

    // As written: 0.111 is 0.109375 in f8E4M3FN, beside which 1e-6 is lost, and with two bits of mantissa.
    let written = Tensor::from_slice([1], &[half::bf16::from_f32(0.109_375)]).unwrap();
    assert_eq!(sum(Floats::AsWritten, &tensors[0], &tensors[1]), written);
}

#[test]
fn an_input_may_come_in_f64() {
    let third = Tensor::from_slice([1], &[1.0_f64 / 3.0]).unwrap();
    let small = Tensor::from_slice([1], &[half::bf16::from_f32(0.0)]).unwrap();
    let exact = Tensor::from_slice([1], &[(1.0_f64 / 3.0) * (1.0 / 3.0)]).unwrap();
    assert_eq!(sum(Floats::Double, &third, &small), exact);
}
