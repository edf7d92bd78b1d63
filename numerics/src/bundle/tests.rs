use std::{collections::HashMap, path::PathBuf};

use safetensors::{Dtype, tensor::TensorView};

use super::*;
use crate::{Noise, Outcome, TokenComparison};

pub(super) fn fixture(path: &str) -> Bundle {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../ci/fixtures", path].iter().collect();
    Bundle::open(&dir).unwrap()
}

fn names<'a>(case: &Case<'a>) -> Vec<&'a str> {
    case.outputs().iter().map(|output| output.tensor.as_str()).collect()
}

/// Without the taps, which all lie below one module.
fn results<'a>(case: &Case<'a>) -> Vec<&'a str> {
    names(case).into_iter().filter(|name| !name.starts_with("model")).collect()
}

#[test]
fn a_tiny_model_has_a_plain_and_a_padded_case() {
    let bundle = fixture("tiny/llama");
    let cases: Vec<_> = bundle.cases().collect();
    assert_eq!(cases.iter().map(Case::name).collect::<Vec<_>>(), ["", "padded"]);
    assert_eq!(
        results(&cases[0]),
        ["hidden_states.0", "hidden_states.1", "hidden_states.2", "hidden_states.3", "logits"]
    );
    assert_eq!(
        names(&cases[1]),
        [
            "padded.hidden_states.0",
            "padded.hidden_states.1",
            "padded.hidden_states.2",
            "padded.hidden_states.3",
            "padded.logits"
        ]
    );
    assert_eq!(cases[1].arguments().collect::<Vec<_>>(), ["attention_mask", "input_ids"]);
    assert_eq!(bundle.metadata().string("arch"), Some("llama"));
    let generated = cases[0].generated().unwrap().unwrap();
    assert_eq!((generated.prompt.len(), generated.tokens.len()), (13, 20));
    assert!(cases[1].generated().unwrap().is_none());
}

#[test]
fn the_noise_is_what_the_manifest_says() {
    let manifest =
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/fixtures/tiny/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let models = manifest["models"].as_object().unwrap();
    assert_eq!(models.len(), 14);
    for (model, entry) in models {
        let recorded = entry["f32_vs_f64_max_abs"].as_f64().unwrap();
        let measured = fixture(&format!("tiny/{model}")).noise().unwrap();
        // The JSON number is read to within its last digit.
        let same = approx::relative_eq!(measured, recorded, max_relative = 1e-15, epsilon = 0.0);
        assert!(same, "{model}: {measured} for {recorded}");
    }
}

#[test]
fn numbered_cases_keep_their_outputs_apart_from_layers() {
    let bundle = fixture("real/smollm2");
    let cases: Vec<_> = bundle.cases().collect();
    assert_eq!(cases.iter().map(Case::name).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    assert_eq!(names(&cases[3]), ["logits.3"]);
    let first = names(&cases[0]);
    assert_eq!(
        (first.len(), first[2], first[10], first[31]),
        (32, "hidden_states.2", "hidden_states.10", "logits.0")
    );
    assert_eq!(bundle.noise(), None, "the twins of hidden states say nothing of the logits");
    let text = bundle.notes().unwrap()["prompts"][0]["text"].as_str();
    assert_eq!(text, Some("The capital of France is"));
}

/// The recorded logits are those of the last four positions: their last row gives the first token
/// that was generated.
#[test]
fn the_last_positions_of_a_longer_output_are_measured() {
    let bundle = fixture("real/smollm2");
    let case = bundle.cases().nth(1).unwrap();
    let output = case.outputs().iter().find(|output| output.name == "logits").unwrap();
    let reference = case.reference(output).unwrap();
    let recorded = reference.to_f64();
    let vocabulary = reference.shape()[2];
    let last = &recorded[3 * vocabulary..];
    let likeliest = (0..vocabulary).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
    assert_eq!(case.generated().unwrap().unwrap().tokens[0], likeliest as i64);

    let mut whole = vec![7.0; 3 * vocabulary];
    whole.extend(&recorded);
    let ours = View::f64(&whole, [1, 7, vocabulary]).unwrap();
    let measured = case.measure(output, &ours, None).unwrap();
    assert_eq!(
        (measured.comparison.max_abs, measured.comparison.shape.as_slice()),
        (0.0, &[1, 4, vocabulary][..])
    );
    assert!(measured.pass);
    assert_eq!(measured.logits.unwrap().positions, 4);
}

#[test]
fn padding_does_not_count_and_a_shift_fails() {
    let bundle = fixture("real/minilm");
    let case = bundle.cases().next().unwrap();
    let output = case.outputs().iter().find(|output| output.name == "last_hidden_state").unwrap();
    let reference = case.reference(output).unwrap();
    let mask = case.input("attention_mask").unwrap().unwrap().to_i64().unwrap();
    let hidden = reference.shape()[2];
    let changed = |by: f64, at: i64| -> Vec<f64> {
        let flags = mask.iter().flat_map(|&flag| std::iter::repeat_n(flag, hidden));
        reference.to_f64().iter().zip(flags).map(|(x, flag)| if flag == at { x + by } else { *x }).collect()
    };
    let measure = |values: &[f64]| {
        case.measure(output, &View::f64(values, reference.shape().clone()).unwrap(), None).unwrap()
    };
    assert!(measure(&changed(1e3, 0)).pass, "only padding differs");
    assert!(!measure(&changed(1e-3, 1)).pass);
    let pooled = case.outputs().iter().find(|output| output.name == "pooler_output").unwrap();
    assert!(case.measure(pooled, &case.reference(pooled).unwrap(), None).unwrap().pass);
}

#[test]
fn recorded_tokens_are_their_own_greedy_continuation() {
    let bundle = fixture("tiny/qwen3");
    let case = bundle.cases().next().unwrap();
    let generated = case.generated().unwrap().unwrap();
    let noise = Noise { max_abs: 1e-4, narrower: false };
    assert_eq!(TokenComparison::new(&generated, generated.tokens.clone(), noise).outcome, Outcome::Same);
    let mut other = generated.tokens.clone();
    other[5] = (other[5] + 1) % 997;
    let differs = TokenComparison::new(&generated, other, noise);
    assert_eq!((differs.outcome, differs.agreed()), (Outcome::Differs, 5));
    assert!(
        differs.first_difference.unwrap().margin.unwrap() > 0.02,
        "the manifest's smallest margin is 0.0411"
    );
}

/// Writes a file of a bundle: name, type and shape of each tensor. Every byte of data is 0x3f.
fn write(dir: &Path, file: &str, tensors: &[(&str, Dtype, &[usize])]) {
    let data = vec![0x3f_u8; 1 << 12];
    let views: HashMap<&str, TensorView<'_>> = tensors
        .iter()
        .map(|(name, dtype, shape)| {
            let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (*name, TensorView::new(*dtype, shape.to_vec(), &data[..bytes]).unwrap())
        })
        .collect();
    fs::write(dir.join(file), safetensors::serialize(views, None).unwrap()).unwrap();
}

fn open_error(inputs: &[(&str, Dtype, &[usize])], reference: &[(&str, Dtype, &[usize])]) -> String {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), INPUTS, inputs);
    write(dir.path(), REFERENCE, reference);
    Bundle::open(dir.path()).err().expect("a bundle that is refused").to_string()
}

