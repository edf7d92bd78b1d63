//! Whole programs as text, compared with files that were read by eye.
//!
//! `UPDATE_GOLDEN=1 cargo test -p porter-ir --test golden` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod programs;

use std::{fs, path::Path};

use porter_ir::{Composites, PrintOptions, Program};

fn compare(name: &str, program: &Program, composites: Composites) {
    assert_eq!(program.verify(), []);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.mlir"));
    let text = program.mlir(PrintOptions { composites, ..PrintOptions::default() });
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    assert_eq!(text, golden, "{name} is printed differently; UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn states_weights_and_inlined_composites() {
    compare("step", &programs::step().unwrap(), Composites::Inline);
}

#[test]
fn composites_as_calls() {
    compare("step_calls", &programs::step().unwrap(), Composites::Call);
}

#[test]
fn control_flow() {
    compare("control_flow", &programs::control_flow().unwrap(), Composites::Inline);
}

#[test]
fn shardings() {
    compare("shardings", &programs::sharded().unwrap(), Composites::Inline);
}
