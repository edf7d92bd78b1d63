#!/usr/bin/env python3
"""Porter's programs beside plain JAX's: one compiler, one estimator, one run.

    compare.py CONFIG --target v6e:1x1 --porter PORTER --estimate ESTIMATE --libtpu LIBTPU
               [--batch 8 --prompt 1024 --context 1024] [--programs decode prefill] [--layers N]
               [--mesh fsdp=8,tensor=8 --rules 2d] [--python PYTHON] [-- PORTER'S FURTHER OPTIONS]

PORTER is the binary, ESTIMATE the example `estimate` of porter-plan, PYTHON one with jax 0.10.2. CONFIG is a
config.json of a Llama or a Qwen3; --layers cuts it. --mesh and --rules (serving, training, 2d) are Porter's, and
JAX's programs are divided by them too; without --mesh JAX's devices are all `tensor`. JAX's prefill is the better
of the unrolled and the scanned one. Programs are compiled one after the other. Prints a Markdown table and exits
with 1 where Porter's estimate or its peak HBM is above JAX's. Every time is a compiler estimate, not checked on
hardware.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--porter", type=Path, required=True)
    parser.add_argument("--estimate", type=Path, required=True)
    parser.add_argument("--libtpu", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=1024)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--mesh", help="AXIS=N,...")
    parser.add_argument("--rules")
    parser.add_argument("--programs", nargs="+", choices=["decode", "prefill"], default=["decode", "prefill"])
    return parser.parse_known_args()


def run(command, **options):
    """A command's standard output as JSON; its error output is ours."""
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, **options)
    if not done.stdout:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode} and wrote nothing")
    return json.loads(done.stdout)


def shared(args):
    """The options that Porter and compile.py both have."""
    options = {name: getattr(args, name) for name in ("batch", "prompt", "context", "mesh", "rules")}
    return [word for name, value in options.items() if value for word in (f"--{name}", value)]


def porter(args, config, further):
    command = [args.porter, "compile", config, "--target", args.target, "--json", "--quiet", *shared(args)]
    command += ["--plugin", args.libtpu, *[word for word in further if word != "--"]]
    document = run([str(word) for word in command])
    return {row["program"].split("_")[0]: row for row in document["programs"]}


def jax(args, config, program, folder):
    """One program of JAX's, or the better of two forms."""
    forms = {"decode": ["decode"], "prefill": ["prefill", "prefill_scan"]}[program]
    rows = [row for row in (jax_form(args, config, form, folder) for form in forms) if "error" not in row]
    return min(rows, key=lambda row: row["estimate"]["seconds"], default=None)


def jax_form(args, config, form, folder):
    hlo = folder / f"{form}.pb"
    topology = args.target.replace("7x:", "tpu7x:")
    command = [args.python, HERE / "compile.py", config, "--topology", topology, "--program", form, "--hlo", hlo]
    command += shared(args)
    row = run([str(word) for word in command], env={**os.environ, "TPU_LIBRARY_PATH": str(args.libtpu)})
    if "error" in row:
        print(f"jax {form}: {row['error']}", file=sys.stderr)
        return row
    return {**row, "form": form, "estimate": run([args.estimate, args.target, hlo])}


def cells(name, row):
    estimate = row["estimate"]
    return [
        name,
        f"{estimate['seconds'] * 1e3:.3f}",
        f"{estimate['core_seconds'] * 1e3:.3f}",
        f"{estimate['hbm_bytes'] / 1e9:.2f}",
        f"{estimate['window_seconds'] * 1e3:.3f}",
        f"{row['peak'] / 2**30:.3f}",
        f"{row['compile']:.1f}",
    ]


def main():
    args, further = arguments()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        config = json.loads(args.config.read_text())
        config["num_hidden_layers"] = args.layers or config["num_hidden_layers"]
        cut = folder / "config.json"
        cut.write_text(json.dumps(config))
        ours = porter(args, cut, further)
        print("| | estimate ms | core ms | HBM GB | windows ms | peak GiB | compile s |")
        print("|---|---|---|---|---|---|---|")
        worse = False
        for program in args.programs:
            theirs, own = jax(args, cut, program, folder), ours[program]
            if theirs:
                print("|", " | ".join(cells(f"JAX {theirs['form']}", theirs)), "|")
            if not own["estimate"]:
                print(f"| Porter {program}: {own['error']} |")
                worse = True
                continue
            print("|", " | ".join(cells(f"Porter {program}", own)), "|")
            if theirs:
                time = own["estimate"]["seconds"] / theirs["estimate"]["seconds"]
                peak = own["peak"] / theirs["peak"]
                worse |= time > 1 or peak > 1
                print(f"| Porter over JAX | {time:.3f} | | | | {peak:.3f} | |", flush=True)
        sys.exit(worse)


if __name__ == "__main__":
    main()
