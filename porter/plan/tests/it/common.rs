//! libtpu in a process of its own, and programs.

use std::{env, ffi::OsString, time::Duration};

use porter_ir::{DType, Program};
use porter_plan::{Estimate, Inputs, Target, hlo::Module};
use porter_runtime::{
    CompileOptions, NamedValue, Value,
    aot::{Compiled, Compiler, Job, TopologyRequest, serve},
    plugins,
};
use porter_zoo::{Model, Phase, Precision};

const WORKER: &str = "PORTER_TEST_AOT_WORKER";

/// Not a test by itself: what [`compile`] runs.
#[test]
fn worker() {
    if env::var_os(WORKER).is_some() {
        serve().unwrap();
    }
}

pub(crate) fn target(name: &str) -> Target {
    name.parse().unwrap()
}

/// `program` as libtpu compiles it for `target`.
pub(crate) fn compile_with(target: &Target, program: &str, options: CompileOptions) -> Compiled {
    let this = env::current_exe().unwrap();
    let args = [format!("{WORKER}=1").into(), this.into(), "--exact".into(), "common::worker".into()];
    let args: Vec<OsString> = args.into_iter().chain(["--nocapture".into()]).collect();
    let plugin = plugins::ensure(Some("tpu"), &mut |_| {}).unwrap().path;
    let time_limit = Duration::from_mins(10);
    let compiler = Compiler { worker: ("/usr/bin/env".into(), args), plugin, time_limit };
    let chip = target.chip();
    let config = chip.chip_config.map(|name| NamedValue::new("chip_config_name", Value::String(name.into())));
    let topology = TopologyRequest {
        name: target.libtpu_name(),
        options: config.into_iter().collect(),
        devices: target.devices(),
        kind: chip.device_kind.into(),
    };
    compiler.compile(&Job { topology, program: program.into(), options, serialize: false }).unwrap()
}

pub(crate) fn compile(target: &Target, program: &str) -> Compiled {
    compile_with(target, program, CompileOptions::default())
}

pub(crate) fn module(compiled: &Compiled) -> Module {
    Module::decode(&compiled.optimized.code).unwrap()
}

pub(crate) fn estimate(target: &Target, compiled: &Compiled) -> Estimate {
    Estimate::new(&module(compiled), target, &Inputs::default()).unwrap()
}

/// A program of a llama with the widths of Llama-3.1-8B.
pub(crate) fn llama_8b(layers: usize, phase: &Phase) -> Program {
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8,
        "num_hidden_layers": layers, "vocab_size": 128_256, "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "tie_word_embeddings": false,
    });
    let model = Model::from_hf(&config, &[]).unwrap();
    model.program(phase, &Precision::uniform(DType::BF16)).unwrap()
}

/// The value of a number that the plugin gives as its cost.
pub(crate) fn cost(compiled: &Compiled, name: &str) -> f64 {
    match compiled.cost.iter().find(|cost| cost.name == name).map(|cost| &cost.value) {
        Some(Value::Float(x)) => f64::from(*x),
        other => panic!("{name}: {other:?}"),
    }
}
