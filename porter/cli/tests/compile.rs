//! `porter compile` as a user runs it: with libtpu, and without a TPU.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::{Command, assert::Assert};
use predicates::{prelude::*, str::contains};
use serde_json::Value;

fn tiny(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/fixtures/tiny").join(model)
}

fn compile(model: &Path, args: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("porter").unwrap();
    command.env("NO_COLOR", "1").arg("compile").arg(model).args(args).assert()
}

fn json(model: &Path, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let output = compile(model, &args).success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

/// A folder with the configuration of a model and nothing else.
fn config_alone(model: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(tiny(model).join("config.json")).unwrap()).unwrap();
    change(&mut config);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

#[test]
fn a_config_alone_is_compiled_into_decode_and_prefill() {
    let folder = config_alone("llama", |_| {});
    let args = ["--target", "v5e:1x1", "--batch", "2", "--prompt", "64", "--context", "128"];
    for model in [folder.path().to_owned(), folder.path().join("config.json")] {
        let document = json(&model, &args);
        assert_eq!(document["target"], "v5e:1x1");
        assert_eq!(document["dtype"], "bf16");
        let programs = document["programs"].as_array().unwrap();
        let names: Vec<&Value> = programs.iter().map(|program| &program["program"]).collect();
        assert_eq!(names, ["decode_2_128", "prefill_2x64_128"]);
        for program in programs {
            assert_eq!(program["fits"], true);
            // 1.1 MB of weights and cache, and v5e's 15.75 GiB.
            assert!((1_000_000..3_000_000).contains(&program["peak"].as_i64().unwrap()), "{program}");
            assert!(program["available"].as_u64().unwrap() > 15 << 30);
            let estimate = &program["estimate"];
            assert!(estimate["seconds"].as_f64().unwrap() > 1e-6);
            assert_eq!(estimate["notes"][0], "compiler estimate, not checked on hardware");
            let sources = estimate["by_source"].as_array().unwrap().iter();
            let sources: Vec<&str> = sources.map(|row| row["name"].as_str().unwrap()).collect();
            assert!(sources.contains(&"model.layers.*.mlp.down_proj"), "{sources:?}");
        }
    }
}

#[test]
fn an_encoder_is_one_program_and_the_page_is_self_contained() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    compile(&tiny("bert"), &["--target", "v6e:1x1", "--prompt", "32", "--html", page.to_str().unwrap()])
        .success()
        .stdout(contains("forward_1x32"))
        .stdout(contains("compiler estimate, not checked on hardware"));
    let html = fs::read_to_string(page).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("<svg") && html.contains("forward_1x32"));
    assert!(!html.contains("http") && !html.contains("<script"));
}

/// Sizes that divide over four devices.
fn divisible(config: &mut Value) {
    let sizes = [
        ("vocab_size", 512),
        ("hidden_size", 256),
        ("intermediate_size", 512),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 4),
        ("head_dim", 64),
    ];
    for (key, size) in sizes {
        config[key] = size.into();
    }
}

#[test]
fn a_target_of_several_devices_shares_the_model_and_the_compiler_adds_no_collective() {
    let folder = config_alone("llama", divisible);
    let args = ["--batch", "2", "--prompt", "64", "--context", "128", "--target", "v6e:2x2"];
    let document = json(folder.path(), &args);
    assert_eq!(document["mesh"], "tensor=4");
    assert_eq!(document["notes"].as_array().unwrap(), &[] as &[Value], "{}", document["notes"]);
    for program in document["programs"].as_array().unwrap() {
        // Two a layer of three, and the embedding's.
        assert_eq!(program["predicted"], serde_json::json!({ "all-reduce": 7 }));
        assert_eq!(program["estimate"]["collectives"][0]["count"], 7.0);
        assert!(program["estimate"]["ici_seconds"].as_f64().unwrap() > 0.0);
    }
    let args = [&args[..], &["--mesh", "data=2,tensor=2"]].concat();
    assert_eq!(json(folder.path(), &args)["mesh"], "data=2,tensor=2");
}

#[test]
fn a_model_that_does_not_divide_is_a_no_with_its_sizes() {
    compile(&tiny("llama"), &["--target", "v6e:2x2", "--mesh", "data=4"])
        .code(1)
        .stderr(contains("activation_batch: 1 do not divide over data=4"));
    // What can be padded is.
    let document = json(&tiny("llama"), &["--target", "v6e:2x2", "--context", "64"]);
    let rewrites = document["rewrites"].as_array().unwrap().iter();
    let rewrites: Vec<&str> = rewrites.map(|r| r["rewrite"].as_str().unwrap()).collect();
    assert_eq!(rewrites[..3], ["pad_heads", "pad_vocab", "shard"], "{rewrites:?}");
    // Two a layer of three, and the embedding's: padding is masked, and what is summed over it is still a weight.
    for program in document["programs"].as_array().unwrap() {
        assert_eq!(program["predicted"], serde_json::json!({ "all-reduce": 7 }));
    }
    let experts = ["--target", "v6e:2x2", "--mesh", "expert=4", "--context", "64"];
    let document = json(&tiny("mixtral"), &experts);
    let reasons = document["rewrites"].as_array().unwrap().iter();
    let reason = reasons.filter(|row| row["rewrite"] == "pad_experts").map(|row| row["reason"].clone());
    assert_eq!(reason.collect::<Vec<_>>(), ["5 experts do not divide over 4 devices: 8"]);
    compile(&tiny("llama"), &["--target", "v6e:2x2", "--mesh", "tensor=2"])
        .code(2)
        .stderr(contains("the mesh tensor=2 has 2 devices, there are 4"));
}

