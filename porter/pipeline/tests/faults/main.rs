//! Faults that ports have had, planted in a tiny model: the check fails, and the search names the module.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod plant;

use std::path::Path;

use plant::Fault;
use porter_import::Progress;
use porter_ir::DType;
use porter_numerics::{
    Bundle, Findings, Judge,
    bisect::{Bisection, Reach, Suspect, Truth},
};
use porter_pipeline::{
    Engine, Opened, Silent, Variant,
    check::{Checker, Computed, Inputs, Trust},
    open,
};
use porter_rewrite::Rewrite;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny");

struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: porter_import::Event<'_>) {}
}

fn model(name: &str) -> Opened {
    open(&format!("{TINY}/{name}"), &[], &Quiet).unwrap()
}

fn engine() -> Engine {
    Engine::start(None, &mut |_| {}).unwrap()
}

/// Checks the model with a fault in it, and searches.
fn plant(
    opened: &Opened,
    fault: &Fault,
    dtype: DType,
    bundle: &Bundle,
    trust: Trust,
) -> (Findings, Vec<Bisection>) {
    let engine = engine();
    let planted: [&dyn Rewrite; 1] = [fault];
    let variant = Variant { before: &planted, ..Variant::new(dtype) };
    let checker = Checker {
        engine: &engine,
        opened,
        variant,
        reference: DType::F32,
        judge: Judge::default(),
        observer: &Silent,
    };
    let findings = checker.check(bundle).unwrap();
    let found = checker.bisect(bundle, &findings, trust).unwrap();
    (findings, found)
}

fn fails(findings: &Findings) -> bool {
    findings.comparisons.iter().any(|m| !m.pass) || findings.tokens.iter().any(|t| !t.pass)
}

/// The check fails, and the fault's module and no other is at fault by itself.
fn assert_found(fault: &Fault, findings: &Findings, found: &[Bisection]) {
    assert!(fails(findings), "{}: the check passes", fault.name);
    let suspects: Vec<&Suspect> = found.iter().flat_map(|f| &f.suspects).collect();
    let named: Vec<(&str, Reach)> = suspects.iter().map(|s| (s.path.as_str(), s.reach)).collect();
    assert!(!named.is_empty(), "{}: no module is named", fault.name);
    assert!(
        named.iter().all(|&(path, reach)| path == fault.path && reach == Reach::Local),
        "{}: {} is at fault, found {named:?}",
        fault.name,
        fault.path
    );
    assert!(suspects.iter().any(|s| !s.differs.is_empty()), "{}: what differs is shown", fault.name);
}

fn against_builtin(fault: &Fault, dtype: DType, inputs: Inputs) {
    let opened = model("llama");
    let computed = Computed::new(&opened, inputs, &Silent).unwrap();
    let (findings, found) = plant(&opened, fault, dtype, computed.bundle(), Trust::Inputs);
    assert_found(fault, &findings, &found);
}

fn against_recorded(fault: &Fault) {
    let opened = model("llama");
    let bundle = Bundle::open(&Path::new(TINY).join("llama")).unwrap();
    let (findings, found) = plant(&opened, fault, DType::F32, &bundle, Trust::Recorded);
    assert_found(fault, &findings, &found);
}

#[test]
fn rotary_with_its_halves_swapped() {
    against_recorded(&plant::ROTARY_HALVES);
    against_builtin(&plant::ROTARY_HALVES, DType::F32, Inputs::Standard);
    against_builtin(&plant::ROTARY_HALVES, DType::BF16, Inputs::Standard);
}

#[test]
fn a_missing_attention_scale() {
    against_recorded(&plant::NO_SCALE);
    against_builtin(&plant::NO_SCALE, DType::BF16, Inputs::Standard);
}

#[test]
fn a_wrong_norm_epsilon() {
    against_recorded(&plant::EPSILON);
    against_builtin(&plant::EPSILON, DType::F32, Inputs::Standard);
}

