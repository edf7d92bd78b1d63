//! Every hostile file ends in an error that names it, through the command itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::PathBuf};

use assert_cmd::Command;
use serde_json::Value;

const BAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/bad");

/// What of `ci/fixtures/bad` must load, by its manifest.
const CONTROLS: [&str; 3] =
    ["st_ok_control.safetensors", "st_zero_dim_ok.safetensors", "gguf_ok_control.gguf"];

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
        let right = if CONTROLS.contains(&name.as_str()) {
            code == Some(0)
        } else {
            matches!(code, Some(3 | 4)) && stderr.contains(&name) && !stderr.contains("panicked")
        };
        if !right {
            wrong.push(format!("{name}: exit {code:?}: {stderr}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_file_is_the_environments_fault() {
    let output = inspect(&PathBuf::from(BAD).join("absent.safetensors"));
    assert_eq!(output.status.code(), Some(5));
}
