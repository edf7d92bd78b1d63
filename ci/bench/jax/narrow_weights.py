#!/usr/bin/env python3
"""Feed-forward layers with weights of 16, 8 and 4 bits, compiled for a TPU topology by libtpu through jax, all judged by one
estimator: what a form of weights is worth before Porter has it.

    narrow_weights.py --target v6e:1x1 --estimate ESTIMATE --libtpu LIBTPU [--rows 8 --layers 8 --group 128]

ESTIMATE is the example `estimate` of porter-plan; run it with a Python that has jax 0.10.2. A layer is `x + relu(x.W1).W2` of
Llama-3.1-8B's sizes, 4096 and 14336. Prints a Markdown table. Every time is a compiler estimate, not checked on hardware.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FORMS = [
    "bf16",
    "int8 by channel",
    "int4 by channel",
    "int4 by group, made wide",
    "int4 by group, made wide in pieces",
    "int4 by group, summed by group",
]
HIDDEN, INNER = 4096, 14336
# Bytes of a wide piece: what stays in vector memory.
PIECE = 32 << 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True)
    parser.add_argument("--estimate", type=Path, required=True)
    parser.add_argument("--libtpu", required=True)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--group", type=int, default=128)
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--dump", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def compile_one(args):
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={args.dump} --xla_dump_hlo_as_proto"
    os.environ.update(JAX_PLATFORMS="cpu", TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1")
    import jax
    import jax.numpy as jnp
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    topology = topologies.get_topology_desc(platform="tpu", topology_name=args.target)
    sharding = NamedSharding(Mesh(topology.devices, ("x",)), PartitionSpec())
    shaped = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
    bits = {"bf16": jnp.bfloat16, "int8": jnp.int8, "int4": jnp.int4}[args.form.split()[0]]
    grouped = "group" in args.form

    def weight(rows, columns):
        """Numbers `[in, out]`, or `[groups, group, out]`, and their scales."""
        if grouped:
            groups = rows // args.group
            return shaped((groups, args.group, columns), bits), shaped((groups, columns), jnp.float32)
        return shaped((rows, columns), bits), shaped((columns,), jnp.float32)

    def made_wide(x, numbers, scales):
        wide = numbers.astype(jnp.bfloat16) * scales.astype(jnp.bfloat16)[:, None, :]
        return jnp.dot(x, wide.reshape(-1, wide.shape[-1]), preferred_element_type=jnp.float32)

    def linear(x, numbers, scales):
        if args.form.endswith("in pieces"):
            inputs, outputs = x.shape[-1], numbers.shape[-1]
            columns = PIECE // 2 // inputs // 128 * 128
            pieces = [slice(start, min(start + columns, outputs)) for start in range(0, outputs, columns)]
            return jnp.concatenate([made_wide(x, numbers[..., p], scales[..., p]) for p in pieces], axis=-1)
        wide = numbers.astype(jnp.bfloat16)
        if args.form == "bf16":
            return jnp.dot(x, wide, preferred_element_type=jnp.float32)
        if not grouped:
            return jnp.dot(x, wide, preferred_element_type=jnp.float32) * scales
        if args.form.endswith("made wide"):
            return made_wide(x, numbers, scales)
        parts = x.reshape(x.shape[0], -1, args.group)
        sums = jnp.einsum("rgk,gko->gro", parts, wide, preferred_element_type=jnp.float32)
        return (sums * scales[:, None, :]).sum(0)

    def forward(x, layers):
        for up, down in layers:
            y = jnp.maximum(linear(x, *up), 0).astype(jnp.bfloat16)
            x = x + linear(y, *down).astype(jnp.bfloat16)
        return x

    layers = [(weight(HIDDEN, INNER), weight(INNER, HIDDEN)) for _ in range(args.layers)]
    step = jax.jit(forward).trace(shaped((args.rows, HIDDEN), jnp.bfloat16), layers)
    executable = step.lower(lowering_platforms=("tpu",)).compile()
    print(json.dumps({"peak": executable.memory_analysis().peak_memory_in_bytes}))


def main():
    args = arguments()
    if args.form:
        compile_one(args)
        return
    print("| | estimate ms | core ms | HBM GB | windows ms | peak MiB |\n|---|---|---|---|---|---|")
    for form in FORMS:
        with tempfile.TemporaryDirectory() as dump:
            command = [sys.executable, __file__, *sys.argv[1:], "--form", form, "--dump", dump]
            environment = {**os.environ, "TPU_LIBRARY_PATH": args.libtpu}
            row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout)
            (hlo,) = Path(dump).glob("*.jit_forward.*.after_codegen.hlo.pb")
            found = subprocess.run([args.estimate, args.target, hlo], stdout=subprocess.PIPE, check=True).stdout
        e = json.loads(found)
        print(
            f"| {form} | {e['seconds'] * 1e3:.3f} | {e['core_seconds'] * 1e3:.3f} | {e['hbm_bytes'] / 1e9:.3f} "
            f"| {e['window_seconds'] * 1e3:.3f} | {row['peak'] / 2**20:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