/// As the recorder names them: a Sequential's children, a tuple's parts, a module's second run.
#[test]
fn modules_outputs_lie_inside_whatever_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), INPUTS, &[("x", Dtype::F32, &[1, 3])]);
    let shape: &[usize] = &[1, 3];
    let names = ["output", "net.0", "net.10", "net.2#2", "two.1.b.0", "hidden_states.0"];
    write(dir.path(), REFERENCE, &names.map(|name| (name, Dtype::F32, shape)));
    let bundle = Bundle::open(dir.path()).unwrap();
    let case = bundle.cases().next().unwrap();
    let found: Vec<(&str, bool)> = case.outputs().iter().map(|o| (o.name.as_str(), o.inner())).collect();
    assert_eq!(
        found,
        [
            ("hidden_states.0", true),
            ("net.2#2", true),
            ("net.0", true),
            ("net.10", true),
            ("output", false),
            ("two.1.b.0", true)
        ]
    );
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let message = open_error(
        &[("input_ids", Dtype::F32, &[2, 3]), ("attention_mask", Dtype::I64, &[2, 4])],
        &[
            ("logits", Dtype::F32, &[2, 3, 5]),
            ("logits_f64", Dtype::F64, &[2, 3, 4]),
            ("padded.logits", Dtype::F32, &[2, 3, 5]),
            ("generated", Dtype::I64, &[2, 4]),
            ("hidden_states.0", Dtype::F8_E4M3, &[2, 3, 5]),
        ],
    );
    for part in [
        "6 problems",
        "inputs.safetensors, tensor \"input_ids\": found f32[2, 3]",
        "inputs.safetensors, tensor \"attention_mask\": found i64[2, 4], expected i64 or i32 [2, 3]",
        "tensor \"logits_f64\": found f64[2, 3, 4], expected [2, 3, 5]",
        "tensor \"padded.logits\": found no inputs of its case, expected \"padded.input_ids\"",
        "tensor \"generated\": found i64[2, 4]",
        "tensor \"hidden_states.0\": found elements of f8E4M3FN",
    ] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
}

/// As bytes of 0x3f, an f32 is 0.747059 and an f64 is 0.000477.
#[test]
fn a_twin_that_rounding_does_not_explain_is_refused() {
    let shape: &[usize] = &[1, 3, 5];
    let message = open_error(
        &[("input_ids", Dtype::I64, &[1, 3])],
        &[("logits", Dtype::F32, shape), ("logits_f64", Dtype::F64, shape)],
    );
    assert!(message.contains("tensor \"logits_f64\": found 7.466e-1 away"), "{message}");
}

#[test]
fn an_empty_or_damaged_bundle_is_refused() {
    assert!(
        open_error(&[("input_ids", Dtype::I64, &[1, 3])], &[])
            .contains("reference.safetensors holds no tensor")
    );
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Bundle::open(dir.path()), Err(BundleError::File { .. })), "no files");
    write(dir.path(), INPUTS, &[("input_ids", Dtype::I64, &[1, 3])]);
    fs::write(dir.path().join(REFERENCE), [255; 12]).unwrap();
    let message = Bundle::open(dir.path()).err().unwrap().to_string();
    assert!(message.contains("reference.safetensors"), "{message}");
    write(dir.path(), REFERENCE, &[("logits", Dtype::F32, &[1, 3, 5])]);
    fs::write(dir.path().join("bundle.json"), "[".repeat(100_000)).unwrap();
    let message = Bundle::open(dir.path()).err().unwrap().to_string();
    assert!(message.contains("bundle.json: recursion limit"), "{message}");
}
