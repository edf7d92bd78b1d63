//! `porter port` of ONNX graphs, and the verbs that take what it wrote. What the graphs give was recorded by ONNX
//! Runtime (`ci/onnx/make_fixtures.py`) and by transformers (`ci/onnx/transformers/generate.py`).
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
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/fixtures/onnx").join(path)
}

fn porter(verb: &str, model: &Path, args: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("porter").unwrap();
    command.env("NO_COLOR", "1").arg(verb).arg(model).args(args).assert()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(assert: &Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// A port of the graph at `model` for one v5e.
fn port(folder: &TempDir, model: &Path, more: &[&str]) -> PathBuf {
    let out = folder.path().join("port");
    porter("port", model, &[&["--target", "v5e:1x1", "-o", text(&out)], more].concat()).success();
    out
}

fn manifest(port: &Path) -> Value {
    serde_json::from_slice(&fs::read(port.join("manifest.json")).unwrap()).unwrap()
}

/// Changes a manifest, and says what `porter run` makes of it.
fn changed(port: &Path, change: impl Fn(&mut Value)) -> Assert {
    let mut manifest = manifest(port);
    change(&mut manifest);
    fs::write(port.join("manifest.json"), manifest.to_string()).unwrap();
    porter("run", port, &["--input", text(&fixture("mlp/inputs.safetensors"))])
}

#[test]
fn a_ported_graph_gives_what_onnx_runtime_gives() {
    let folder = tempfile::tempdir().unwrap();
    let reference = fixture("mlp");
    let out =
        port(&folder, &fixture("mlp/model.onnx"), &["--dim", "batch=5", "--reference", text(&reference)]);
    let written = manifest(&out);
    assert_eq!(
        (&written["programs"][0]["phase"], &written["graph"]["dims"]["batch"]),
        (&json!("graph"), &json!(5))
    );
    assert_eq!((&written["check"]["pass"], &written["dtype"]), (&json!(true), &Value::Null));
    assert_eq!(written["rewrites"][0]["reason"], "the graph spells out 1 gelu");
    for data in [reference, fixture("mlp/test_data_set_0")] {
        let report = json(&porter("check", &out, &["--reference", text(&data), "--json"]).success());
        let mut found: Vec<&str> =
            report["comparisons"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        found.sort_unstable();
        assert_eq!((&report["verdict"], &found[..]), (&json!("pass"), &["best", "y"][..]));
    }
    let results = folder.path().join("y.safetensors");
    porter("run", &out, &["--input", text(&fixture("mlp/inputs.safetensors")), "-o", text(&results)])
        .success();
    porter("compare", &results, &[text(&fixture("mlp/reference.safetensors")), "--level", "close"]).success();
    porter("inspect", &out, &[])
        .success()
        .stdout(contains("x float32[5, 12]").and(contains("within budget")));
}

/// The manifest says which rewrites of the TPU applied, and how what they turned is turned back.
#[test]
fn kernels_lie_as_a_tpu_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture("convolutions/model.onnx");
    let reference = fixture("convolutions");
    let out = port(&folder, &model, &["--reference", text(&reference)]);
    let written = manifest(&out);
    let rewrites: Vec<&str> =
        written["rewrites"].as_array().unwrap().iter().map(|r| r["rewrite"].as_str().unwrap()).collect();
    assert_eq!(rewrites, ["conv_kernels_hwio"]);
    assert_eq!(
        written["undo"]["tensors"]["stem.weight"],
        json!({ "dtype": "f32", "shape": [12, 4, 3, 3],
                "expr": { "permute": { "input": { "source": "stem.kernel" }, "dims": [3, 2, 0, 1] } } })
    );
    let bytes = fs::read(out.join("weights.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| tensors.tensor(name).unwrap().shape().to_vec();
    assert_eq!((shape("stem.kernel"), shape("deep.kernel")), (vec![3, 3, 4, 12], vec![3, 3, 1, 12]));
    assert_eq!(shape("point"), [12, 12, 1, 1], "a sum reads it too");
    for data in ["convolutions", "convolutions/test_data_set_0"] {
        porter("check", &out, &["--reference", text(&fixture(data))]).success();
    }
}

#[test]
fn a_graph_without_a_rewrite_keeps_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let out = port(&folder, &fixture("convolutions/model.onnx"), &["--without", "conv_kernels_hwio"]);
    assert_eq!(manifest(&out)["rewrites"], json!([]));
    porter("check", &out, &["--reference", text(&fixture("convolutions"))]).success();
    let args = ["--target", "v5e:1x1", "--without", "kernels", "-o", "nowhere"];
    porter("port", &fixture("convolutions/model.onnx"), &args).code(2).stderr(contains("conv_kernels_hwio"));
}

/// The inputs and outputs in a file that `generate.py` wrote, as a bundle in `folder`.
fn recorded(file: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    let bytes = fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (side, file) in [("input.", "inputs.safetensors"), ("output.", "reference.safetensors")] {
        let own = tensors.tensors().into_iter();
        let own = own.filter_map(|(name, view)| Some((name.strip_prefix(side)?.to_owned(), view)));
        fs::write(folder.join(file), safetensors::serialize(own, None).unwrap()).unwrap();
    }
}

#[test]
fn what_depends_on_weights_alone_is_a_program_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/onnx/transformers/fixtures");
    let out = port(&folder, &fixtures.join("bert.script.onnx"), &[]);
    let phases: Vec<Value> = manifest(&out)["programs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|program| program["phase"].clone())
        .collect();
    assert_eq!(phases, [json!("weights"), json!("graph")]);
    let bundle = folder.path().join("bundle");
    recorded(&fixtures.join("bert.safetensors"), &bundle);
    let report = json(&porter("check", &out, &["--reference", text(&bundle), "--json"]).success());
    assert_eq!(
        (&report["verdict"], &report["comparisons"][0]["name"]),
        (&json!("pass"), &json!("last_hidden_state"))
    );
}

#[test]
fn nothing_is_written_over_budget_unless_it_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data/test_data_set_0");
    fs::create_dir_all(&data).unwrap();
    for name in ["input_0.pb", "output_0.pb", "output_1.pb"] {
        fs::copy(fixture("mlp/test_data_set_0").join(name), data.join(name)).unwrap();
    }
    let path = data.join("output_1.pb");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 8;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let out = folder.path().join("port");
    let (data, place) = (folder.path().join("data"), text(&out).to_owned());
    let args = ["--target", "v5e:1x1", "--dim", "batch=5", "--reference", text(&data), "-o", &place];
    porter("port", &fixture("mlp/model.onnx"), &args).code(1).stderr(contains("nothing is written"));
    assert!(!out.exists());
    porter("port", &fixture("mlp/model.onnx"), &[&args[..], &["--accept"]].concat()).success();
    assert_eq!(manifest(&out)["check"]["accepted"], true);
    porter("check", &out, &["--reference", text(&data)]).code(1).stdout(contains("best"));
}

#[test]
fn an_input_that_shapes_depend_on_keeps_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = fixture("reshape/inputs.safetensors");
    let out = port(&folder, &fixture("reshape/model.onnx"), &["--input", text(&inputs)]);
    assert_eq!(manifest(&out)["graph"]["fixed"]["shape"]["ty"], "i64[2]");
    porter("check", &out, &["--reference", text(&fixture("reshape/test_data_set_0"))]).success();
    // The value that is fixed is another one.
    let bytes = fs::read(&inputs).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let other = 12_i64.to_le_bytes().into_iter().chain(1_i64.to_le_bytes()).collect::<Vec<u8>>();
    let shape = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![2], &other).unwrap();
    let changed = folder.path().join("changed.safetensors");
    let given = [("x", tensors.tensor("x").unwrap()), ("shape", shape)];
    fs::write(&changed, safetensors::serialize(given, None).unwrap()).unwrap();
    porter("run", &out, &["--input", text(&changed)]).code(2).stderr(contains("\"shape\" is another value"));
    porter("run", &out, &["--input", text(&inputs)]).success();
}

