//! A small model on a real plugin, in any form.
#![allow(dead_code, reason = "each test takes a part of it")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use half::bf16;
use porter_ir::{DType, InputRole, Shape};
use porter_rewrite::{CompilerFlag, FlagValue, Port};
use porter_runtime::{
    Client, ClientOptions, CompileOptions, Devices, Flag, Generator, HostTensor, Next, Placement, Plugin,
    Signature, States, Step, Weights, plugins,
};
use porter_weights::Checkpoint;
use porter_zoo::{Model, Phase, Precision};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

pub(crate) const STEPS: usize = 6;

/// A Llama whose sizes reach every rewrite: sums of sixteen lanes, grouped heads, two query blocks. `changes` replace
/// keys of its configuration.
pub(crate) fn model(changes: &Value) -> Model {
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 640,
        "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32,
        "vocab_size": 320, "rms_norm_eps": 1e-5, "max_position_embeddings": 512, "rope_theta": 1e4,
        "hidden_act": "silu", "tie_word_embeddings": true
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    Model::from_hf(&config, &[]).unwrap()
}

/// Uniform numbers whose products keep the scale of what they multiply.
pub(crate) fn random(name: &str, shape: &Shape) -> Vec<f32> {
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

pub(crate) fn write_checkpoint(model: &Model, path: &Path) {
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

pub(crate) fn client() -> Client {
    let located = plugins::ensure(None, &mut |_| ()).unwrap();
    Client::create(&Plugin::load(&located.path).unwrap(), &ClientOptions::default()).unwrap()
}

/// The model's prefill of a bucket and its decode step, as the zoo writes them.
pub(crate) fn port(model: &Model, precision: Precision, checkpoint: &dyn Checkpoint, run: &Run) -> Port {
    let phases = [
        Phase::Prefill { batch: 1, tokens: run.bucket, cache: run.cache },
        Phase::Decode { batch: 1, cache: run.cache },
    ];
    let programs = phases.iter().map(|phase| model.program(phase, &precision).unwrap()).collect();
    Port::new(programs, model.weight_map(checkpoint).unwrap())
}

/// Sizes of a run.
pub(crate) struct Run {
    pub(crate) bucket: usize,
    pub(crate) cache: usize,
    pub(crate) vocab: u32,
}

/// Every weight of a port, as its programs take it.
pub(crate) type Loaded = BTreeMap<String, porter_weights::HostTensor>;

pub(crate) fn load(port: &Port, checkpoint: &dyn Checkpoint) -> Loaded {
    let mut dtypes = BTreeMap::new();
    for program in &port.programs {
        for input in program.inputs().iter().filter(|i| i.role == InputRole::Weight) {
            dtypes.insert(input.name.clone(), program.ty(input.value).dtype);
        }
    }
    port.weights.load(checkpoint, |name, _| dtypes[name], |_| ()).unwrap().into_iter().collect()
}

/// `value` wherever a weight of a float type is exactly zero; how many there were.
pub(crate) fn poison(weights: &mut Loaded, value: f32) -> usize {
    let mut count = 0;
    for tensor in weights.values_mut() {
        let bytes = Arc::get_mut(&mut tensor.bytes).expect("weights are not shared");
        let poison = match tensor.ty.dtype {
            DType::F32 => value.to_le_bytes().to_vec(),
            DType::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
            _ => continue,
        };
        for element in bytes.chunks_mut(poison.len()).filter(|e| e.iter().all(|b| *b == 0)) {
            element.copy_from_slice(&poison);
            count += 1;
        }
    }
    count
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

/// The logits of a prefill and a few steps. The same tokens for every form, so that logits stay comparable.
pub(crate) fn logits(port: &Port, weights: &Loaded, client: &Client, run: &Run) -> Vec<Vec<f32>> {
    assert!(port.programs.iter().all(|p| p.verify().is_empty()));
    let devices = Devices::of(client);
    let weights = upload(weights, &devices);
    let steps: Vec<Step> = port
        .programs
        .iter()
        .zip(&port.flags)
        .map(|(p, flags)| {
            let compiled =
                client.compile(&p.to_string(), &Signature::of(&p.entry()), &options(flags)).unwrap();
            Step::new(&p.entry(), compiled, &devices, &weights).unwrap()
        })
        .collect();
    let mut states = States::zeros(&devices, &port.programs[1].entry()).unwrap();
    let Run { bucket, cache, vocab } = *run;
    let generator = Generator { prefill: &steps[0], decode: &steps[1], batch: 1, bucket, cache };
    let prompt: Vec<u32> = (0..bucket as u32 - 5).map(|i| i * 37 % vocab).collect();
    let mut all = Vec::new();
    generator
        .generate::<porter_runtime::Error>(&[prompt], &mut states, |_, logits| {
            all.push(logits.to_vec());
            Ok(if all.len() < STEPS { Next::Token(all.len() as u32 * 11) } else { Next::Stop })
        })
        .unwrap();
    all
}

fn upload(weights: &Loaded, devices: &Devices) -> Weights {
    let upload = |(name, tensor): (&String, &porter_weights::HostTensor)| {
        let tensor = HostTensor::new(tensor.ty.clone(), tensor.bytes.clone()).unwrap();
        (name.clone(), Arc::new(devices.upload(&tensor, &Placement::One).unwrap()))
    };
    weights.iter().map(upload).collect()
}

/// The greatest difference of each step, in units of the step's standard deviation.
pub(crate) fn distances(ours: &[Vec<f32>], reference: &[Vec<f32>]) -> Vec<f32> {
    assert_eq!(ours.len(), reference.len());
    let distance = |(ours, reference): (&Vec<f32>, &Vec<f32>)| {
        let std = (reference.iter().map(|v| v * v).sum::<f32>() / reference.len() as f32).sqrt();
        let worst = reference.iter().zip(ours).map(|(a, b)| (a - b).abs());
        worst.fold(0.0, |worst: f32, d| if d.is_nan() { f32::INFINITY } else { worst.max(d) }) / std
    };
    ours.iter().zip(reference).map(distance).collect()
}
