//! ONNX's own backend test suite through import; StableHLO and the CPU plugin; the reference executor.
//!
//! `suite file MODEL BUNDLE` runs one model on `BUNDLE/inputs.safetensors` and prints how far its outputs are
//! from `BUNDLE/outputs.safetensors`.
//!
//! `suite run DATA [--filter TEXT] [--expect FILE] [--table FILE]` runs every case under `DATA` (the folder
//! `onnx/backend/test/data` of the wheel) in child processes, two at least at a time, so that an abort of the plugin
//! is the failure of one case. With `--expect` every outcome is compared with the file: a case that it does
//! not list must pass on both engines, one that it lists must fail as it says. `--bless` rewrites the file, `--table` the page.
//! `PORTER_SUITE_PLUGIN` is the path or name of another plugin than the CPU's.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::float_cmp, reason = "equal infinities are close")]

mod cases;
mod engines;
mod expectations;
mod file;
mod parent;
mod table;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("child") => cases::child(),
        Some("file") => file::run(&arguments[1..]),
        Some("run") => parent::run(&arguments[1..]),
        _ => {
            eprintln!("usage: suite run DATA [--filter TEXT] [--expect FILE] [--bless] [--table FILE]");
            std::process::ExitCode::from(2)
        }
    }
}