#[test]
fn what_a_ported_graph_lacks_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let (mlp, out) = (fixture("mlp/model.onnx"), folder.path().join("port"));
    let refused = |args: &[&str], said: &str| {
        porter("port", &mlp, &[&["-o", text(&out)], args].concat()).code(2).stderr(contains(said));
        assert!(!out.exists());
    };
    refused(&["--target", "v5e:2x2", "--dim", "batch=5"], "no logical axes");
    refused(&["--target", "v5e:1x1"], "\"batch\": give it a size");
    refused(&["--target", "v5e:1x1", "--batch", "2", "--prompt", "8"], "leave --batch, --prompt out");
    let reference = fixture("mlp");
    let four = ["--target", "v5e:1x1", "--dim", "batch=4", "--reference", text(&reference)];
    refused(&four, "is f32[5, 12], the graph takes f32[4, 12]");
    port(&folder, &mlp, &["--dim", "batch=5"]);
    porter("run", &out, &["--prompt", "Hello"]).code(2).stderr(contains("generates no text"));
    porter("check", &out, &["--reference", text(&reference), "--hard"]).code(2);
}

#[test]
fn a_ported_graph_that_does_not_hold_together_is_corrupt() {
    for (change, said) in [
        ((|m| m["programs"][0]["phase"] = "weights".into()) as fn(&mut Value), "one program of phase graph"),
        (|m| m["programs"][0]["inputs"][1]["name"] = "nobody".into(), "the weight \"nobody\" is missing"),
        (|m| m["programs"][0]["sha256"] = "0".into(), "the manifest says 0"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = port(&folder, &fixture("mlp/model.onnx"), &["--dim", "batch=5"]);
        changed(&out, change).code(4).stderr(contains(said));
    }
}

#[test]
fn a_ported_graph_is_compiled_for_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let out = port(&folder, &fixture("mlp/model.onnx"), &["--dim", "batch=5"]);
    let document = json(&porter("compile", &out, &["--executables", "--json"]).success());
    assert_eq!((&document["target"], &document["programs"][0]["fits"]), (&json!("v5e:1x1"), &json!(true)));
    assert!(out.join("executables/graph.v5e-1x1.pjrt").is_file());
}

