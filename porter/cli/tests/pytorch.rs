//! The tiny llama as PyTorch saves it is the llama of the safetensors file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use assert_cmd::Command;
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures");

fn porter(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("porter").unwrap().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_form_passes_the_bundle_of_the_safetensors_file() {
    for form in ["zip", "legacy_sharded", "training"] {
        let (model, reference) =
            (format!("{FIXTURES}/pytorch_model/{form}"), format!("{FIXTURES}/tiny/llama"));
        let (code, stdout, stderr) = porter(&["check", &model, "--reference", &reference, "--json"]);
        let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"));
        assert_eq!((code, &report["verdict"]), (0, &json!("pass")), "{form}: {report:#}");
    }
}

#[test]
fn inspect_understands_every_tensor_and_says_what_is_left_out() {
    let (code, stdout, stderr) = porter(&["inspect", &format!("{FIXTURES}/pytorch_model/zip")]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("every tensor is understood and used"), "{stdout}");
    let (code, stdout, _) = porter(&["inspect", &format!("{FIXTURES}/pytorch_model/training")]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("the state dict is \"model\"; 2 tensors beside it are left out"), "{stdout}");
}

#[test]
fn a_prefix_by_hand_chooses_other_tensors() {
    let model = format!("{FIXTURES}/pytorch_model/training");
    let (code, stdout, _) = porter(&["inspect", &model, "--prefix", "optimizer"]);
    assert_eq!(code, 3, "{stdout}");
    let (code, _, stderr) = porter(&["inspect", &model, "--prefix", "no.such"]);
    assert_eq!(code, 3);
    assert!(
        stderr.contains("holds no tensor under \"no.such\"; at its top lie \"model\", \"optimizer\""),
        "{stderr}"
    );
}

#[test]
fn unknown_classes_are_refused_by_name_and_read_on_request() {
    let model = format!("{FIXTURES}/pt/whole_module.pt");
    let (code, _, stderr) = porter(&["inspect", &model]);
    assert_eq!(code, 3);
    assert!(stderr.contains("my_project.models.Net"), "{stderr}");
    let (code, stdout, _) = porter(&["inspect", &model, "--weights-only-lenient"]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("2 tensors") && stdout.contains("my_project.models.Net"), "{stdout}");
}
