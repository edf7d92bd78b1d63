//! What `ci/record/porter_record.py` wrote, as `Bundle` sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, path::PathBuf};

use porter_ir::DType;
use porter_numerics::{Bundle, Case, Output};
use serde_json::Value;

const MODELS: [&str; 14] = [
    "llama",
    "llama_bf16",
    "llama_f16",
    "llama_sharded",
    "llama_long",
    "llama_yarn",
    "mistral",
    "mistral_window",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "mixtral",
    "bert",
    "bert_cls",
];

fn tiny(model: &str) -> Bundle {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../ci/fixtures/tiny", model].iter().collect();
    Bundle::open(&dir).unwrap()
}

fn notes(bundle: &Bundle) -> &Value {
    bundle.notes().unwrap()
}

fn taps(bundle: &Bundle) -> BTreeSet<&str> {
    notes(bundle)["taps"].as_object().unwrap().keys().map(String::as_str).collect()
}

fn names<'a>(case: &Case<'a>) -> BTreeSet<&'a str> {
    case.outputs().iter().map(|output| output.name.as_str()).collect()
}

fn output<'a>(case: &Case<'a>, name: &str) -> &'a Output {
    case.outputs().iter().find(|output| output.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_notes_say_what_was_recorded_and_from_what() {
    for model in MODELS {
        let bundle = tiny(model);
        let notes = notes(&bundle);
        assert_eq!(
            (&notes["schema"], &notes["model"]["source"], &notes["dtype"], &notes["attention"]),
            (&1.into(), &model.into(), &"float32".into(), &"eager".into())
        );
        for package in ["torch", "transformers", "safetensors"] {
            assert!(notes["versions"][package].is_string(), "{model}: {package}");
        }
        let hashes = notes["model"]["sha256"].as_object().unwrap();
        assert_eq!(hashes.len(), if model == "llama_sharded" { 2 } else { 1 }, "{model}");
        assert!(hashes.values().all(|hash| hash.as_str().unwrap().len() == 64), "{model}");
        assert_eq!(notes["not_finite"], Value::Array(Vec::new()), "{model}");
    }
}

#[test]
fn taps_are_outputs_of_the_first_case_beside_the_results() {
    for model in MODELS {
        let bundle = tiny(model);
        let [first, padded] = bundle.cases().collect::<Vec<_>>().try_into().ok().unwrap();
        assert_eq!((first.name(), padded.name()), ("", "padded"));
        let inside: BTreeSet<&str> = names(&first).difference(&names(&padded)).copied().collect();
        assert_eq!(inside, taps(&bundle), "{model}");
        assert!(names(&padded).contains("logits"), "{model}");
        let tapped = ["llama", "mistral", "qwen3", "bert"].contains(&model);
        assert_eq!(inside.len() > 30, tapped, "{model}: {inside:?}");
    }
}

/// Which also says that a twin is taken for no output of its own, `hidden_states.2_f64` and
/// `model.layers.0.self_attn.1_f64` included.
#[test]
fn every_output_of_the_first_case_has_its_twin() {
    for model in MODELS {
        let bundle = tiny(model);
        let first = bundle.cases().next().unwrap();
        for output in first.outputs() {
            assert!(!output.name.ends_with("_f64"), "{model}: {}", output.name);
            assert_eq!(output.twin, Some(format!("{}_f64", output.tensor)), "{model}");
            assert_eq!(first.reference(output).unwrap().dtype(), DType::F32, "{model}: {}", output.name);
        }
    }
}

#[test]
fn taps_have_their_modules_paths_classes_and_shapes() {
    let bundle = tiny("qwen3");
    let case = bundle.cases().next().unwrap();
    for (tap, module, class, shape) in [
        ("model.layers.2", "model.layers.2", "Qwen3DecoderLayer", &[2, 13, 72][..]),
        ("model.layers.1.self_attn.0", "model.layers.1.self_attn", "Qwen3Attention", &[2, 13, 72]),
        ("model.layers.1.self_attn.1", "model.layers.1.self_attn", "Qwen3Attention", &[2, 4, 13, 13]),
        (
            "model.layers.0.self_attn.k_norm",
            "model.layers.0.self_attn.k_norm",
            "Qwen3RMSNorm",
            &[2, 13, 2, 14],
        ),
        ("model.last_hidden_state", "model", "Qwen3Model", &[2, 13, 72]),
    ] {
        let entry = &notes(&bundle)["taps"][tap];
        assert_eq!((&entry["module"], &entry["class"]), (&module.into(), &class.into()), "{tap}");
        assert_eq!(&**case.reference(output(&case, tap)).unwrap().shape(), shape, "{tap}");
    }
    let values = |name| case.reference(output(&case, name)).unwrap().to_f64();
    assert_eq!(values("model.layers.0"), values("hidden_states.1"));
    assert_eq!(values("model.norm"), values("hidden_states.3"));
}

#[test]
fn layers_are_in_their_order_and_say_nothing_of_the_results_noise() {
    let bundle = tiny("bert");
    let case = bundle.cases().next().unwrap();
    let order: Vec<&str> = case.outputs().iter().map(|output| output.name.as_str()).collect();
    let at = |name: &str| order.iter().position(|found| *found == name).unwrap();
    assert!(at("bert.encoder.layer.0.output.dense") < at("bert.encoder.layer.1.output.dense"));
    let logits = output(&case, "logits");
    let twin = porter_numerics::compare(
        "logits",
        &case.reference(logits).unwrap(),
        &f64_twin("bert"),
        &porter_numerics::Positions::All,
    );
    assert_eq!(bundle.noise(), Some(twin.unwrap().max_abs));
}

fn f64_twin(model: &str) -> porter_numerics::View<'static> {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../ci/fixtures/tiny", model, "reference.safetensors"].iter().collect();
    let file = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let tensor = tensors.tensor("logits_f64").unwrap();
    porter_numerics::View::new(DType::F64, tensor.shape().to_vec(), tensor.data().to_vec()).unwrap()
}

#[test]
fn greedy_tokens_follow_a_long_prompt() {
    for (model, prompt) in [("llama", 13), ("llama_long", 97), ("llama_yarn", 97), ("mistral_window", 97)] {
        let bundle = tiny(model);
        let case = bundle.cases().next().unwrap();
        let generated = case.generated().unwrap().unwrap();
        assert_eq!((generated.prompt.len(), generated.tokens.len()), (prompt, 20), "{model}");
        assert_eq!(generated.logits.unwrap().shape()[0], 20, "{model}");
        assert!(notes(&bundle)["greedy_min_margin"].as_f64().unwrap() > 5e-3, "{model}");
    }
}
