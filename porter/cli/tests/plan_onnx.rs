//! `porter plan` of ONNX graphs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use assert_cmd::{Command, assert::Assert};
use predicates::{prelude::*, str::contains};
use serde_json::{Value, json};

fn plan(model: &str, args: &[&str]) -> Assert {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/fixtures/onnx");
    let mut command = Command::cargo_bin("porter").unwrap();
    command.env("NO_COLOR", "1").arg("plan").arg(fixtures.join(model).join("model.onnx")).args(args).assert()
}

fn document(assert: &Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// By hand: weights of 12 x 4 x 3 x 3, 12 x 3 x 3 and 12 x 12 numbers in f32; what has 64 elements or less is a
/// constant. A window of 3 by twos over 9 with one before and after meets 13 elements, by ones over 5 also 13.
#[test]
fn the_bytes_and_operations_of_a_graph_are_counted() {
    let document = document(&plan("convolutions", &["--target", "v5e:1x1", "--json"]).success());
    assert_eq!(document["parameters"], 432 + 108 + 144);
    assert_eq!(document["memory"]["weights"], 4 * 684);
    assert_eq!(document["memory"]["interface"], 4 * (4 * 81 + 12 * 3));
    assert!(document["memory"]["temporaries"].as_u64().unwrap() >= 4 * 2 * 12 * 25);
    let flops = 2.0 * 12.0 * f64::from(4 * 13 * 13 + 13 * 13 + 12 * 25 + 12 * 3);
    assert_eq!(document["flops"].as_f64(), Some(flops));
    assert_eq!(document["traffic"].as_f64(), Some(f64::from(4 * 684 + 4 * 360)));
    assert_eq!((&document["fits"], &document["smallest"]), (&json!(true), &Value::Null));
    plan("convolutions", &["--target", "v5e:1x1"])
        .success()
        .stdout(contains("fits").and(contains("nothing of it was compiled or run")));
}

#[test]
fn a_batch_that_no_device_holds_is_a_no() {
    let large = ["--target", "v5e:1x1", "--dim", "batch=400000000", "--json"];
    let found = document(&plan("mlp", &large).code(1));
    assert_eq!((&found["fits"], &found["inputs"]["x"]), (&json!(false), &json!("f32[400000000, 12]")));
}

#[test]
fn what_a_graph_has_none_of_is_refused() {
    plan("mlp", &["--target", "v5e:2x2", "--dim", "batch=5"]).code(2).stderr(contains("no logical axes"));
    plan("mlp", &["--target", "v5e:1x1", "--dim", "batch=5", "--batch", "2", "--search", "1"])
        .code(2)
        .stderr(contains("leave --batch, --search out"));
}
