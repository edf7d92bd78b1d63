//! `porter check` and `porter compare` as a user runs them: flags, exit codes, files that they write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path};

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures");

fn porter(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("porter").unwrap().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn tiny(name: &str) -> String {
    format!("{FIXTURES}/tiny/{name}")
}

fn check(model: &str, more: &[&str]) -> (i32, Value) {
    let (code, stdout, stderr) = porter(&[&["check", model, "--json"], more].concat());
    let report = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"));
    (code, report)
}

/// The tiny llama with one weight read in the wrong order.
fn broken() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = tiny("llama");
    fs::copy(format!("{source}/config.json"), folder.path().join("config.json")).unwrap();
    let mut bytes = fs::read(format!("{source}/model.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (from, to) = header.info("model.layers.2.mlp.down_proj.weight").unwrap().data_offsets;
    let start = bytes.len() - header.data_len();
    bytes[start + from..start + to].rotate_left((to - from) / 2);
    fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder
}

#[test]
fn the_built_in_executor_is_the_reference_where_none_is_given() {
    let (code, report) = check(&tiny("qwen3"), &[]);
    assert_eq!((code, &report["verdict"], &report["reference"]), (0, &json!("pass"), &json!("builtin")));
    let names: Vec<&str> =
        report["comparisons"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    for name in ["logits", "hidden_states.1", "padded.logits", "forced_logits", "chunked_logits"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[test]
fn a_failing_check_names_the_module_in_every_view() {
    let folder = broken();
    let (html, junit) = (folder.path().join("r.html"), folder.path().join("r.xml"));
    let reference = tiny("llama");
    let more = ["--reference", &reference, "--bisect", "--html", html.to_str().unwrap(), "--junit"];
    let (code, report) =
        check(folder.path().to_str().unwrap(), &[&more[..], &[junit.to_str().unwrap()]].concat());
    assert_eq!(code, 1);
    let suspects = report["bisections"][0]["suspects"].as_array().unwrap();
    assert_eq!(suspects[0]["path"], "model.layers.2.mlp.down_proj");
    for path in [html, junit] {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("model.layers.2.mlp.down_proj"));
    }
}

#[test]
fn a_model_is_compared_with_itself_run_another_way() {
    let model = tiny("llama");
    let (code, report) = check(&model, &["--dtype", "bf16", "--against", "dtype=f32"]);
    assert_eq!((code, &report["reference"]), (0, &json!("itself in f32")), "{report:#}");
    let drift = report["comparisons"][0]["budget"]["why"].as_str().unwrap();
    assert!(drift.contains("bf16"), "{drift}");
    let (code, report) = check(&model, &["--against", "rewrites=none"]);
    assert_eq!(code, 0, "{report:#}");
    let (code, ..) = porter(&["check", &model, "--against", "rewrites=imaginary"]);
    assert_eq!(code, 2);
    let (code, _, stderr) = porter(&["check", &model, "--against", &format!("model={}", tiny("bert"))]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn rewrites_are_told_apart() {
    let (code, report) = check(&tiny("llama"), &["--reference", &tiny("llama"), "--attribute"]);
    assert_eq!(code, 0);
    let rows = report["attribution"]["contributions"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["rewrites"].as_str().unwrap()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"none"), Some(&"all")));
    assert!(names.contains(&"fuse_parallel_dots"), "{names:?}");
}

#[test]
fn a_budget_file_loosens_with_a_reason_only() {
    let folder = broken();
    let (model, reference) = (folder.path().to_str().unwrap(), tiny("llama"));
    let budgets = folder.path().join("budgets.json");
    let with = |text: &str| {
        fs::write(&budgets, text).unwrap();
        check(model, &["--reference", &reference, "--budget", budgets.to_str().unwrap()])
    };
    let (code, report) = with(r#"[{"output": "hidden_states.3", "max_abs": 100.0, "why": "known, see #7"}]"#);
    assert_eq!(code, 1, "the logits are still over theirs");
    let comparisons = report["comparisons"].as_array().unwrap();
    let loosened = comparisons.iter().find(|c| c["name"] == "hidden_states.3").unwrap();
    assert_eq!((&loosened["pass"], &loosened["loosened"]["reason"]), (&json!(true), &json!("known, see #7")));
    let (_, report) = with(r#"[{"output": "hidden_states.3", "max_abs": 100.0, "why": ""}]"#);
    assert!(report["problems"].to_string().contains("no reason"), "{}", report["problems"]);
    let (code, ..) = with(r#"[{"output": 3}]"#);
    assert_eq!(code, 2);
}

#[test]
fn the_ledger_learns_and_then_fails_a_drift() {
    let folder = broken();
    let ledger = folder.path().join("ledger.jsonl");
    let reference = tiny("llama");
    // The level lets the broken model pass, so that only the ledger can tell.
    let more = ["--reference", &reference, "--ledger", ledger.to_str().unwrap()];
    let good = folder.path().join("model");
    fs::create_dir(&good).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(Path::new(&reference).join(file), good.join(file)).unwrap();
    }
    for _ in 0..5 {
        let (code, report) = check(good.to_str().unwrap(), &more);
        assert_eq!(code, 0, "{report:#}");
    }
    assert_eq!(fs::read_to_string(&ledger).unwrap().lines().count(), 5);
    // The same model by name, with a weight that is a little off: within budget, out of its noise.
    let path = good.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (from, _) = header.info("model.norm.weight").unwrap().data_offsets;
    let at = bytes.len() - header.data_len() + from;
    let value = f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    bytes[at..at + 4].copy_from_slice(&(value * 1.000_02).to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let (code, report) = check(good.to_str().unwrap(), &more);
    assert!(report["comparisons"].as_array().unwrap().iter().all(|c| c["pass"] == true), "{report:#}");
    assert_eq!((code, &report["verdict"]), (1, &json!("fail")));
    assert_eq!(report["drifts"][0]["kind"], "worse", "{}", report["drifts"]);
}

#[test]
fn what_cannot_be_compared_is_told_all_at_once() {
    // A bundle of another model: every shape that differs is a problem, and the check fails.
    let (code, report) = check(&tiny("llama"), &["--reference", &tiny("qwen3")]);
    assert_eq!(code, 1);
    assert!(report["problems"].as_array().unwrap().len() > 3, "{}", report["problems"]);
    let (code, ..) = porter(&["check", &tiny("llama"), "--reference", "/nowhere"]);
    assert_eq!(code, 5);
    let (code, ..) = porter(&["check", &tiny("llama"), "--reference", &tiny("llama"), "--hard"]);
    assert_eq!(code, 2);
    let folder = tempfile::tempdir().unwrap();
    for file in ["inputs.safetensors", "reference.safetensors"] {
        fs::write(folder.path().join(file), b"\x08\0\0\0\0\0\0\0{\"a\":").unwrap();
    }
    let (code, _, stderr) =
        porter(&["check", &tiny("llama"), "--reference", folder.path().to_str().unwrap()]);
    assert_eq!(code, 4);
    assert!(stderr.contains("inputs.safetensors") && stderr.contains("reference.safetensors"), "{stderr}");
}

#[test]
fn files_are_compared_without_a_model() {
    let folder = broken();
    let (ours, theirs) = (folder.path().join("model.safetensors"), tiny("llama") + "/model.safetensors");
    let ours = ours.to_str().unwrap();
    let (code, stdout, _) = porter(&["compare", &theirs, &theirs, "--level", "exact"]);
    assert_eq!(code, 0, "{stdout}");
    let (code, stdout, _) = porter(&["compare", ours, &theirs, "--json"]);
    assert_eq!(code, 1);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    let failed: Vec<&str> = document["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["pass"] == false)
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["model.layers.2.mlp.down_proj.weight"]);
    let other = tiny("qwen3") + "/model.safetensors";
    let (code, stdout, _) = porter(&["compare", &theirs, &other]);
    assert_eq!(code, 1, "{stdout}");
}
