#![allow(clippy::float_cmp, reason = "counts are exact")]

use porter_ir::{Builder, DType, Direction, Result, TensorType, Value};

use super::*;

fn of(build: impl FnOnce(&Builder) -> Result<Value>) -> Roundings {
    let b = Builder::new("main");
    let y = build(&b).unwrap();
    b.result("y", y).unwrap();
    let program = b.finish();
    assert!(Roundings::of(&program, "z").is_none());
    Roundings::of(&program, "y").unwrap()
}

fn bf16(shape: &[usize]) -> TensorType {
    TensorType::new(DType::BF16, shape)
}

#[test]
fn what_only_moves_values_does_not_round() {
    let found = of(|b| {
        let x = b.argument("x", bf16(&[2, 4]))?;
        let wide = b.convert(b.negate(b.transpose(x, &[1, 0])?)?, DType::F32)?;
        b.convert(b.reshape(wide, [8])?, DType::F64)
    });
    assert_eq!((found.counts(), found.relative_error(100)), (&[][..], 0.0));
    assert_eq!(found.describe(), "no roundings");
}

#[test]
fn a_product_takes_all_factors_and_a_sum_the_greater() {
    let found = of(|b| {
        let x = b.argument("x", bf16(&[2, 64]))?;
        let w = b.weight("w", bf16(&[64, 64]))?;
        let h = b.linear(x, w, DType::BF16)?;
        let gate = b.logistic(h)?;
        let gated = b.multiply(h, gate)?;
        b.add(x, gated)
    });
    // weight, dot, logistic, multiply, add: h is a factor twice, but rounded once.
    assert_eq!(found.counts(), [(DType::BF16, 5)]);
    assert_eq!(found.longest_sum(), Some(Sum { terms: 64, accumulate: DType::F32 }));
    assert!(found.describe().contains("1 weight") && found.describe().contains("sums of up to 64 in f32"));
}

#[test]
fn composites_are_walked_and_loops_count_their_trips() {
    let body = |b: &Builder, x: Value| {
        let twice = b.composite("porter.square", vec![], &[x], |b, a| Ok(vec![b.multiply(a[0], a[0])?]))?;
        Ok(twice[0])
    };
    let looped = |limit: Option<f64>| {
        of(|b| {
            let x = b.argument("x", bf16(&[4]))?;
            let n = b.argument("n", TensorType::scalar(DType::I32))?;
            let end = limit.map_or(Ok(n), |limit| b.full_like(n, limit))?;
            let zero = b.full_like(n, 0.0)?;
            let results = b.while_(
                &[zero, x],
                |b, a| b.compare(a[0], end, Direction::Lt),
                |b, a| Ok(vec![b.add_scalar(a[0], 1.0)?, body(b, a[1])?]),
            )?;
            Ok(results[1])
        })
    };
    assert_eq!(looped(Some(12.0)).count(DType::BF16), 12);
    assert!(looped(Some(12.0)).notes().is_empty());
    assert_eq!(looped(Some(0.0)).count(DType::BF16), 0);
    let unknown = looped(None);
    assert_eq!(unknown.count(DType::BF16), 1);
    assert!(unknown.describe().contains("a loop whose trips no constant tells counts once"));
}

#[test]
fn a_sum_in_a_narrow_type_is_no_excuse() {
    let sum = |dtype| {
        of(move |b| {
            let x = b.argument("x", TensorType::new(dtype, [4, 4096]))?;
            b.convert(b.reduce_sum(x, &[1])?, DType::BF16)
        })
    };
    let (narrow, wide) = (sum(DType::BF16), sum(DType::F32));
    assert!(narrow.describe().contains("sums in bf16, where f32 is due"), "{}", narrow.describe());
    approx::assert_relative_eq!(narrow.relative_error(100), wide.relative_error(100), max_relative = 1e-3);
}

#[test]
fn roundings_add_up_as_squares() {
    let chain = |dtype: DType, length: usize| {
        of(move |b| (0..length).try_fold(b.argument("x", TensorType::new(dtype, [4]))?, |x, _| b.tanh(x)))
    };
    let error = |dtype, length| chain(dtype, length).relative_error(10_000);
    approx::assert_relative_eq!(error(DType::BF16, 40) / error(DType::BF16, 10), 2.0);
    approx::assert_relative_eq!(error(DType::BF16, 9) / error(DType::F16, 9), 8.0);
    approx::assert_relative_eq!(error(DType::BF16, 3), 2_f64.powi(-8) * (2.0 * 1e4_f64.ln()).sqrt());
}
