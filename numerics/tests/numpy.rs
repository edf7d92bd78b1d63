//! Comparisons against what numpy says about the same tensors (`tests/data/generate.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use approx::relative_eq;
use half::bf16;
use porter_ir::DType;
use porter_numerics::{
    Bundle, Comparison, LogitsComparison, Percentiles, Positions, View, compare, compare_logits, compare_next,
};
use serde_json::Value;

fn tiny(model: &str) -> Bundle {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../ci/fixtures/tiny", model].iter().collect();
    Bundle::open(&dir).unwrap()
}

fn expected(case: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/expected.json");
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    all.get(case).expect("a case of expected.json").clone()
}

/// The value of a tensor of the bundle, by case and output.
fn output<'a>(bundle: &'a Bundle, case: &str, name: &str) -> View<'a> {
    let case = bundle.cases().find(|c| c.name() == case).unwrap();
    let output = case.outputs().iter().find(|o| o.name == name).unwrap();
    case.reference(output).unwrap()
}

fn mask(bundle: &Bundle) -> Positions {
    let case = bundle.cases().find(|c| c.name() == "padded").unwrap();
    let positions = case.positions(&output(bundle, "padded", "logits")).unwrap();
    assert!(
        matches!(&positions, Positions::Rows(rows) if rows.iter().any(|r| !r)),
        "some positions are padding"
    );
    positions
}

fn to_bf16(view: &View<'_>) -> View<'static> {
    let bytes: Vec<u8> = view.to_f64().iter().flat_map(|&x| bf16::from_f32(x as f32).to_le_bytes()).collect();
    View::new(DType::BF16, view.shape().clone(), bytes).unwrap()
}

fn assert_close(name: &str, found: f64, expected: f64, relative: f64) {
    let close = relative_eq!(found, expected, max_relative = relative, epsilon = 0.0);
    assert!(close, "{name}: found {found}, numpy says {expected}");
}

fn check(case: &str, found: &Comparison) {
    let expected = expected(case);
    let number = |key: &str| expected.get(key).and_then(Value::as_f64).expect(key);
    let exact = |key: &str, value: f64| assert_close(&format!("{case}.{key}"), value, number(key), 1e-12);
    exact("count", found.count as f64);
    exact("max_abs", found.max_abs);
    exact("mean_abs", found.mean_abs);
    exact("max_rel", found.max_rel);
    exact("mean_rel", found.mean_rel);
    exact("rmse", found.rmse);
    exact("scale", found.scale);
    exact("cosine", found.cosine);
    exact("ulp_max", found.ulp.max as f64);
    let Percentiles { p50, p90, p99, p999 } = found.percentiles;
    for (key, value) in [("p50", p50), ("p90", p90), ("p99", p99), ("p999", p999)] {
        let of = number(key);
        assert!(
            value >= of && value <= of * (1.0 + Percentiles::RESOLUTION),
            "{case}.{key}: {value} for {of}"
        );
    }
    let Percentiles { p50, p90, p99, p999 } = found.relative_percentiles;
    for (of, value) in expected["rel"].as_array().unwrap().iter().zip([p50, p90, p99, p999]) {
        let of = of.as_f64().unwrap();
        assert!(value >= of && value <= of * (1.0 + Percentiles::RESOLUTION), "{case}.rel: {value} for {of}");
    }
    for (ulps, key) in [(found.ulp.median, "ulp_median"), (found.ulp.p99, "ulp_p99")] {
        let (ulps, of) = (ulps as f64, number(key));
        assert!(
            ulps <= of && ulps >= of / (1.0 + Percentiles::RESOLUTION) - 1.0,
            "{case}.{key}: {ulps} for {of}"
        );
    }
    let within = number("within_half");
    let half = found.max_abs / 2.0;
    assert!(found.share_within(half) <= within, "{case}: {} for {within}", found.share_within(half));
    let wider = found.share_within(half * (1.0 + Percentiles::RESOLUTION));
    assert!(wider >= within, "{case}: {wider} for {within}");
    for (found, of) in found.worst.iter().zip(expected["worst"].as_array().unwrap()) {
        assert_eq!(serde_json::to_value(&found.index).unwrap(), of["index"], "{case}");
        assert_close("worst.ours", found.ours, of["ours"].as_f64().unwrap(), 1e-15);
        assert_close("worst.reference", found.reference, of["reference"].as_f64().unwrap(), 1e-15);
    }
    assert_eq!(found.worst.len(), expected["worst"].as_array().unwrap().len(), "{case}");
}

#[test]
fn f32_against_its_f64_twin() {
    let bundle = tiny("llama");
    let case = bundle.cases().next().unwrap();
    let twin = case.outputs().iter().find(|o| o.name == "logits").unwrap().twin.clone();
    assert_eq!(twin.as_deref(), Some("logits_f64"));
    let (ours, reference) = (output(&bundle, "", "logits"), f64_twin());
    let reference = View::new(DType::F64, ours.shape().clone(), reference).unwrap();
    check("twin", &compare("logits", &ours, &reference, &Positions::All).unwrap());
    check_logits("logits_twin", &compare_logits(&ours, &reference, &Positions::All, 0.0).unwrap());
}

/// The bytes of llama's `logits_f64`, which the bundle keeps for its noise.
fn f64_twin() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/fixtures/tiny/llama/reference.safetensors");
    let file = std::fs::read(path).unwrap();
    safetensors::SafeTensors::deserialize(&file).unwrap().tensor("logits_f64").unwrap().data().to_vec()
}

