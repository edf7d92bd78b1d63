//! Building, verifying and printing a program of a model's size: `cargo bench -p porter-ir`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use porter_ir::{Builder, DType, Program, TensorType};

fn main() {
    divan::main();
}

/// 30 layers of 100 ops, 10 weights each, half of the ops within composites.
fn model() -> Program {
    let b = Builder::new("model");
    let mut x = b.argument("x", TensorType::new(DType::F32, [64, 576])).unwrap();
    for layer in 0..30 {
        let b = b.at(&format!("model.layers.{layer}"));
        for block in 0..10 {
            let b = b.scope(&format!("blocks.{block}"));
            let w = b.weight("weight", TensorType::new(DType::F32, [576, 576])).unwrap();
            let composite = b.composite("porter.block", vec![], &[x, w], |b, args| {
                let mut x = b.linear(args[0], args[1], DType::F32)?;
                for _ in 0..4 {
                    x = b.logistic(x)?;
                }
                Ok(vec![x])
            });
            x = composite.unwrap()[0];
            for _ in 0..5 {
                x = b.add(x, x).unwrap();
            }
        }
    }
    b.result("y", x).unwrap();
    b.finish()
}

#[divan::bench]
fn build() -> Program {
    model()
}

#[divan::bench]
fn verify(bencher: divan::Bencher<'_, '_>) {
    let model = model();
    bencher.bench_local(|| assert_eq!(model.verify(), []));
}

#[divan::bench]
fn print(bencher: divan::Bencher<'_, '_>) {
    let model = model();
    bencher.bench_local(|| model.to_string());
}
