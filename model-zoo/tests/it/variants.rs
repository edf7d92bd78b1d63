//! Configurations and GGUF files that no bundle has, on the fixtures' weights, against what
//! transformers computes for them (`tests/data/record.py`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use porter_numerics::{Budget, Bundle, Positions, View, compare};
use porter_weights::{Checkpoint, SafetensorsFile};
use porter_zoo::{Model, Phase, Taps};
use serde_json::Value;

use crate::{
    common::{folder, gguf},
    runner::{Runner, view},
};

/// Variants whose rotary frequencies change as the sequence grows: what a cache holds was rotated
/// by earlier ones, in transformers as here, so that tokens differ from those of a run without one.
const GROWING: [&str; 2] = ["llama_dynamic", "llama_longrope"];

#[test]
fn variants_are_within_the_noise_of_the_reference() {
    let described = std::fs::read_to_string(data("variants.json")).unwrap();
    let described: BTreeMap<String, Value> = serde_json::from_str(&described).unwrap();
    let recorded = SafetensorsFile::open(&data("variants.safetensors")).unwrap();
    for (name, variant) in &described {
        check(name, variant, &recorded);
    }
    assert_eq!(described.len(), 9);
}

fn check(name: &str, variant: &Value, recorded: &SafetensorsFile) {
    let fixture = folder(variant["fixture"].as_str().unwrap());
    let bundle = Bundle::open(&fixture).unwrap();
    let case = bundle.cases().next().unwrap();
    let runner = runner(&fixture, &variant["config"]);

    let (shape, arguments) = runner.arguments(&case);
    let phase = Phase::Forward { batch: shape[0], tokens: shape[1], taps: Taps::None };
    let results = runner.forward(&phase, &arguments);
    let logits = view(&results["logits"]).last_positions(1).to_f64();
    let reference = tensor(recorded, &format!("{name}.logits"));
    let ours = View::f64(&logits, reference.shape().clone()).unwrap();
    let comparison = compare(name, &ours, &reference, &Positions::All).unwrap();
    let budget = Budget::recorded(variant["f32_vs_f64_max_abs"].as_f64(), comparison.scale);
    assert!(budget.allows(&comparison), "{name}: {} > {budget:?}", comparison.max_abs);

    if !GROWING.contains(&name) {
        let tokens = tensor(recorded, &format!("{name}.generated")).to_i64().unwrap();
        let prompt = case.generated().unwrap().unwrap().prompt;
        let prompt = prompt.iter().map(|&id| u32::try_from(id).unwrap()).collect();
        assert_eq!(runner.greedy(&[prompt], tokens.len()).0, tokens, "{name}");
    }
}

/// The fixture's weights under `config`, or the GGUF file that it names.
fn runner(fixture: &Path, config: &Value) -> Runner {
    if let Some(file) = config["gguf"].as_str() {
        let checkpoint = porter_weights::open(&gguf(file)).unwrap();
        return Runner::new(Model::from_gguf(checkpoint.as_ref(), &[]).unwrap(), checkpoint.as_ref());
    }
    let checkpoint = porter_weights::open(fixture).unwrap();
    Runner::new(Model::from_hf(config, &[]).unwrap(), checkpoint.as_ref())
}

fn tensor<'a>(file: &'a SafetensorsFile, name: &str) -> View<'a> {
    let tensor = file.tensor(name).unwrap();
    View::new(tensor.info.encoding.dtype().unwrap(), tensor.info.shape.clone(), tensor.bytes).unwrap()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
