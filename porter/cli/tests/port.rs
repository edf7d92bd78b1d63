//! `porter port` as a user runs it, and the verbs that take what it wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use serde_json::{Value, json};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny");

fn porter(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("porter").unwrap();
    let output = command.env("NO_COLOR", "1").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// What a command says that must succeed.
fn said(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = porter(arguments);
    assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
    stdout
}

/// What a command says on stderr that must fail with `code`.
fn refused(code: i32, arguments: &[&str]) -> String {
    let (found, stdout, stderr) = porter(arguments);
    assert_eq!(found, code, "{arguments:?}: {stdout}{stderr}");
    stderr
}

fn tiny(name: &str) -> String {
    format!("{TINY}/{name}")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Layers as one loop, over four devices.
const STACKED: &[&str] = &["--target", "v6e:2x2", "--with", "roll_layers"];

/// A port of `model` in `folder`, for prompts of 16 tokens and 64 slots.
fn ported(folder: &Path, model: &str, more: &[&str]) -> PathBuf {
    let out = folder.join("port");
    let sizes = ["--prompt", "16", "--context", "64", "-o", text(&out)];
    said(&[&["port", &tiny(model)], &sizes[..], more].concat());
    out
}

fn manifest(port: &Path) -> Value {
    serde_json::from_slice(&fs::read(port.join("manifest.json")).unwrap()).unwrap()
}

/// Of every architecture of the zoo, in the types in which nothing is rounded: on one device, where weights are
/// fused and transposed, and on four, where they are padded and repeated too.
#[test]
fn the_way_back_gives_every_byte() {
    let models = [
        ("llama", "f32"),
        ("llama_bf16", "bf16"),
        ("llama_f16", "f16"),
        ("llama_yarn", "f32"),
        ("mistral", "f32"),
        ("qwen2", "f32"),
        ("qwen3", "f32"),
        ("qwen3_moe", "f32"),
        ("mixtral", "f32"),
        ("bert", "f32"),
        ("bert_cls", "f32"),
    ];
    for (model, dtype) in models {
        for more in [&["--target", "v6e:1x1"][..], &["--target", "v6e:2x2"], STACKED] {
            let folder = tempfile::tempdir().unwrap();
            let port = ported(folder.path(), model, &[more, &["--dtype", dtype]].concat());
            let back = folder.path().join("back");
            said(&["convert", text(&port), "-o", text(&back)]);
            let read = |path: &Path| fs::read(path.join("model.safetensors")).unwrap();
            assert!(read(&back) == read(Path::new(&tiny(model))), "{model} by way of {more:?}");
        }
    }
}

#[test]
fn a_port_says_what_the_model_says() {
    let folder = tempfile::tempdir().unwrap();
    let port = ported(folder.path(), "llama", &["--target", "v6e:1x1", "--dtype", "f32"]);
    let run = |model: &str| said(&["run", model, "--prompt", "Hello there", "--max-tokens", "16", "-q"]);
    assert_eq!(run(text(&port)), run(&tiny("llama")));
    let error = refused(2, &["run", text(&port), "--prompt", "Hello", "--max-tokens", "100"]);
    assert!(error.contains("the port has decode_1_64, prefill_1x16_64"), "{error}");
    refused(2, &["run", text(&port), "--input", "x.safetensors"]);
}

/// A layer's part of each weight and state is on the device that has it where layers are apart.
#[test]
fn stacked_layers_lie_over_the_mesh_as_they_do_apart() {
    let folder = tempfile::tempdir().unwrap();
    let port = ported(folder.path(), "llama", STACKED);
    let program = fs::read_to_string(port.join("programs/decode_1_64.mlir")).unwrap();
    let lies = |name: &str| {
        let line = program.lines().find(|line| line.contains(&format!("loc(\"{name}\")")));
        line.unwrap().split("#sdy.sharding<@mesh, ").nth(1).unwrap().split('>').next().unwrap()
    };
    assert_eq!(lies("cache.*.key"), r#"[{}, {}, {"tensor"}, {}, {}]"#);
    assert_eq!(lies("model.layers.*.mlp.up_proj.kernel"), r#"[{}, {}, {"tensor"}]"#);
    assert_eq!(lies("model.layers.*.mlp.down_proj.kernel"), r#"[{}, {"tensor"}, {}]"#);
    assert!(program.contains("stablehlo.while"), "{program}");
}

#[test]
fn a_port_is_inspected_by_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let port = ported(folder.path(), "llama", &["--target", "v6e:2x2"]);
    let seen: Value = serde_json::from_str(&said(&["inspect", text(&port), "--map", "--json"])).unwrap();
    assert_eq!((&seen["target"], &seen["mesh"]), (&json!("v6e:2x2"), &json!([["tensor", 4]])));
    assert!(seen["undo"]["lost"].get("lm_head.weight").is_some(), "the source is f32, the port bf16");
    // Padded rows of the embedding are cut off.
    let port = ported(&folder.path().join("f32"), "llama", &["--target", "v6e:2x2", "--dtype", "f32"]);
    let seen = said(&["inspect", text(&port), "--map"]);
    let row = seen.lines().find(|line| line.starts_with("model.embed_tokens.weight")).unwrap();
    assert!(row.contains("[997, 96]") && row.contains("slice"), "{row}");
    assert!(seen.contains("porter convert gives every tensor of the source back"), "{seen}");
}

#[test]
fn a_port_is_checked_by_its_own_programs_on_as_many_devices() {
    for (model, target, more) in [
        ("llama", "v6e:1x1", &["--dtype", "f32"][..]),
        ("qwen3", "v6e:2x4", &["--dtype", "f32", "--batch", "4"]),
        (
            "mistral",
            "v5p:2x2x1",
            &["--dtype", "f32", "--mesh", "fsdp=4", "--rules", "training", "--batch", "4"],
        ),
        (
            "mistral",
            "v5p:2x2x1",
            &["--dtype", "f32", "--mesh", "data=2,tensor=2", "--batch", "2", "--with", "roll_layers"],
        ),
        ("bert", "v6e:2x2", &["--dtype", "f32"]),
        ("llama", "v6e:2x2", &[]),
        ("qwen3_moe", "v6e:2x2", &["--dtype", "f32", "--mesh", "expert=4"]),
        ("llama", "v6e:1x1", &["--dtype", "f32", "--quantize", "int8"]),
        ("qwen3", "v6e:2x2", &["--dtype", "f32", "--quantize", "int8"]),
        ("mixtral", "v6e:2x2", &["--dtype", "f32", "--quantize", "int8"]),
        ("mixtral", "v6e:2x2", &["--dtype", "f32", "--mesh", "expert=2,tensor=2"]),
        ("llama", "v6e:1x1", &["--dtype", "f32", "--quantize", "int4"]),
        ("qwen3", "v6e:2x2", &["--quantize", "int4"]),
        ("llama", "v6e:1x1", &["--dtype", "f32", "--quantize", "w8a8"]),
        ("llama", "v6e:2x2", &["--dtype", "f32", "--quantize", "w8a8"]),
        ("llama", "7x:1x1x1", &["--dtype", "f32", "--quantize", "fp8", "--mesh", "tensor=2"]),
        ("llama", "v6e:2x2", &["--dtype", "f32", "--cache-dtype", "fp8"]),
        ("qwen3", "v6e:1x1", &["--quantize", "int8", "--cache-dtype", "fp8"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let reference = tiny(model);
        let more = [&["--target", target], more, &["--reference", &reference]].concat();
        let port = ported(folder.path(), model, &more);
        let check = manifest(&port)["check"].clone();
        assert_eq!((&check["pass"], &check["accepted"]), (&json!(true), &json!(false)), "{model} {target}");
        let report = said(&["check", text(&port), "--reference", &tiny(model), "--json"]);
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["verdict"], "pass");
        let compared = report["comparisons"].as_array().unwrap().iter();
        let compared: Vec<&str> = compared.map(|c| c["name"].as_str().unwrap()).collect();
        let logits = if model == "bert" { &["logits", "padded.logits"][..] } else { &["generated_logits"] };
        assert!(logits.iter().all(|name| compared.contains(name)), "{compared:?}");
    }
}

#[test]
fn nothing_is_written_over_budget_unless_it_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("port");
    let sizes = ["--prompt", "16", "--context", "64", "-o", text(&out), "--dtype", "f32"];
    let (llama, other) = (tiny("llama"), tiny("qwen3"));
    let arguments = [&["port", &llama, "--target", "v6e:1x1", "--reference", &other], &sizes[..]].concat();
    let error = refused(1, &arguments);
    assert!(error.contains("nothing is written"), "{error}");
    assert!(!out.exists());
    said(&[&arguments[..], &["--accept"]].concat());
    let check = manifest(&out)["check"].clone();
    assert_eq!((&check["pass"], &check["accepted"]), (&json!(false), &json!(true)));
    assert!(check["outputs"][0]["max_abs"].as_f64() > check["outputs"][0]["budget"].as_f64());
}

#[test]
fn what_was_rounded_is_not_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let port = ported(folder.path(), "mistral", &["--target", "v6e:1x1"]);
    let back = folder.path().join("back");
    let error = refused(3, &["convert", text(&port), "-o", text(&back)]);
    assert!(error.contains("model.layers.0.self_attn.q_proj.weight: casting f32 to bf16 rounds"), "{error}");
    assert!(!back.exists());
    let error = refused(2, &["convert", text(&port), "-o", text(&back), "--to", "gguf"]);
    assert!(error.contains("is a port"), "{error}");
}

#[test]
fn a_port_that_does_not_hold_together_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let port = ported(folder.path(), "llama", &["--target", "v6e:1x1"]);
    let run = ["run", text(&port), "--prompt", "Hello"];
    let whole = fs::read_to_string(port.join("manifest.json")).unwrap();
    let changed = |change: &dyn Fn(&mut Value), said: &str| {
        let mut manifest: Value = serde_json::from_str(&whole).unwrap();
        change(&mut manifest);
        fs::write(port.join("manifest.json"), manifest.to_string()).unwrap();
        let error = refused(4, &run);
        assert!(error.contains(said), "{error}");
    };
    changed(&|m| m["schema"] = "porter.port/9".into(), "this version reads \"porter.port/1\"");
    changed(&|m| m["programs"][0]["name"] = "../../etc/passwd".into(), "is no name of a program");
    changed(&|m| m["programs"][0]["sha256"] = "0".into(), "the manifest says 0");
    changed(
        &|m| m["programs"][0]["inputs"][0]["shape"] = json!([1_u64 << 40, 1_u64 << 40]),
        "no memory holds",
    );
    changed(&|m| m["programs"][0]["inputs"][0]["sharding"] = json!([["x"]]), "there is no mesh");
    changed(&|m| m["mesh"] = json!([["x", 0]]), "the mesh x=0 is none of the 1 devices of v6e:1x1");
    changed(&|m| m["mesh"] = json!([["x", 2]]), "the mesh x=2 is none");
    changed(&|m| m["programs"][0]["inputs"][3]["name"] = "nobody".into(), "the weight \"nobody\" is missing");
    changed(&|m| m["programs"] = json!([]), "it has no programs");
    fs::write(port.join("manifest.json"), &whole).unwrap();
    let program = port.join("programs/decode_1_64.mlir");
    fs::write(&program, fs::read_to_string(&program).unwrap() + " ").unwrap();
    assert!(refused(4, &run).contains("port the model again"));
}

#[test]
fn a_folder_that_holds_something_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.txt"), "x").unwrap();
    let error = refused(5, &["port", &tiny("llama"), "--target", "v6e:1x1", "-o", text(folder.path())]);
    assert!(error.contains("mine.txt"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    refused(2, &["port", &tiny("llama"), "--target", "v6e:3x3", "-o", "x"]);
    let error = refused(
        1,
        &[
            "port",
            &tiny("llama"),
            "--target",
            "v6e:2x2",
            "--mesh",
            "data=4",
            "-o",
            text(&folder.path().join("x")),
        ],
    );
    assert!(error.contains("activation_batch: 1 do not divide over data=4"), "{error}");
}

/// A policy of precision: all linear layers in 8 bits, but for those that are named.
#[test]
fn weights_that_are_kept_keep_their_type() {
    let folder = tempfile::tempdir().unwrap();
    let narrow =
        ["--target", "v6e:1x1", "--quantize", "int8", "--keep", "*.layers.0.*", "--keep", "*.o_proj.*"];
    let out = ported(folder.path(), "llama", &narrow);
    assert_eq!(manifest(&out)["keep"], json!(["*.layers.0.*", "*.o_proj.*"]));
    let file = fs::read(out.join("weights.safetensors")).unwrap();
    let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let products = header
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.contains("proj") && !name.contains("scale"));
    for (name, tensor) in products {
        let kept = name.contains("layers.0.") || name.contains("o_proj");
        assert_eq!(tensor["dtype"], if kept { "BF16" } else { "I8" }, "{name}");
    }
    said(&["check", text(&out), "--reference", &tiny("llama")]);

    let elsewhere = folder.path().join("elsewhere");
    let misspelt =
        ["--target", "v6e:1x1", "--quantize", "int8", "--keep", "*.layer.0.*", "-o", text(&elsewhere)];
    let refusal = refused(2, &[&["port", &tiny("llama")], &misspelt[..]].concat());
    assert!(refusal.contains("*.layer.0.*") && !elsewhere.exists(), "{refusal}");
}