#[test]
fn masked_positions_do_not_count() {
    let bundle = tiny("llama");
    let (ours, reference) = (output(&bundle, "padded", "logits"), output(&bundle, "", "logits"));
    let positions = mask(&bundle);
    check("padded", &compare("logits", &ours, &reference, &positions).unwrap());
    check_logits("logits_padded", &compare_logits(&ours, &reference, &positions, 0.5).unwrap());
}

#[test]
fn tensors_that_have_little_in_common() {
    let bundle = tiny("qwen3");
    let (ours, reference) = (output(&bundle, "", "hidden_states.1"), output(&bundle, "", "hidden_states.2"));
    check("layers", &compare("hidden_states", &ours, &reference, &Positions::All).unwrap());
}

#[test]
fn bf16_against_f32() {
    let bundle = tiny("bert");
    let hidden = output(&bundle, "", "hidden_states.1");
    check("bf16", &compare("hidden_states.1", &to_bf16(&hidden), &hidden, &Positions::All).unwrap());
    let logits = output(&bundle, "", "logits");
    check_logits("logits_bf16", &compare_logits(&to_bf16(&logits), &logits, &Positions::All, 0.01).unwrap());
}

fn check_logits(case: &str, found: &LogitsComparison) {
    let expected = expected(case);
    let close = |key: &str, value: f64, absolute: f64| {
        let of = expected.get(key).and_then(Value::as_f64).expect(key);
        assert!(
            (value - of).abs() <= 1e-9 * of.abs() + absolute,
            "{case}.{key}: found {value}, numpy says {of}"
        );
    };
    close("positions", found.positions as f64, 0.0);
    // Terms of either sign cancel in a divergence: what is left of their rounding is absolute.
    close("kl_mean", found.kl.mean, 1e-14);
    close("kl_max", found.kl.max, 1e-14);
    close("reverse_kl_mean", found.reverse_kl.mean, 1e-14);
    close("reverse_kl_max", found.reverse_kl.max, 1e-14);
    close("rbo", found.rbo, 0.0);
    close("top1", found.top1, 0.0);
    close("top5", found.top5, 0.0);
    close("top10", found.top10, 0.0);
    close("flips", found.flips as f64, 0.0);
    close("ties", found.ties as f64, 0.0);
    assert_eq!(found.invalid_positions, 0);
}

#[test]
fn perplexities_of_the_tokens_that_follow() {
    let bundle = tiny("llama");
    let case = bundle.cases().next().unwrap();
    let (logits, ids) = (output(&bundle, "", "logits"), case.input("input_ids").unwrap().unwrap());
    let found = compare_next(&to_bf16(&logits), &logits, &Positions::All, 0.0, Some(&ids)).unwrap();
    let (found, expected) = (found.perplexity.unwrap(), expected("perplexity"));
    assert_eq!(found.tokens, 24);
    assert_close("perplexity.ours", found.ours, expected["ours"].as_f64().unwrap(), 1e-9);
    assert_close("perplexity.reference", found.reference, expected["reference"].as_f64().unwrap(), 1e-9);
    assert_close("perplexity.change", found.change, found.ours / found.reference - 1.0, 1e-12);
    let last = logits.last_positions(3);
    let tail = compare_next(&last, &last, &Positions::All, 0.0, Some(&ids)).unwrap().perplexity.unwrap();
    assert_eq!((tail.tokens, tail.change), (4, 0.0));
}
