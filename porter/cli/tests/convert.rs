//! `porter convert` as a user runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::Path};

use assert_cmd::Command;
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures");

fn porter(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("porter").unwrap().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Runs a command that must succeed, and gives its document.
fn json(arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = porter(&[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn tiny(name: &str) -> String {
    format!("{FIXTURES}/tiny/{name}")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The tensors of two folders, by `porter compare`.
fn assert_equal(ours: &Path, reference: &str) {
    let ours = ours.join("model.safetensors");
    let (code, stdout, stderr) =
        porter(&["compare", text(&ours), &format!("{reference}/model.safetensors"), "--level", "exact"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
}

#[test]
fn a_folder_becomes_a_folder_that_is_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let document = json(&["convert", &tiny("llama"), "-o", text(&out), "--verify"]);
    assert_eq!(document["verified"], json!(true));
    assert_equal(&out, &tiny("llama"));
    let (code, stdout, stderr) = porter(&["check", text(&out), "--reference", &tiny("llama")]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let sums = Command::new("sha256sum").arg(out.join("model.safetensors")).output().unwrap();
    let sum = document["files"]["model.safetensors"]["sha256"].as_str().unwrap();
    assert!(String::from_utf8(sums.stdout).unwrap().starts_with(sum));
}

#[test]
fn pytorch_and_shards_become_one_file_and_shards_again() {
    let folder = tempfile::tempdir().unwrap();
    let (one, many) = (folder.path().join("one"), folder.path().join("many"));
    json(&["convert", &format!("{FIXTURES}/pytorch_model/legacy_sharded"), "-o", text(&one)]);
    assert_equal(&one, &tiny("llama"));
    let document = json(&["convert", text(&one), "-o", text(&many), "--max-shard-size", "100kB"]);
    assert!(document["files"].as_object().unwrap().len() > 4);
    let back = folder.path().join("back");
    json(&["convert", text(&many), "-o", text(&back), "--max-shard-size", "none"]);
    assert_eq!(
        fs::read(one.join("model.safetensors")).unwrap(),
        fs::read(back.join("model.safetensors")).unwrap()
    );
}

#[test]
fn bf16_and_int8_are_still_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (bf16, int8) = (folder.path().join("bf16"), folder.path().join("int8"));
    json(&["convert", &tiny("llama"), "-o", text(&bf16), "--dtype", "bf16"]);
    let config: Value = serde_json::from_slice(&fs::read(bf16.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["dtype"], json!("bfloat16"));
    json(&["convert", &tiny("llama"), "-o", text(&int8), "--quantize", "int8"]);
    let (code, stdout, stderr) = porter(&["inspect", text(&int8)]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("every tensor is understood and used"), "{stdout}");
    let back = folder.path().join("back");
    json(&["convert", text(&int8), "-o", text(&back), "--dtype", "f32"]);
    let (ours, reference) =
        (f32s(&back.join("model.safetensors")), f32s(tiny("llama/model.safetensors").as_ref()));
    assert_eq!(ours.keys().collect::<Vec<_>>(), reference.keys().collect::<Vec<_>>());
    for (name, (shape, expected)) in &reference {
        let found = &ours[name].1;
        if !name.contains("_proj") {
            assert_eq!(found, expected, "{name}");
            continue;
        }
        for (found, expected) in found.chunks(shape[1]).zip(expected.chunks(shape[1])) {
            // Half a step of the row, and what f32 rounds of 127 steps.
            let bound = expected.iter().fold(0_f32, |most, x| most.max(x.abs())) / 127.5 * 0.5 * 1.0001;
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= bound), "{name}");
        }
        assert_ne!(found, expected, "{name}");
    }
}

/// The tensors of a file of f32.
fn f32s(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let all = tensors.iter().map(|(name, view)| {
        let numbers = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
        (name.to_owned(), (view.shape().to_vec(), numbers.collect()))
    });
    all.collect()
}

#[test]
fn there_and_back_through_gguf_every_byte_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let models =
        [("llama", "f32"), ("llama_f16", "f16"), ("llama_bf16", "bf16"), ("qwen2", "f32"), ("qwen3", "f32")];
    for (name, dtype) in models {
        let (gguf, back) = (folder.path().join(format!("{name}.gguf")), folder.path().join(name));
        json(&["convert", &tiny(name), "-o", text(&gguf), "--verify"]);
        json(&["convert", text(&gguf), "-o", text(&back), "--dtype", dtype]);
        assert_equal(&back, &tiny(name));
        let (code, stdout, stderr) = porter(&["check", text(&back), "--reference", &tiny(name)]);
        assert_eq!(code, 0, "{name}: {stdout}{stderr}");
    }
    // A window that GGUF has no key for would be lost.
    let (code, _, stderr) = porter(&["convert", &tiny("mistral"), "-o", text(&folder.path().join("m.gguf"))]);
    assert!(code == 3 && stderr.contains("sliding_window: found 5"), "{stderr}");
}

#[test]
fn there_and_back_through_maxtext_every_byte_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (name, dtype) in [("llama_bf16", "bf16"), ("qwen2", "f32"), ("qwen3", "f32")] {
        for scan in ["true", "false"] {
            let (there, back) =
                (folder.path().join(format!("{name}{scan}")), folder.path().join(format!("{name}-{scan}")));
            json(&[
                "convert",
                &tiny(name),
                "-o",
                text(&there),
                "--to",
                "maxtext",
                "--scan-layers",
                scan,
                "--verify",
            ]);
            json(&["convert", text(&there), "-o", text(&back), "--dtype", dtype]);
            assert_equal(&back, &tiny(name));
            let (code, stdout, stderr) = porter(&["inspect", text(&there)]);
            assert!(code == 0 && stdout.contains("every tensor is understood and used"), "{stdout}{stderr}");
        }
    }
    let out = folder.path().join("out");
    let convert = ["convert", &tiny("mistral_window"), "-o", text(&out), "--to", "maxtext"];
    let (code, _, stderr) = porter(&convert);
    assert!(code == 3 && stderr.contains("--accept") && !out.exists(), "{stderr}");
    assert_eq!(porter(&[&convert[..], &["--accept"]].concat()).0, 0);
    assert_eq!(
        porter(&["convert", &tiny("bert"), "-o", text(&folder.path().join("b")), "--to", "maxtext"]).0,
        3
    );
}

#[test]
fn shares_are_closed_by_merge_index() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, whole) = (folder.path().join("shared"), folder.path().join("whole"));
    let convert = |out: &Path, more: &[&str]| {
        porter(&[&["convert", &tiny("llama"), "-o", text(out), "--max-shard-size", "100kB"], more].concat())
    };
    assert_eq!(convert(&shared, &["--shard-of", "1/2"]).0, 0);
    let (code, _, stderr) = porter(&["merge-index", text(&shared)]);
    assert!(code == 1 && stderr.contains("the share was not begun"), "{stderr}");
    assert_eq!(convert(&shared, &["--shard-of", "2/2"]).0, 0);
    assert_eq!(porter(&["merge-index", text(&shared)]).0, 0);
    assert_eq!(convert(&whole, &[]).0, 0);
    for entry in fs::read_dir(&whole).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "porter-convert.json" {
            assert_eq!(
                fs::read(whole.join(&name)).unwrap(),
                fs::read(shared.join(&name)).unwrap(),
                "{name:?}"
            );
        }
    }
    assert_eq!(convert(&whole, &["--shard-of", "3/2"]).0, 2);
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let refused = |arguments: &[&str], code: i32, part: &str| {
        let (found, stdout, stderr) = porter(&[&["convert"], arguments].concat());
        assert_eq!(found, code, "{arguments:?}: {stdout}{stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    };
    let llama = tiny("llama");
    refused(&[&llama, "-o", &llama], 5, "is not empty and does not belong to this conversion");
    refused(&[&llama, "-o", text(&out), "--dtype", "f3"], 2, "invalid value");
    refused(&[&llama, "-o", text(&out), "--memory", "1MiB"], 2, "are needed");
    refused(&[&llama, "-o", text(&out), "--max-shard-size", "0"], 2, "more than nothing");
    refused(&[&llama, "-o", "/proc/porter"], 5, "cannot write /proc/porter");
    refused(&[&format!("{FIXTURES}/bad/evil_os_system.pt"), "-o", text(&out)], 3, "");
    assert!(!out.exists() || fs::read_dir(&out).unwrap().next().is_none());
}

#[test]
fn a_tie_that_no_longer_ties_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (folder.path().join("model"), folder.path().join("out"));
    fs::create_dir(&model).unwrap();
    fs::copy(format!("{}/model.safetensors", tiny("llama")), model.join("model.safetensors")).unwrap();
    let config = fs::read_to_string(format!("{}/config.json", tiny("llama"))).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["tie_word_embeddings"] = json!(true);
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    let (code, _, stderr) = porter(&["convert", text(&model), "-o", text(&out)]);
    assert!(code == 3 && stderr.contains("\"lm_head.weight\" to \"model.embed_tokens.weight\""), "{stderr}");
    assert!(!out.exists());
}

#[test]
fn tensors_are_renamed_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let (out, back) = (folder.path().join("out"), folder.path().join("back"));
    let there =
        ["--rename", "model.layers.{n}.{rest..}=decoder.{n}.{rest..}", "--rename", "lm_head.{x}=head.{x}"];
    json(&[&["convert", &tiny("llama"), "-o", text(&out)], &there[..]].concat());
    let (code, stdout, stderr) = porter(&["inspect", text(&out)]);
    assert!(code != 0 && stdout.contains("decoder.0.input_layernorm.weight"), "{code}: {stdout}{stderr}");
    let again =
        ["--rename", "decoder.{n}.{rest..}=model.layers.{n}.{rest..}", "--rename", "head.{x}=lm_head.{x}"];
    json(&[&["convert", text(&out), "-o", text(&back)], &again[..]].concat());
    assert_equal(&back, &tiny("llama"));
}

#[test]
fn rules_that_match_nothing_and_names_given_twice_are_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let rules =
        ["--rename", "{x..}.gamma={x..}.weight", "--rename", "model.layers.{n}.{rest..}=layers.{rest..}"];
    let (code, _, stderr) = porter(&[&["convert", &tiny("llama"), "-o", text(&out)], &rules[..]].concat());
    assert_eq!(code, 2, "{stderr}");
    for said in
        ["{x..}.gamma={x..}.weight: no tensor", "layers.mlp.up_proj.weight", "layers.input_layernorm.weight"]
    {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    assert!(!out.exists());
    let gguf = folder.path().join("m.gguf");
    assert_eq!(porter(&["convert", &tiny("llama"), "-o", text(&gguf), "--rename", "{x..}=a.{x..}"]).0, 2);
}
