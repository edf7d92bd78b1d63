//! Every hostile file ends in an error that names it, through the command itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::PathBuf};

use assert_cmd::Command;
use serde_json::Value;

const BAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/bad");

/// What of `ci/fixtures/bad` must load, by its manifest: how `inspect` ends and what it finds. The GGUF
/// file says that it is a llama and holds none of a llama's keys, so it is read but cannot be ported.
const CONTROLS: [(&str, i32, &str); 5] = [
    ("st_ok_control.safetensors", 0, "safetensors: 2 tensors"),
    ("st_zero_dim_ok.safetensors", 0, "safetensors: 2 tensors"),
    ("tensor_ok_control.pt", 0, "PyTorch: 1 tensors"),
    ("gguf_ok_control.gguf", 3, "GGUF v3: 1 tensors"),
    ("onnx_ok_control.onnx", 0, "every operator is understood"),
];

fn manifest() -> Vec<String> {
    let text = fs::read_to_string(format!("{BAD}/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    manifest.as_object().unwrap().keys().map(|name| name.trim_end_matches('/').to_owned()).collect()
}

fn inspect(path: &PathBuf) -> std::process::Output {
    Command::cargo_bin("porter").unwrap().arg("inspect").arg(path).output().unwrap()
}

#[test]
fn hostile_files_exit_3_or_4_and_are_named_and_controls_load() {
    let mut wrong = Vec::new();
    for name in manifest() {
        let output = inspect(&PathBuf::from(BAD).join(&name));
        let (code, stderr) = (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
        let stdout = String::from_utf8_lossy(&output.stdout);
        let right = if let Some((_, exit, found)) = CONTROLS.iter().find(|(control, ..)| *control == name) {
            code == Some(*exit) && stdout.contains(found)
        } else {
            // What can be read is reported on stdout, with its problems.
            let named = stderr.contains(&name) || stdout.contains(&name) && stdout.contains("problems:");
            matches!(code, Some(3 | 4)) && named && !stderr.contains("panicked")
        };
        if !right {
            wrong.push(format!("{name}: exit {code:?}: {stderr}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_file_is_a_wrong_name() {
    let output = inspect(&PathBuf::from(BAD).join("absent.safetensors"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("absent.safetensors does not exist"));
}
