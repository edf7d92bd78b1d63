//! A quantised checkpoint is a model like any other.

use std::path::PathBuf;

use porter_numerics::Bundle;
use porter_weights::{Checkpoint, QuantisedConfig};
use porter_zoo::{Model, Phase, Taps};

use crate::{
    common::{config, model},
    runner::{Runner, view},
};

/// A llama whose matrices gptq stores.
fn llama() -> (PathBuf, Model, Box<dyn Checkpoint>) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/fixtures/quantised/gptq_llama"));
    let model = Model::from_hf(&config("../quantised/gptq_llama/config.json"), &[]).unwrap();
    let checkpoint = porter_weights::open(&folder.join("model.safetensors")).unwrap();
    (folder, model, checkpoint)
}

#[test]
fn every_parameter_is_computed_and_every_piece_used() {
    let (_, llama, checkpoint) = llama();
    assert!(matches!(llama.quantised(), Some(QuantisedConfig::Gptq(gptq)) if gptq.bits == 4));
    assert_eq!(model("llama").quantised(), None);
    let report = llama.weight_map(checkpoint.as_ref()).unwrap().check(checkpoint.as_ref());
    assert!(report.fits(), "{report}");
}

#[test]
fn its_logits_are_those_of_transformers() {
    let (folder, llama, checkpoint) = llama();
    let runner = Runner::new(llama, checkpoint.as_ref());
    let bundle = Bundle::open(&folder).unwrap();
    let case = bundle.cases().next().unwrap();
    let (shape, arguments) = runner.arguments(&case);
    let phase = Phase::Forward { batch: shape[0], tokens: shape[1], taps: Taps::None };
    let results = runner.forward(&phase, &arguments);
    let logits = case.outputs().iter().find(|output| output.name == "logits").unwrap();
    let measured = case.measure(logits, &view(&results["logits"]), None).unwrap();
    assert!(measured.budget.allows(&measured.comparison), "{}", measured.comparison.max_abs);
}

#[test]
fn a_checkpoint_that_is_not_what_the_config_says_is_refused() {
    let mut quantised = config("llama/config.json");
    quantised["quantization_config"] =
        config("../quantised/fp8_block/config.json")["quantization_config"].clone();
    let folder = crate::common::folder("llama");
    let checkpoint = porter_weights::open(&folder).unwrap();
    // Nothing of it is quantised: it is read as it is.
    let map = Model::from_hf(&quantised, &[]).unwrap().weight_map(checkpoint.as_ref()).unwrap();
    assert!(map.check(checkpoint.as_ref()).fits());

    let (_, _, checkpoint) = llama();
    let mut other = config("../quantised/gptq_llama/config.json");
    other["quantization_config"]["bits"] = 8.into();
    let error = Model::from_hf(&other, &[]).unwrap().weight_map(checkpoint.as_ref()).unwrap_err();
    assert_eq!(error.to_string().lines().count(), 8, "{error}");
    assert!(error.to_string().contains("qweight is i32[4, 32]; expected i32 of shape [8, 32]"), "{error}");
}
