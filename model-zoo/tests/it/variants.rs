//! Configurations that no fixture has, on the fixtures' weights, against what transformers computes
//! for them (`tests/data/record.py`).

use std::{collections::BTreeMap, path::Path};

use porter_numerics::{Budget, Bundle, Positions, View, compare};
use porter_weights::{Checkpoint, SafetensorsFile};
use porter_zoo::{Model, Phase, Taps};
use serde_json::Value;

use crate::{
    common::folder,
    runner::{Runner, view},
};

/// Variants whose rotary frequencies change as the sequence grows: what a cache holds was rotated
/// by earlier ones, there as here, so that tokens differ from those of a run without a cache.
const GROWING: [&str; 2] = ["llama_dynamic", "llama_longrope"];

fn read(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[test]
fn variants_are_within_the_noise_of_the_reference() {
    let described: BTreeMap<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(read("variants.json")).unwrap()).unwrap();
    let recorded = SafetensorsFile::open(&read("variants.safetensors")).unwrap();
    for (name, variant) in &described {
        let fixture = folder(variant["fixture"].as_str().unwrap());
        let checkpoint = porter_weights::open(&fixture).unwrap();
        let model = Model::from_hf(&variant["config"], &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        let runner = Runner::new(model, checkpoint.as_ref());
        let bundle = Bundle::open(&fixture).unwrap();
        let case = bundle.cases().next().unwrap();

        let (shape, arguments) = runner.arguments(&case);
        let phase = Phase::Forward { batch: shape[0], tokens: shape[1], taps: Taps::None };
        let results = runner.forward(&phase, &arguments);
        let logits = view(&results["logits"]);
        let last = logits.last_positions(1);
        let ours = View::f64(&last.to_f64(), [shape[0], last.shape()[2]]).unwrap().to_f64();

        let reference = numbers(&recorded, &format!("{name}.logits"));
        let reference = View::new(reference.0, reference.1.clone(), reference.2).unwrap();
        let ours = View::f64(&ours, reference.shape().clone()).unwrap();
        let comparison = compare(name, &ours, &reference, &Positions::All).unwrap();
        let budget = Budget::recorded(variant["f32_vs_f64_max_abs"].as_f64(), comparison.scale);
        assert!(budget.allows(&comparison), "{name}: {} > {budget:?}", comparison.max_abs);

        let tokens = numbers(&recorded, &format!("{name}.generated"));
        let tokens = View::new(tokens.0, tokens.1.clone(), tokens.2).unwrap().to_i64().unwrap();
        if !GROWING.contains(&name.as_str()) {
            let prompt: Vec<u32> = case
                .generated()
                .unwrap()
                .unwrap()
                .prompt
                .iter()
                .map(|&id| u32::try_from(id).unwrap())
                .collect();
            assert_eq!(runner.greedy(&[prompt], tokens.len()).0, tokens, "{name}");
        }
    }
    assert_eq!(described.len(), 7);
}

fn numbers<'a>(file: &'a SafetensorsFile, name: &str) -> (porter_ir::DType, porter_ir::Shape, &'a [u8]) {
    let tensor = file.tensor(name).unwrap();
    (tensor.info.encoding.dtype().unwrap(), tensor.info.shape.clone(), tensor.bytes)
}
