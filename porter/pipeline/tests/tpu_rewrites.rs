//! Tiny models in the forms for TPU, each rewrite alone and all together, on the CPU plugin: within the budgets that
//! hold for the models as the zoo writes them, against what transformers recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use porter_import::{Event, Progress};
use porter_ir::DType;
use porter_numerics::{Bundle, Findings, Judge};
use porter_pipeline::{
    Chosen, Engine, Opened, Quantize, Silent, Variant, check::Checker, lower, open, programs,
};
use porter_rewrite::{
    BlockedAttention, FuseParallelDots, GatheredExperts, GroupedExperts, Int8Experts, OrderParallelDots,
    PadExperts, PadHeads, PadIntermediate, PadVocab, Rewrite, RollLayers, SplitWeights, Target, WeightsInOut,
};
use porter_zoo::{Phase, Taps, Task};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny");

struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event<'_>) {}
}

fn engine() -> Engine {
    let mut engine = Engine::start(None, &mut |_| {}).unwrap();
    engine.target = Target::Tpu;
    engine
}

fn opened(name: &str) -> (Opened, Bundle) {
    let path = Path::new(TINY).join(name);
    (open(path.to_str().unwrap(), &[], &Quiet).unwrap(), Bundle::open(&path).unwrap())
}

fn check(engine: &Engine, opened: &Opened, bundle: &Bundle, variant: Variant<'_>) -> Findings {
    let judge = Judge::default();
    let checker = Checker { engine, opened, variant, reference: DType::F32, judge, observer: &Silent };
    checker.check(bundle).unwrap()
}

