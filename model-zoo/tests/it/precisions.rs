//! Programs in narrow types: how far rounding takes them from the `f32` reference.

use porter_ir::DType;
use porter_numerics::{Bundle, Roundings};
use porter_zoo::{Phase, Precision, Taps};

use crate::{
    common::{folder, model},
    runner::{Runner, view},
};

/// Logits within what rounding alone does ([`porter_numerics::Budget::derived`]).
fn check(name: &str, precision: Precision, rounded: DType) {
    let checkpoint = porter_weights::open(&folder(name)).unwrap();
    let runner = Runner::with_precision(model(name), checkpoint.as_ref(), precision);
    let bundle = Bundle::open(&folder(name)).unwrap();
    let case = bundle.cases().next().unwrap();
    let (shape, arguments) = runner.arguments(&case);
    let phase = Phase::Forward { batch: shape[0], tokens: shape[1], taps: Taps::None };
    let results = runner.forward(&phase, &arguments);

    let output = case.outputs().iter().find(|o| o.name == "logits").unwrap();
    let program = runner.model.program(&phase, &precision).unwrap();
    let roundings = Roundings::of(&program, "logits").unwrap();
    assert_eq!(roundings.counts()[0].0, rounded, "{}", roundings.describe());
    let measured = case.measure(output, &view(&results["logits"]), Some(&roundings)).unwrap();
    let (found, budget) = (&measured.comparison, &measured.budget);
    assert!(budget.allows(found), "{name}: {precision:?}: {} > {budget:?}", found.max_abs);
    // Had nothing been rounded, the program would not be in the type that was asked for.
    assert!(found.max_abs > 1e-4, "{name}: {precision:?}: {}", found.max_abs);
}

/// What a transformer's layer rounds in a narrow type: the embedding once, two norms, q, k, v, rotary on
/// two, probabilities, context, the output, gate, up, activation, product, down, both sums with the
/// residual stream, and seven weight matrices; then the last norm and the head's weight. The norms' weights
/// and the logits are f32.
#[test]
fn a_llama_rounds_what_a_hand_counts() {
    let model = model("llama");
    let phase = Phase::Forward { batch: 2, tokens: 13, taps: Taps::HiddenStates };
    let program = model.program(&phase, &Precision::uniform(DType::BF16)).unwrap();
    let all = Roundings::all(&program);
    let count = |output: &str| all[output].count(DType::BF16);
    assert_eq!(count("hidden_states.0"), 1);
    let layer = count("hidden_states.2") - count("hidden_states.1");
    assert_eq!(layer, 24);
    assert_eq!(count("logits"), 1 + 24 * model.dimensions().layers as u64 + 2);
}

#[test]
fn bf16_throughout() {
    check("llama", Precision::uniform(DType::BF16), DType::BF16);
    check("bert", Precision::uniform(DType::BF16), DType::BF16);
}

#[test]
fn f16_throughout() {
    check("qwen3", Precision::uniform(DType::F16), DType::F16);
}

#[test]
fn bf16_weights_with_f32_activations() {
    let precision = Precision { weights: DType::BF16, activations: DType::F32, cache: DType::BF16 };
    check("qwen2", precision, DType::BF16);
}
