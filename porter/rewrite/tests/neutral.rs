//! Lowered for the CPU, a model gives what it gives as the zoo writes it, on a real plugin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use porter_ir::{DType, InputRole, Shape};
use porter_rewrite::{CompilerFlag, FlagValue, Port, Target};
use porter_runtime::{
    Client, ClientOptions, CompileOptions, Devices, Flag, Generator, HostTensor, Next, Placement, Plugin,
    Signature, States, Step, Weights, plugins,
};
use porter_zoo::{Model, Phase, Precision};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

const BUCKET: usize = 160;
const CACHE: usize = 256;
const STEPS: usize = 6;

/// A Llama whose sizes reach every rewrite: sums of sixteen lanes, grouped heads, two query blocks.
fn model() -> Model {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 640,
        "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32,
        "vocab_size": 320, "rms_norm_eps": 1e-5, "max_position_embeddings": 512, "rope_theta": 1e4,
        "hidden_act": "silu", "tie_word_embeddings": true
    });
    Model::from_hf(&config, &[]).unwrap()
}

/// Uniform numbers whose products keep the scale of what they multiply.
fn random(name: &str, shape: &Shape) -> Vec<f32> {
    let mut state =
        name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |s, b| (s ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let (scale, centre) = if shape.rank() == 1 { (0.2, 1.0) } else { ((3.0 / shape[1] as f32).sqrt(), 0.0) };
    (0..shape.elements()).map(|_| centre + scale * uniform()).collect()
}

fn write_checkpoint(model: &Model, path: &Path) {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = model
        .parameters()
        .unwrap()
        .iter()
        .map(|(name, shape)| {
            let bytes = random(name, shape).iter().flat_map(|v| v.to_le_bytes()).collect();
            (name.clone(), shape.to_vec(), bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn options(flags: &[CompilerFlag]) -> CompileOptions {
    flags.iter().fold(CompileOptions::default(), |options, flag| {
        let value = match flag.value {
            FlagValue::Text(text) => Flag::String(text.to_owned()),
            FlagValue::Integer(number) => Flag::Int(number),
        };
        options.flag(flag.name, value)
    })
}

/// The logits of a prefill and a few greedy steps, lowered for `target`, and which rewrites applied.
fn logits(
    target: Target,
    precision: Precision,
    client: &Client,
    checkpoint: &Path,
) -> (Vec<Vec<f32>>, Vec<&'static str>) {
    let (model, checkpoint) = (model(), porter_weights::open(checkpoint).unwrap());
    let phases =
        [Phase::Prefill { batch: 1, tokens: BUCKET, cache: CACHE }, Phase::Decode { batch: 1, cache: CACHE }];
    let programs = phases.iter().map(|phase| model.program(phase, &precision).unwrap()).collect();
    let port = Port::new(programs, model.weight_map(&*checkpoint).unwrap());
    let (port, applied) = target.lower(port).unwrap();
    assert!(port.programs.iter().all(|p| p.verify().is_empty()));

    let devices = Devices::of(client);
    let weights = weights(&port, &*checkpoint, &devices);
    let steps: Vec<Step> = port
        .programs
        .iter()
        .zip(&port.flags)
        .map(|(p, flags)| {
            let compiled = client.compile(&p.to_string(), &Signature::of(p), &options(flags)).unwrap();
            Step::new(p, compiled, &devices, &weights).unwrap()
        })
        .collect();
    let mut states = States::zeros(&devices, &port.programs[1]).unwrap();
    let generator =
        Generator { prefill: &steps[0], decode: &steps[1], batch: 1, bucket: BUCKET, cache: CACHE };
    let prompt: Vec<u32> = (0..BUCKET as u32 - 5).map(|i| i * 37 % 320).collect();
    let mut all = Vec::new();
    generator
        .generate::<porter_runtime::Error>(&[prompt], &mut states, |_, logits| {
            all.push(logits.to_vec());
            // The same tokens for every target, so that logits stay comparable.
            Ok(if all.len() < STEPS { Next::Token(all.len() as u32 * 11) } else { Next::Stop })
        })
        .unwrap();
    (all, applied.iter().map(|a| a.rewrite).collect())
}

fn weights(port: &Port, checkpoint: &dyn porter_weights::Checkpoint, devices: &Devices) -> Weights {
    let mut dtypes = BTreeMap::new();
    for program in &port.programs {
        for input in program.inputs().iter().filter(|i| i.role == InputRole::Weight) {
            dtypes.insert(input.name.clone(), program.ty(input.value).dtype);
        }
    }
    let loaded = port.weights.load(checkpoint, |name, _| dtypes[name], |_| ()).unwrap();
    let upload = |(name, tensor): (String, porter_weights::HostTensor)| {
        let tensor = HostTensor::new(tensor.ty, tensor.bytes).unwrap();
        (name, Arc::new(devices.upload(&tensor, &Placement::One).unwrap()))
    };
    loaded.into_iter().map(upload).collect()
}

#[test]
fn the_cpu_form_of_a_model_gives_the_same_logits() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("model.safetensors");
    write_checkpoint(&model(), &checkpoint);
    let located = plugins::ensure(None, &mut |_| ()).unwrap();
    let client = Client::create(&Plugin::load(&located.path).unwrap(), &ClientOptions::default()).unwrap();

    for weights in [DType::F32, DType::BF16] {
        let precision = Precision { weights, activations: DType::F32, cache: DType::F32 };
        let (plain, none) = logits(Target::Plain, precision, &client, &checkpoint);
        let (lowered, applied) = logits(Target::Cpu, precision, &client, &checkpoint);
        assert_eq!(none, [""; 0]);
        assert_eq!(
            applied,
            ["fuse_parallel_dots", "roll_layers", "matvec_as_reduce", "batched_dots_as_reduce"]
        );
        assert_eq!((plain.len(), lowered.len()), (STEPS, STEPS));
        // f32 sums in another order differ by some roundings of 6e-8. With bf16 weights the operands of
        // a product are rounded to bf16 too, and a difference in the last bit of f32 can turn one over:
        // 2^-9 of one operand among hundreds.
        let tolerance = if weights == DType::F32 { 2e-5 } else { 2e-2 };
        for (step, (plain, lowered)) in plain.iter().zip(&lowered).enumerate() {
            let std = (plain.iter().map(|v| v * v).sum::<f32>() / plain.len() as f32).sqrt();
            let worst = plain.iter().zip(lowered).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= tolerance * std, "{weights} step {step}: {worst} of {std}");
        }
    }
}
