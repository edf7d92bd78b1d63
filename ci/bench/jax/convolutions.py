#!/usr/bin/env python3
"""The same stack of convolutions as ONNX writes it (NCHW and OIHW) and with channels last, compiled for a TPU topology by libtpu
through jax, both judged by one estimator.

    convolutions.py --target v5e:1x1 --estimate ESTIMATE --libtpu LIBTPU [--batch 8 --size 112]

ESTIMATE is the example `estimate` of porter-plan; run it with a Python that has jax 0.10.2. The stack is four stages of
two ResNet bottlenecks each (https://arxiv.org/abs/1512.03385, table 1) in bf16, and a detector's depthwise
separable stage. Prints a Markdown table. Every time is a compiler estimate, not checked on hardware.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

LAYOUTS = {
    "NCHW, kernels OIHW": ("NCHW", "OIHW", "NCHW"),
    "NCHW, kernels HWIO": ("NCHW", "HWIO", "NCHW"),
    "NHWC, kernels OIHW": ("NHWC", "OIHW", "NHWC"),
    "NHWC, kernels HWIO": ("NHWC", "HWIO", "NHWC"),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True)
    parser.add_argument("--estimate", type=Path, required=True)
    parser.add_argument("--libtpu", required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--layout", choices=LAYOUTS, help=argparse.SUPPRESS)
    parser.add_argument("--dump", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def network(layout, lax, jnp):
    """The stack over `x`, and the shapes of its kernels as `[out, in, height, width]` with their strides and groups."""
    shapes = []
    for width, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        for block in range(2):
            inner = 64 if not shapes else shapes[-1][0][0]
            step = stride if block == 0 else 1
            shapes += [((width, inner, 1, 1), 1, 1), ((width, width, 3, 3), step, 1), ((4 * width, width, 1, 1), 1, 1)]
    for _ in range(4):
        shapes += [((2048, 1, 3, 3), 1, 2048), ((2048, 2048, 1, 1), 1, 1)]

    def forward(x, kernels):
        for kernel, (shape, stride, groups) in zip(kernels, shapes, strict=True):
            pad = shape[2] // 2
            x = lax.conv_general_dilated(
                x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=LAYOUTS[layout],
                feature_group_count=groups,
            )
            x = jnp.maximum(x, 0)
        return x

    return forward, shapes


def compile_one(args):
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={args.dump} --xla_dump_hlo_as_proto"
    os.environ.update(JAX_PLATFORMS="cpu", TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1")
    import jax
    import jax.numpy as jnp
    from jax import lax
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    topology = topologies.get_topology_desc(platform="tpu", topology_name=args.target)
    sharding = NamedSharding(Mesh(topology.devices, ("x",)), PartitionSpec())
    shaped = lambda shape: jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding)
    forward, shapes = network(args.layout, lax, jnp)
    images, kernel, _ = LAYOUTS[args.layout]
    sizes = {"N": args.batch, "C": 64, "H": args.size, "W": args.size}
    image = tuple(sizes[dim] for dim in images)
    kernels = [tuple(dict(zip("OIHW", shape, strict=True))[dim] for dim in kernel) for shape, *_ in shapes]
    step = jax.jit(forward).trace(shaped(image), [shaped(kernel) for kernel in kernels])
    executable = step.lower(lowering_platforms=("tpu",)).compile()
    print(json.dumps({"peak": executable.memory_analysis().peak_memory_in_bytes}))


def main():
    args = arguments()
    if args.layout:
        compile_one(args)
        return
    print("| | estimate ms | core ms | HBM GB | windows ms | peak MiB |\n|---|---|---|---|---|---|")
    for layout in LAYOUTS:
        with tempfile.TemporaryDirectory() as dump:
            command = [sys.executable, __file__, *sys.argv[1:], "--layout", layout, "--dump", dump]
            environment = {**os.environ, "TPU_LIBRARY_PATH": args.libtpu}
            row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout)
            (hlo,) = Path(dump).glob("*.jit_forward.*.after_codegen.hlo.pb")
            found = subprocess.run([args.estimate, args.target, hlo], stdout=subprocess.PIPE, check=True).stdout
        e = json.loads(found)
        print(
            f"| {layout} | {e['seconds'] * 1e3:.3f} | {e['core_seconds'] * 1e3:.3f} | {e['hbm_bytes'] / 1e9:.3f} "
            f"| {e['window_seconds'] * 1e3:.3f} | {row['peak'] / 2**20:.0f} |"
        )


if __name__ == "__main__":
    main()
