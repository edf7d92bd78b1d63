//! Every tiny model passes at its derived budgets on both CPU plugins, in f32 and in bf16, against what
//! transformers recorded and, on hard inputs, against the reference executor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use porter_import::{Event, Progress};
use porter_ir::DType;
use porter_numerics::{Bundle, Findings, Judge};
use porter_pipeline::{
    Engine, Opened, Silent, Variant,
    check::{Checker, Computed, Inputs},
    open,
};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny");
const DTYPES: [DType; 2] = [DType::F32, DType::BF16];

struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event<'_>) {}
}

/// Every model that is there, so that a new one is checked without being named here.
fn models() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(TINY).unwrap().map(|entry| entry.unwrap().path());
    let mut models: Vec<PathBuf> = folders.filter(|path| path.join("config.json").exists()).collect();
    models.sort();
    assert!(models.len() >= 9, "{models:?}");
    models
}

fn opened(path: &Path) -> Opened {
    open(path.to_str().unwrap(), &[], &Quiet).unwrap()
}

fn check(engine: &Engine, opened: &Opened, dtype: DType, bundle: &Bundle) -> Findings {
    let checker = Checker {
        engine,
        opened,
        variant: Variant::new(dtype),
        reference: DType::F32,
        judge: Judge::default(),
        observer: &Silent,
    };
    checker.check(bundle).unwrap()
}

/// What failed, with how much of its budget it takes; and that anything was compared at all.
fn alarms(name: &Path, dtype: DType, findings: &Findings) -> Vec<String> {
    let of = |what: String| format!("{} in {dtype}: {what}", name.display());
    let comparisons = findings.comparisons.iter().filter(|m| !m.pass).map(|m| {
        of(format!("{} takes {:.2} of its budget, {}", m.comparison.name, m.budget_share(), m.budget.why))
    });
    let tokens = findings.tokens.iter().filter(|t| !t.pass).map(|t| of(format!("{:?}", t.first_difference)));
    let problems = findings.problems.iter().map(|named| of(format!("{}: {}", named.name, named.why)));
    let nothing = findings.comparisons.is_empty().then(|| of("nothing was compared".to_owned()));
    comparisons.chain(tokens).chain(problems).chain(nothing).collect()
}

fn recorded(plugin: Option<&str>) {
    let engine = Engine::start(plugin, &mut |_| {}).unwrap();
    let mut all = Vec::new();
    for path in models() {
        let (opened, bundle) = (opened(&path), Bundle::open(&path).unwrap());
        for dtype in DTYPES {
            all.extend(alarms(&path, dtype, &check(&engine, &opened, dtype, &bundle)));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

fn hard(plugin: Option<&str>, models: &[PathBuf]) {
    let engine = Engine::start(plugin, &mut |_| {}).unwrap();
    let mut all = Vec::new();
    for path in models {
        let opened = opened(path);
        let computed = Computed::new(&opened, Inputs::Hard, &Silent).unwrap();
        for dtype in DTYPES {
            all.extend(alarms(path, dtype, &check(&engine, &opened, dtype, computed.bundle())));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn recorded_bundles_pass_on_the_default_plugin() {
    recorded(None);
}

#[test]
fn recorded_bundles_pass_on_the_second_plugin() {
    recorded(Some("cpu-zml"));
}

#[test]
fn hard_inputs_pass_on_the_default_plugin() {
    hard(None, &models());
}

#[test]
fn hard_inputs_pass_on_the_second_plugin() {
    let some = ["bert", "llama_yarn", "mistral_window"].map(|name| Path::new(TINY).join(name));
    hard(Some("cpu-zml"), &some);
}