#[test]
fn what_does_not_fit_is_a_no_with_both_figures() {
    // 40 GB of embeddings on a chip of 16.
    let folder = config_alone("llama", |config| config["vocab_size"] = 200_000_000.into());
    let args = ["--target", "v5e:1x1", "--json"];
    let assert = compile(folder.path(), &args).code(1);
    let document: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    for program in document["programs"].as_array().unwrap() {
        assert_eq!(program["fits"], false);
        assert!(program["needed"].as_u64().unwrap() > 38_000_000_000, "{program}");
        assert_eq!(program["available"], 16_911_433_728_u64);
        assert!(program["error"].as_str().unwrap().contains("GiB of hbm, a device has 15.75 GiB"));
    }
}

#[test]
fn wrong_targets_and_sizes_are_wrong_usage() {
    let llama = tiny("llama");
    let refused = |args: &[&str], said: &str| {
        compile(&llama, args).code(2).stdout("").stderr(contains(said));
    };
    refused(&["--target", "v6e:3x3"], "near ones: v6e:2x4");
    refused(&["--target", "trillium:2x2"], "did you mean v6e?");
    refused(&["--target", "v5e:16x32"], "v5e:16x16");
    refused(&["--target", ""], "expected: a chip and a shape");
    refused(&[], "--target");
    refused(&["--target", "v5e:1x1", "--context", "4096"], "exceeds the 128 positions");
    refused(&["--target", "v5e:1x1", "--prompt", "100", "--context", "64"], "does not fit a context of 64");
}

#[test]
fn products_that_a_chip_has_no_units_for_are_wrong_usage() {
    let refused = |target: &str, form: &str, numbers: &str, instead: &str| {
        let refused = compile(&tiny("llama"), &["--target", target, "--quantize", form]);
        let numbers = contains(format!("no units for products of 8-bit {numbers}"));
        refused.code(2).stderr(numbers.and(contains(format!("take {instead}"))));
    };
    refused("7x:1x1x1", "w8a8", "integers", "fp8");
    refused("v5e:1x1", "fp8", "floats", "w8a8");
}

#[test]
fn a_rewrite_is_left_out_or_added_by_its_name() {
    let args = ["--target", "v6e:1x1", "--batch", "2", "--prompt", "16", "--context", "32"];
    let rewrites = |args: &[&str]| {
        let document = json(&tiny("llama"), args);
        let names = document["rewrites"].as_array().unwrap().iter().map(|row| row["rewrite"].clone());
        names.collect::<Vec<_>>()
    };
    let without = |name| rewrites(&[&args[..], &["--without", name]].concat());
    let stacked = rewrites(&[&args[..], &["--with", "roll_layers"]].concat());
    assert_eq!(stacked, ["fuse_parallel_dots", "weights_in_out", "roll_layers"]);
    assert_eq!(rewrites(&args), ["fuse_parallel_dots", "weights_in_out"]);
    // Layers whose weights are gathered are a loop without being asked for.
    let gathered = ["--target", "v6e:2x2", "--mesh", "fsdp=4", "--batch", "4"];
    let gathered = rewrites(&[&gathered[..], &args[4..]].concat());
    assert_eq!(gathered, ["shard", "weights_in_out", "roll_layers"]);
    assert_eq!(without("fuse_parallel_dots"), ["weights_in_out"]);
    assert!(without("all").is_empty());
    let unknown = compile(&tiny("llama"), &[&args[..], &["--without", "magic"]].concat());
    unknown.code(2).stderr(contains("fuse_parallel_dots"));
    let unknown = compile(&tiny("llama"), &[&args[..], &["--with", "magic"]].concat());
    unknown.code(2).stderr(contains("expected one of roll_layers"));
}

#[test]
fn a_compiler_that_cannot_is_the_environment() {
    let llama = tiny("llama");
    let cpu = compile(&llama, &["--target", "v5e:1x1", "--plugin", "/nonexistent/libtpu.so"]);
    cpu.code(5).stdout(contains("/nonexistent/libtpu.so").and(contains("failed")));
    let mut offline = Command::cargo_bin("porter").unwrap();
    let empty = tempfile::tempdir().unwrap();
    offline
        .env("PORTER_PLUGIN_DIR", empty.path())
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", "/nonexistent")
        .env("PYTHONPATH", "")
        .args(["compile", llama.to_str().unwrap(), "--target", "v5e:1x1"])
        .assert()
        .code(5)
        .stderr(contains("install the tpu plugin").and(contains("porter plugin install tpu")));
}

/// libtpu 0.0.52 checks that a bound does not overflow, and aborts where it does.
#[test]
fn a_compiler_that_aborts_takes_nothing_with_it() {
    let args = ["--target", "v5e:1x1", "--batch", "99999999999", "--context", "128"];
    let output = compile(&tiny("llama"), &args).code(5);
    output.stdout(contains("decode_99999999999_128").and(contains("SIGABRT")).and(contains("overflow")));
}

#[test]
fn a_worker_without_a_request_says_so() {
    let mut worker = Command::cargo_bin("porter").unwrap();
    worker.arg("aot-worker").write_stdin("hello").assert().code(5).stderr(contains("request"));
}
