//! A tiny llama, as written and in f64, against what transformers recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use porter_executor::{ExecuteError, Executor, Floats, Tensor};
use porter_ir::{DType, float};
use porter_weights::{Checkpoint, Encoding};
use porter_zoo::{Model, Phase, Precision, Taps};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny/llama"))
}

fn numbers(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let value = |bytes: &[u8]| {
        let bits = bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
        if dtype.is_float() { float::decode(dtype, bits).unwrap() } else { bits as i64 as f64 }
    };
    bytes.chunks_exact(dtype.host_bytes()).map(value).collect()
}

fn recorded(file: &str, name: &str) -> Vec<f64> {
    let checkpoint = porter_weights::open(&folder().join(file)).unwrap();
    let view = checkpoint.tensor(name).unwrap();
    let Encoding::Plain(dtype) = &view.info.encoding else { panic!("{name} is packed") };
    numbers(*dtype, &view.bytes)
}

/// The forward pass over the recorded prompts.
fn forward(floats: Floats) -> BTreeMap<String, Tensor> {
    let config = serde_json::from_str(&fs::read_to_string(folder().join("config.json")).unwrap()).unwrap();
    let model = Model::from_hf(&config, &[]).unwrap();
    let phase = Phase::Forward { batch: 2, tokens: 13, taps: Taps::HiddenStates };
    let program = model.program(&phase, &Precision::uniform(DType::F32)).unwrap();
    let checkpoint: Box<dyn Checkpoint> = porter_weights::open(&folder()).unwrap();
    let map = model.weight_map(checkpoint.as_ref()).unwrap();
    let weights = map.load(checkpoint.as_ref(), |_, _| DType::F32, |_| ()).unwrap();
    let ids: Vec<i32> = recorded("inputs.safetensors", "input_ids").into_iter().map(|id| id as i32).collect();
    let outputs = Executor::new(floats).run(&program, |input, ty| match input.name.as_str() {
        "input_ids" => Tensor::from_slice(ty.shape.clone(), &ids),
        "padding" => Tensor::from_slice(ty.shape.clone(), &[0_i32; 2]),
        name => Tensor::new(weights[name].ty.clone(), weights[name].bytes.as_ref().as_ref().to_vec()),
    });
    outputs.unwrap_or_else(|error: ExecuteError| panic!("{error}"))
}

fn farthest(ours: &Tensor, theirs: &[f64]) -> (f64, f64) {
    let ours = numbers(ours.ty().dtype, ours.bytes());
    assert_eq!(ours.len(), theirs.len());
    let error = ours.iter().zip(theirs).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    let scale = theirs.iter().map(|y| y * y).sum::<f64>() / theirs.len() as f64;
    (error, scale.sqrt())
}

#[test]
fn llama_is_what_transformers_computes() {
    let (written, double) = (forward(Floats::AsWritten), forward(Floats::Double));
    assert_eq!(double["logits"].ty().dtype, DType::F64);

    // The twin was recorded from the model in f64, within which transformers still computes its norms, its
    // angles and its softmax in f32: what that costs is less than what f32 throughout costs.
    let twin = recorded("reference.safetensors", "logits_f64");
    let reference = recorded("reference.safetensors", "logits");
    let own = reference.iter().zip(&twin).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    let (error, _) = farthest(&double["logits"], &twin);
    assert!(error <= 0.5 * own, "{error}, the reference in f32 {own}");
    // Another run in f32 is as far off as the reference in f32 is.
    let (error, _) = farthest(&written["logits"], &numbers(DType::F64, double["logits"].bytes()));
    assert!(error <= 2.0 * own, "{error}, the reference in f32 {own}");

    // Hidden states were recorded in f32 only, where three layers of sums of 96 and 200 products, each in
    // units of 2^-24, carry some 20 units.
    for layer in 0..4 {
        let name = format!("hidden_states.{layer}");
        let theirs = recorded("reference.safetensors", &name);
        for ours in [&written[&name], &double[&name]] {
            let (error, scale) = farthest(ours, &theirs);
            assert!(error <= 32.0 * f64::from(f32::EPSILON) * scale, "{name}: {error} of {scale}");
        }
    }
}
