#!/usr/bin/env python3
"""Conversion speed, against cp and against safetensors + torch, in one run.

    convert.py PORTER FOLDER [--gigabytes 3] [--python PYTHON] [--rounds 3]

FOLDER is made and removed; it takes about four times the size. PYTHON is one with torch and safetensors
(none: that side is left out). Every figure is the median of the rounds, in GB of source a second, with what
was written made durable (sync for cp and Python, Porter's own fsync for Porter). Rounds take turns, so that
all sides see the same machine. Prints a Markdown table.
"""

import argparse
import mmap
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent

TORCH = """
import sys, torch
from safetensors.torch import load_file, save_file
from pathlib import Path
source, out, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
out.mkdir()
for path in sorted(source.glob("*.safetensors")):
    tensors = load_file(path)
    if what == "bf16":
        tensors = {k: v.to(torch.bfloat16) for k, v in tensors.items()}
    if what == "int8":
        done = {}
        for k, v in tensors.items():
            if v.ndim == 2 and "proj" in k:
                scale = v.abs().amax(dim=1, keepdim=True) / 127.5
                done[k] = torch.clamp(torch.round(v / scale), -128, 127).to(torch.int8)
                done[k + "_scale"] = scale
            else:
                done[k] = v
        tensors = done
    if what == "transpose":
        tensors = {k: v.t().contiguous() if v.ndim == 2 and "embed" not in k else v for k, v in tensors.items()}
    save_file(tensors, out / path.name)
"""

ROWS = [
    ("bf16 to bf16, copied", "bf16", [], "copy"),
    ("bf16 to bf16, transposed (MaxText, unscanned)", "bf16", ["--to", "maxtext", "--scan-layers", "false"], "transpose"),
    ("bf16 to bf16, transposed and stacked (MaxText)", "bf16", ["--to", "maxtext"], "transpose"),
    ("f32 to bf16", "f32", ["--dtype", "bf16"], "bf16"),
    ("bf16 to int8 by channel", "bf16", ["--quantize", "int8"], "int8"),
    ("bf16 to GGUF q8_0", "bf16", ["--to", "gguf", "--quantize", "q8_0"], None),
]


def warm(gigabytes):
    """Takes memory and frees it. On a virtual machine whose host takes free pages back, the first use of a page costs
    more than copying it: without this, who runs first pays for who runs second."""
    taken = mmap.mmap(-1, int(gigabytes * 1e9))
    for at in range(0, len(taken), mmap.PAGESIZE):
        taken[at] = 1
    taken.close()


def timed(command, out, gigabytes):
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run(["sync"], check=True)
    warm(2.5 * gigabytes)
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["sync"], check=True)
    seconds = time.monotonic() - start
    shutil.rmtree(out, ignore_errors=True)
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("porter")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=3)
    parser.add_argument("--memory", default="512MiB")
    parser.add_argument("--python")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    try:
        run(options)
    finally:
        shutil.rmtree(options.folder)


def run(options):
    sources = {}
    for dtype in ("bf16", "f32"):
        sources[dtype] = options.folder / dtype
        generator = [sys.executable, HERE / "synthetic_checkpoint.py", sources[dtype]]
        subprocess.run([*generator, "--gigabytes", str(options.gigabytes), "--dtype", dtype], check=True)
    out = options.folder / "out"
    print("| conversion | porter | cp | torch | porter / cp | porter / torch |")
    print("|---|---|---|---|---|---|")
    for what, dtype, arguments, torch in ROWS:
        source = sources[dtype]
        size = sum(path.stat().st_size for path in source.iterdir()) / 1e9
        sides = {
            "porter": [options.porter, "convert", source, "-o", out, "--memory", options.memory, *arguments],
            "cp": ["cp", "-r", source, out],
        }
        if options.python and torch:
            sides["torch"] = [options.python, "-c", TORCH, source, out, torch]
        seconds = {side: [] for side in sides}
        for _ in range(options.rounds):
            for side, command in sides.items():
                seconds[side].append(timed(command, out, options.gigabytes))
        rate = {side: size / statistics.median(times) for side, times in seconds.items()}
        torch_rate = f"{rate['torch']:.2f}" if "torch" in rate else ""
        torch_ratio = f"{rate['porter'] / rate['torch']:.2f}" if "torch" in rate else ""
        ratio = rate["porter"] / rate["cp"]
        print(f"| {what} | {rate['porter']:.2f} | {rate['cp']:.2f} | {torch_rate} | {ratio:.2f} | {torch_ratio} |", flush=True)


if __name__ == "__main__":
    main()
