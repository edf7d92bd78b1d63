//! `porter onboard` as a user runs it: a model or a graph in, a port and a page out, or a page that says why not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::{Command, assert::Assert};
use predicates::{prelude::*, str::contains};
use serde_json::{Value, json};
use tempfile::TempDir;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/fixtures").join(path)
}

/// `porter onboard MODEL -o FOLDER/out`.
fn onboard(model: &Path, folder: &TempDir, args: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("porter").unwrap();
    let out = folder.path().join("out");
    command.env("NO_COLOR", "1").arg("onboard").arg(model).arg("-o").arg(out).args(args).assert()
}

fn page(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("out.html")).unwrap()
}

const SIZES: [&str; 4] = ["--prompt", "32", "--context", "64"];

/// Over four chips: the mesh of the plan is that of the port, whose numbers are compared on four virtual devices.
#[test]
fn a_model_is_planned_ported_checked_and_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&["--target", "v6e:2x2", "--json"], &SIZES[..]].concat();
    let assert = onboard(&fixture("tiny/llama"), &folder, &args).success();
    let said: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(said["verdict"], "ported to v6e:2x2");
    assert_eq!(said["inspect"]["problems"], json!([]));
    assert_eq!(said["plan"]["candidates"][0]["mesh"], "tensor=4");
    assert_eq!((&said["check"]["verdict"], &said["check"]["reference"]), (&json!("pass"), &json!("builtin")));
    let compiled = said["compile"]["programs"].as_array().unwrap();
    assert_eq!(compiled.iter().map(|program| &program["fits"]).collect::<Vec<_>>(), [true, true]);
    assert_eq!(said["compile"]["mesh"], "tensor=4");

    let manifest = fs::read(folder.path().join("out/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!((&manifest["mesh"], &manifest["check"]["pass"]), (&json!([["tensor", 4]]), &json!(true)));
    let page = page(&folder);
    for part in ["LlamaForCausalLM", "tensor=4", "within budgets", "weights_in_out", "decode_1_64", "<svg"] {
        assert!(page.contains(part), "{part}");
    }
}

/// A graph is compared with what was recorded, and with nothing where nothing was.
#[test]
fn a_graph_is_ported_with_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let reference = fixture("onnx/mlp");
    let args = ["--target", "v5e:1x1", "--dim", "batch=5"];
    let recorded = [&args[..], &["--reference", reference.to_str().unwrap()]].concat();
    onboard(&reference.join("model.onnx"), &folder, &recorded)
        .success()
        .stdout(contains("1 gelu").and(contains("within budgets")).and(contains("ported to v5e:1x1")));
    let folder = tempfile::tempdir().unwrap();
    onboard(&reference.join("model.onnx"), &folder, &args)
        .success()
        .stdout(contains("not compared").and(contains("within budgets").not()));
}

#[test]
fn what_cannot_be_ported_leaves_a_page_and_no_port() {
    let folder = tempfile::tempdir().unwrap();
    let graph = fixture("onnx/unsupported.onnx");
    onboard(&graph, &folder, &["--target", "v5e:1x1"]).code(3).stdout(contains("not ported"));
    assert!(page(&folder).contains("problem") && !folder.path().join("out").exists());

    let folder = tempfile::tempdir().unwrap();
    let rows = [&["--target", "v5e:1x1", "--batch", "1000000"], &SIZES[..]].concat();
    onboard(&fixture("tiny/llama"), &folder, &rows).code(1).stdout(contains("it does not fit v5e:1x1"));
    assert!(page(&folder).contains("smallest that it fits") && !folder.path().join("out").exists());
}

/// A verb that fails ends the command as it would end by itself; what was found before stands on the page.
#[test]
fn a_failure_keeps_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/mine"), "mine").unwrap();
    let args = [&["--target", "v5e:1x1", "--no-check"], &SIZES[..]].concat();
    let alone = Command::cargo_bin("porter")
        .unwrap()
        .arg("port")
        .arg(fixture("tiny/llama"))
        .args(["--target", "v5e:1x1", "-o"])
        .arg(folder.path().join("out"))
        .args(SIZES)
        .output()
        .unwrap();
    let stderr = String::from_utf8(alone.stderr).unwrap();
    let why = stderr.lines().find_map(|line| line.strip_prefix("error: ")).unwrap();
    let assert = onboard(&fixture("tiny/llama"), &folder, &args).code(alone.status.code().unwrap());
    assert.stdout(contains("every one is understood and used")).stderr(contains(why));
    assert!(page(&folder).contains("LlamaForCausalLM"));
    assert_eq!(fs::read_to_string(folder.path().join("out/mine")).unwrap(), "mine");
}