#[test]
fn a_transposed_projection() {
    against_recorded(&plant::TRANSPOSED);
    against_builtin(&plant::TRANSPOSED, DType::BF16, Inputs::Standard);
}

#[test]
fn a_position_that_is_one_off_after_64_tokens() {
    against_builtin(&plant::LATE_POSITIONS, DType::F32, Inputs::Hard);
    let opened = model("llama");
    let short = Computed::new(&opened, Inputs::Standard, &Silent).unwrap();
    let (findings, _) = plant(&opened, &plant::LATE_POSITIONS, DType::F32, short.bundle(), Trust::Inputs);
    assert!(!fails(&findings), "short prompts cannot see it, which is why --hard is there");
}

#[test]
fn a_padded_lane_that_leaks() {
    against_recorded(&plant::LEAKING_PADDING);
    against_builtin(&plant::LEAKING_PADDING, DType::BF16, Inputs::Standard);
}

#[test]
fn a_cache_written_one_slot_late() {
    against_builtin(&plant::LATE_CACHE, DType::F32, Inputs::Standard);
    against_recorded(&plant::LATE_CACHE);
}

#[test]
fn sums_in_bf16_where_f32_is_due() {
    against_recorded(&plant::NARROW_SUMS);
    against_builtin(&plant::NARROW_SUMS, DType::F32, Inputs::Standard);
}

/// Not a fault of the port but of the checkpoint: the weights are not those that were recorded.
#[test]
fn weights_that_are_not_the_recorded_ones() {
    const PATH: &str = "model.layers.1.self_attn.o_proj";
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(TINY).join("llama");
    std::fs::copy(source.join("config.json"), folder.path().join("config.json")).unwrap();
    let mut bytes = std::fs::read(source.join("model.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (from, to) = header.info(&format!("{PATH}.weight")).unwrap().data_offsets;
    let start = bytes.len() - header.data_len();
    // The two halves of the matrix change places.
    bytes[start + from..start + to].rotate_left((to - from) / 2);
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();

    let opened = open(folder.path().to_str().unwrap(), &[], &Quiet).unwrap();
    let bundle = Bundle::open(&source).unwrap();
    let engine = engine();
    let checker = Checker {
        engine: &engine,
        opened: &opened,
        variant: Variant::new(DType::F32),
        reference: DType::F32,
        judge: Judge::default(),
        observer: &Silent,
    };
    let findings = checker.check(&bundle).unwrap();
    let found = checker.bisect(&bundle, &findings, Trust::Recorded).unwrap();
    let suspects: Vec<&Suspect> = found.iter().flat_map(|f| &f.suspects).collect();
    let paths: Vec<&str> = suspects.iter().map(|suspect| suspect.path.as_str()).collect();
    let [suspect] = suspects[..] else { panic!("{paths:?}") };
    assert_eq!((suspect.path.as_str(), suspect.truth), (PATH, Truth::Recorded));
    assert!(
        suspect.explanation().contains("its weights, are not the recorded ones"),
        "{}",
        suspect.explanation()
    );
}

/// Two faults in one model: the second does not hide behind the first.
#[test]
fn two_faults_at_once() {
    let opened = model("llama");
    let bundle = Bundle::open(&Path::new(TINY).join("llama")).unwrap();
    let engine = engine();
    let planted: [&dyn Rewrite; 2] = [&plant::TRANSPOSED, &plant::EPSILON];
    let variant = Variant { before: &planted, ..Variant::new(DType::F32) };
    let checker = Checker {
        engine: &engine,
        opened: &opened,
        variant,
        reference: DType::F32,
        judge: Judge::default(),
        observer: &Silent,
    };
    let findings = checker.check(&bundle).unwrap();
    let found = checker.bisect(&bundle, &findings, Trust::Recorded).unwrap();
    let paths: Vec<&str> = found.iter().flat_map(|f| &f.suspects).map(|s| s.path.as_str()).collect();
    assert_eq!(paths, [plant::TRANSPOSED.path, plant::EPSILON.path]);
}
