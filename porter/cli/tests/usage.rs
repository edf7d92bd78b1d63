//! What the command says and how it ends, without a model or a plugin.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use assert_cmd::Command;
use predicates::{prelude::*, str::contains};
use tempfile::TempDir;

/// `porter` with folders of its own and without Python, so that nothing is found or fetched.
fn porter(home: &TempDir, args: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("porter").unwrap();
    command
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", home.path())
        .env("NO_COLOR", "1")
        .args(args)
        .assert()
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn wrong_usage_is_exit_2_and_prints_nothing_on_stdout() {
    for args in [
        &[][..],
        &["frobnicate"],
        &["run"],
        &["run", "model"],
        &["run", "model", "--prompt", "x", "--input", "f.safetensors"],
        &["run", "model", "--prompt", "x", "--max-tokens", "0"],
        &["run", "model", "--prompt", "x", "--system", "s"],
        &["run", "model", "--prompt", "x", "--output", "f"],
        &["run", "model", "--prompt", "x", "--dtype", "int3"],
        &["check", "model"],
        &["bench", "model", "--tokens", "many"],
        &["inspect", "model", "--quiet", "--verbose"],
        &["plugin", "install"],
    ] {
        let assert = porter(&home(), args).code(2);
        assert.stdout("").stderr(contains("Usage:").or(contains("error:")));
    }
}

#[test]
fn a_plugin_that_nobody_knows_is_wrong_usage() {
    porter(&home(), &["plugin", "install", "gpu"])
        .code(2)
        .stderr(contains("\"gpu\"").and(contains("cpu, cpu-zml, tpu")));
}

#[test]
fn plugins_are_listed_without_one() {
    let assert = porter(&home(), &["plugin", "list"]).success();
    assert.stdout(contains("cpu (default)").and(contains("not installed")).and(contains("\u{1b}").not()));
}

#[test]
fn json_is_one_document_and_the_only_thing_on_stdout() {
    let output = porter(&home(), &["plugin", "list", "--json"]).success().get_output().stdout.clone();
    let plugins: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(plugins[0]["name"], "cpu");
    assert_eq!(plugins[0]["found"], serde_json::json!([]));

    let assert = porter(&home(), &["--json", "plugin", "install", "gpu"]).code(2);
    let error: serde_json::Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(error["error"]["exit"], 2);
    assert.stderr(contains("error: "));
}

#[test]
fn without_a_plugin_and_a_way_to_get_one_the_environment_is_at_fault() {
    let assert = porter(&home(), &["plugin", "info"]).code(5);
    assert.stdout("").stderr(contains("error: ").and(contains("porter plugin install cpu")));
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    let home = home();
    let path = home.path().join("plugin.so");
    std::fs::write(&path, "not a library").unwrap();
    let assert = porter(&home, &["plugin", "info", path.to_str().unwrap()]).code(5);
    assert.stderr(contains("plugin.so").and(contains("not a shared library")));
}

#[test]
fn a_reader_that_goes_away_is_no_error_message() {
    let home = home();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("porter"))
        .args(["completions", "bash"])
        .env("HOME", home.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn help_names_every_verb_and_the_exit_codes() {
    let assert = porter(&home(), &["--help"]).success();
    let verbs = ["plugin", "inspect", "run", "check", "bench"];
    let help = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    for verb in verbs {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} in {help}");
        porter(&home(), &[verb, "--help"]).success().stdout(contains("Usage: porter"));
    }
    assert!(help.contains("Exit codes: 0 done."), "{help}");
    assert!(!help.contains("completions"), "hidden verbs stay hidden");
}

#[test]
fn completions_and_the_manual_know_the_flags() {
    for shell in ["bash", "zsh", "fish"] {
        porter(&home(), &["completions", shell])
            .success()
            .stdout(contains("max-tokens").and(contains("reference")));
    }
    porter(&home(), &["man"])
        .success()
        .stdout(contains(".TH porter").and(contains("porter\\-run").and(contains("max\\-tokens"))));
}