/// The rewrites that found something to do.
fn applied(opened: &Opened, variant: &Variant<'_>) -> Vec<&'static str> {
    let phase = Phase::Forward { batch: 1, tokens: 8, taps: Taps::None };
    let programs = programs(opened, &[phase], variant, Target::Tpu).unwrap();
    let lowered = lower(opened, programs, variant, Target::Tpu).unwrap();
    lowered.applied.iter().map(|applied| applied.rewrite).collect()
}

fn encodes(opened: &Opened) -> bool {
    opened.model.task() == Task::Encode
}

/// What failed, with how much of its budget it takes.
fn alarms(what: &str, findings: &Findings) -> Vec<String> {
    assert!(!findings.comparisons.is_empty(), "{what}: nothing was compared");
    let failed = findings.comparisons.iter().filter(|m| !m.pass);
    let failed =
        failed.map(|m| format!("{what}: {} takes {:.2} of its budget", m.comparison.name, m.budget_share()));
    let tokens = findings.tokens.iter().filter(|t| !t.pass);
    let problems = findings.problems.iter().map(|named| format!("{what}: {}: {}", named.name, named.why));
    failed.chain(tokens.map(|t| format!("{what}: {:?}", t.first_difference))).chain(problems).collect()
}

#[test]
fn tiny_models_pass_under_every_rewrite_alone_and_together() {
    let engine = engine();
    let (vocab, inner) = (PadVocab { tensor: 7 }, PadIntermediate { tensor: 11 });
    let (repeated, added) = (PadHeads { tensor: 8 }, PadHeads { tensor: 5 });
    let blocked = BlockedAttention { least_tokens: 0 };
    let fuse = FuseParallelDots { most_bytes: usize::MAX, least_divided_bytes: 0 };
    let split = SplitWeights { most_bytes: 1 << 12, most_pieces: usize::MAX, tile: 8 };
    let order = OrderParallelDots { least_bytes: 0, least_rows: 0, most_bytes: usize::MAX };
    let all: [&dyn Rewrite; 9] =
        [&repeated, &vocab, &inner, &blocked, &fuse, &split, &order, &WeightsInOut, &RollLayers::Alike];
    let mut failed = Vec::new();
    for name in ["llama", "qwen3", "mistral", "bert"] {
        let (opened, bundle) = opened(name);
        let alone = all.iter().copied().chain([&added as &dyn Rewrite]).map(|rewrite| vec![rewrite]);
        for before in alone.chain([all.to_vec()]) {
            let names: Vec<&str> = before.iter().map(|rewrite| rewrite.name()).collect();
            let variant = Variant { before: &before, rewrites: Chosen::None, ..Variant::new(DType::F32) };
            let applied = applied(&opened, &variant);
            // Prompts are short, and an encoder has no head over a vocabulary.
            let idle = |name: &str| name == "blocked_attention" || (name == "pad_vocab" && encodes(&opened));
            let missing: Vec<&&str> = names.iter().filter(|n| !idle(n) && !applied.contains(n)).collect();
            assert!(missing.is_empty(), "{name}: {missing:?} found nothing to do");
            failed.extend(alarms(&format!("{name} {names:?}"), &check(&engine, &opened, &bundle, variant)));
        }
        let variant = Variant { before: &all, rewrites: Chosen::None, ..Variant::new(DType::BF16) };
        failed.extend(alarms(&format!("{name} bf16"), &check(&engine, &opened, &bundle, variant)));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Dense as the zoo writes them, gathered by token, grouped by expert, and with experts that no token takes.
#[test]
fn experts_say_the_same_in_every_form() {
    let engine = engine();
    let gathered = GatheredExperts { most_pairs: f64::MAX, most_bytes: usize::MAX };
    let grouped = GroupedExperts { most_pairs: 0.0, least_tokens: 0 };
    let padded = PadExperts { expert: 3 };
    for name in ["qwen3_moe", "mixtral"] {
        let (opened, bundle) = opened(name);
        for before in [&[][..], &[&gathered as &dyn Rewrite], &[&grouped], &[&padded], &[&padded, &grouped]] {
            let names: Vec<&str> = before.iter().map(|rewrite| rewrite.name()).collect();
            let variant = Variant { before, rewrites: Chosen::None, ..Variant::new(DType::F32) };
            assert_eq!(applied(&opened, &variant), names);
            let failed = alarms(&format!("{name} {names:?}"), &check(&engine, &opened, &bundle, variant));
            assert!(failed.is_empty(), "{}", failed.join("\n"));
        }
    }
}

/// Experts of 8 bits drift by what rounding does, dense, gathered and grouped.
#[test]
fn experts_of_few_bits_drift_by_what_rounding_does() {
    let engine = engine();
    let gathered = GatheredExperts { most_pairs: f64::MAX, most_bytes: usize::MAX };
    let grouped = GroupedExperts { most_pairs: 0.0, least_tokens: 0 };
    for name in ["qwen3_moe", "mixtral"] {
        let (opened, bundle) = opened(name);
        let budget = Quantize::Int8.error(opened.model.dimensions().layers);
        for form in [&[][..], &[&gathered as &dyn Rewrite], &[&grouped]] {
            let before = [&[&Int8Experts as &dyn Rewrite], form].concat();
            let variant = Variant { before: &before, rewrites: Chosen::None, ..Variant::new(DType::F32) };
            let names: Vec<&str> = before.iter().map(|rewrite| rewrite.name()).collect();
            assert_eq!(applied(&opened, &variant), names);
            let (worst, drift) = worst(&check(&engine, &opened, &bundle, variant));
            println!("{name} {names:?}: {worst} is off by {drift:.2e} of its deviation, of {budget:.2e}");
            assert!((1e-4..budget).contains(&drift), "{name} {names:?} {worst}: {drift}");
        }
    }
}

/// What is off the most, and by which share of its deviation.
fn worst(findings: &Findings) -> (String, f64) {
    let drifts = findings
        .comparisons
        .iter()
        .map(|m| (m.comparison.name.clone(), m.comparison.rmse / m.comparison.scale));
    drifts.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

/// Models of 4 and 8 bits are not held to the budgets of f32, but to what their rounding does.
#[test]
fn models_of_few_bits_drift_by_what_rounding_does() {
    let engine = engine();
    let models = ["llama", "qwen3", "mistral", "bert"];
    for (name, form) in models.iter().flat_map(|name| Quantize::ALL.map(|form| (name, form))) {
        let (opened, bundle) = opened(name);
        let variant = Variant { quantize: Some(form), ..Variant::new(DType::F32) };
        let findings = check(&engine, &opened, &bundle, variant);
        let budget = form.error(opened.model.dimensions().layers);
        let (worst, drift) = worst(&findings);
        println!("{name} {}: {worst} is off by {drift:.2e} of its deviation, of {budget:.2e}", form.name());
        assert!((1e-3..budget).contains(&drift), "{name} {} {worst}: {drift}", form.name());
    }
}
