//! ONNX files as a user gives them. The fixtures and what ONNX Runtime makes of them are written by
//! `ci/onnx/make_fixtures.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::{Command, assert::Assert};
use predicates::{prelude::*, str::contains};
use serde_json::Value;

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

#[test]
fn inspect_tells_interface_operators_weights_and_open_dimensions() {
    let document = json(&porter("inspect", &fixture("mlp/model.onnx"), &["--json"]).success());
    assert_eq!(document["opsets"][0], serde_json::json!({"domain": "", "version": 20}));
    assert_eq!(document["inputs"][0], serde_json::json!({"name": "x", "type": "FLOAT[batch, 12]"}));
    assert_eq!(document["outputs"][1]["type"], "INT64[batch]");
    assert_eq!(document["dims"], serde_json::json!(["batch"]));
    // 31 x 9 and 9 initial values, and 12 x 31 in a Constant node, all f32.
    assert_eq!((&document["parameters"], &document["bytes"]), (&660.into(), &2640.into()));
    let names: Vec<&str> =
        document["operators"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ArgMax", "Constant", "Gelu", "Gemm", "MatMul"]);
    porter("inspect", &fixture("mlp/model.onnx"), &[])
        .success()
        .stdout(contains("open dimensions: --dim batch=N"));
}

#[test]
fn inspect_recognises_what_an_exporter_wrote_out() {
    let bert = fixture("../../onnx/transformers/fixtures/bert.script.onnx");
    let document = json(&porter("inspect", &bert, &["--json"]).success());
    let recognised = &document["recognised"];
    assert_eq!((&recognised["attention"], &recognised["layer_norm"]), (&2.into(), &5.into()), "{recognised}");
    porter("inspect", &bert, &[]).success().stdout(contains("recognised: 2 attention"));
}

#[test]
fn inspect_lists_everything_that_is_not_understood() {
    let document = json(&porter("inspect", &fixture("unsupported.onnx"), &["--json"]).code(3));
    let problems: Vec<&str> =
        document["problems"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    let expected = [
        "\"first\" (Frobnicate): no lowering for ai.onnx.Frobnicate",
        "\"soft\" (Softmax): attributes sharpness",
        "\"last\" (Defrost): no lowering for org.example.Defrost",
    ];
    for expected in expected {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected} in {problems:?}");
    }
    let unknown: Vec<&Value> =
        document["operators"].as_array().unwrap().iter().filter(|o| o["lowered"] == false).collect();
    assert_eq!(unknown.len(), 2, "{unknown:?}");
    // With every size given, what depends on computed values is a problem too.
    porter("inspect", &fixture("unsupported.onnx"), &["--dim", "rows=3"]).code(3).stdout(contains("NonZero"));
}

#[test]
fn run_gives_what_onnx_runtime_gives() {
    let folder = tempfile::tempdir().unwrap();
    for model in ["mlp", "reshape"] {
        let output = folder.path().join(format!("{model}.safetensors"));
        let inputs = fixture(model).join("inputs.safetensors");
        porter("run", &fixture(model).join("model.onnx"), &["--input", text(&inputs), "-o", text(&output)])
            .success();
        let reference = fixture(model).join("reference.safetensors");
        porter("compare", &output, &[text(&reference), "--level", "close"]).success();
    }
}

#[test]
fn check_reads_test_data_and_bundles() {
    for model in ["mlp", "reshape"] {
        for reference in [fixture(model), fixture(model).join("test_data_set_0")] {
            let args = ["--reference", text(&reference), "--json"];
            let report = json(&porter("check", &fixture(model).join("model.onnx"), &args).success());
            let found = report["comparisons"].as_array().unwrap();
            assert_eq!(
                (report["verdict"].as_str(), found.len()),
                (Some("pass"), if model == "mlp" { 2 } else { 1 })
            );
        }
    }
}

#[test]
fn check_says_no_where_one_number_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("test_data_set_0");
    fs::create_dir(&data).unwrap();
    for name in ["input_0.pb", "output_0.pb", "output_1.pb"] {
        fs::copy(fixture("mlp/test_data_set_0").join(name), data.join(name)).unwrap();
    }
    porter("check", &fixture("mlp/model.onnx"), &["--reference", text(folder.path())]).success();
    // The last element of y, in the raw bytes at the end of the file or before the name.
    let path = data.join("output_1.pb");
    let mut bytes = fs::read(&path).unwrap();
    let raw = bytes.len() - 8;
    bytes[raw] ^= 1;
    fs::write(&path, bytes).unwrap();
    porter("check", &fixture("mlp/model.onnx"), &["--reference", text(folder.path())])
        .code(1)
        .stdout(contains("best"));
}

#[test]
fn what_a_graph_lacks_is_wrong_usage() {
    let mlp = fixture("mlp/model.onnx");
    porter("check", &mlp, &["--hard", "--bisect"])
        .code(2)
        .stderr(contains("--hard").and(contains("--bisect")).and(contains("give --reference FOLDER")));
    porter("check", &mlp, &["--reference", text(&fixture("")), "--dtype", "bf16"])
        .code(2)
        .stderr(contains("own types"));
    porter("compile", &mlp, &["--target", "v5e:1x1"]).code(2).stderr(contains("\"batch\": give it a size"));
    porter("run", &mlp, &["--dim", "batch", "--input", "x"]).code(2).stderr(contains("expected NAME=N"));
    let inputs = fixture("reshape/inputs.safetensors");
    porter("run", &mlp, &["--input", text(&inputs)]).failure().stderr(contains("panicked").not());
}

#[test]
fn convert_writes_the_weights_under_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("weights.safetensors");
    porter("convert", &fixture("mlp/model.onnx"), &["-o", text(&output), "--verify"]).success();
    let document = json(&porter("inspect", &output, &["--json"]).success());
    assert_eq!((&document["tensors"], &document["bytes"]), (&3.into(), &2640.into()));
    let bytes = fs::read(&output).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("up").unwrap().shape(), [12, 31]);
    // The same bytes that the ONNX file holds.
    let model = fs::read(fixture("mlp/model.onnx")).unwrap();
    for name in ["up", "down", "bias"] {
        let data = file.tensor(name).unwrap().data().to_vec();
        assert!(model.windows(data.len()).any(|window| window == data), "{name}");
    }
}

#[test]
fn compile_estimates_the_program_for_a_tpu() {
    let args = ["--target", "v5e:1x1", "--dim", "batch=256", "--json"];
    let document = json(&porter("compile", &fixture("mlp/model.onnx"), &args).success());
    assert_eq!(document["inputs"]["x"], "f32[256, 12]");
    let program = &document["programs"][0];
    assert_eq!(program["fits"], true);
    assert!(program["estimate"]["seconds"].as_f64().unwrap() > 0.0);
    // 12 x 31 + 31 x 9 + 9 weights and 256 x 12 inputs in f32 at the least.
    assert!(program["arguments"].as_i64().unwrap() >= 14_928, "{program}");
    let inputs = fixture("reshape/inputs.safetensors");
    porter("compile", &fixture("reshape/model.onnx"), &["--target", "v5e:1x1", "--input", text(&inputs)])
        .success()
        .stdout(contains("x f32[2, 6]").and(contains("compiler estimate")));
}