/// With products in bf16 a graph is held to what their roundings explain, before it is written and after; weights that
/// they alone read take half.
#[test]
fn products_in_bf16_are_held_to_their_roundings() {
    let folder = tempfile::tempdir().unwrap();
    let (model, reference) = (fixture("convolutions/model.onnx"), fixture("convolutions"));
    let against = ["--reference", text(&reference)];
    let out = port(&folder, &model, &[&["--dtype", "bf16"], &against[..]].concat());
    let written = manifest(&out);
    assert_eq!((&written["dtype"], &written["check"]["pass"]), (&json!("bf16"), &json!(true)));
    assert_eq!(written["rewrites"][0]["rewrite"], "bf16_products");
    let report = json(&porter("check", &out, &[&against[..], &["--json"]].concat()).success());
    let compared = report["comparisons"].as_array().unwrap();
    assert_eq!((&report["dtype"], compared.is_empty()), (&json!("bf16"), false));
    for comparison in compared {
        let why = comparison["budget"]["why"].as_str().unwrap();
        assert!(why.contains("roundings to bf16"), "{why}");
        assert!(comparison["max_abs"].as_f64().unwrap() > 1e-5, "it is rounded: {comparison}");
    }
    let weights = fs::read(out.join("weights.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&weights[..1000]).contains("BF16"));
    changed(&out, |manifest| manifest["dtype"] = json!("colour")).code(4).stderr(contains("colour"));
    let other = folder.path().join("other");
    porter("port", &model, &["--target", "v5e:1x1", "-o", text(&other), "--dtype", "f16"])
        .code(2)
        .stderr(contains("take bf16"));
}

/// Roundings excuse floats alone, and nothing where a level is named.
#[test]
fn an_index_of_narrow_products_is_right_or_wrong_and_a_named_level_stays() {
    let folder = tempfile::tempdir().unwrap();
    let reference = fixture("mlp");
    let out = port(&folder, &reference.join("model.onnx"), &["--dim", "batch=5", "--dtype", "bf16"]);
    let against = ["--reference", text(&reference), "--json"];
    let report = json(&porter("check", &out, &against).success());
    let compared = report["comparisons"].as_array().unwrap();
    let budget = |name: &str| {
        let found = compared.iter().find(|comparison| comparison["name"] == name).unwrap();
        found["budget"]["max_abs"].as_f64().unwrap()
    };
    assert_eq!((budget("best") > 0.0, budget("y") > 1e-3), (false, true));
    porter("check", &out, &[&against[..], &["--level", "close"]].concat()).code(1);
}
