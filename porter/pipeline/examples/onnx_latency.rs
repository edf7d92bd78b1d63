//! `onnx_latency MODEL INPUTS.safetensors RUNS`: how long one run of an ONNX graph takes on the CPU plugin.
//!
//! Prints the milliseconds of each run, inputs copied in and results copied out, one a line, and before them
//! those of opening and importing, compiling, and loading weights. `ci/bench/onnx.py` runs it against ONNX
//! Runtime.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{path::Path, time::Instant};

use porter_import::{Event, Progress};
use porter_pipeline::{
    Engine,
    onnx::{Dims, find, read_tensors},
};

struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event<'_>) {}
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, inputs, runs] = &arguments[..] else { panic!("MODEL INPUTS.safetensors RUNS are expected") };
    let milliseconds = |started: Instant| started.elapsed().as_secs_f64() * 1e3;
    let engine = Engine::start(None, &mut |_| {}).expect("a plugin");
    let started = Instant::now();
    let graph = find(model, &Quiet).expect("a model").expect("an ONNX file");
    let inputs = read_tensors(Path::new(inputs)).expect("the inputs");
    let program = graph.program(&Dims::new(), Some(&inputs)).expect("a program");
    println!("import {:.3}", milliseconds(started));
    let (running, took) = graph.bring_up(&engine, program).expect("a compiled program");
    println!("compile {:.3}", took.compile.as_secs_f64() * 1e3);
    println!("load {:.3}", took.load.as_secs_f64() * 1e3);
    for _ in 0..runs.parse().expect("a number") {
        let started = Instant::now();
        running.run(&inputs).expect("results");
        println!("run {:.4}", milliseconds(started));
    }
}
