#!/usr/bin/env python3
"""Compiles llama.py ahead of time for a TPU topology with jax; one JSON object on standard output.

    compile.py CONFIG --topology v6e:1x1 --program decode|prefill|prefill_scan
               [--batch 8 --prompt 1024 --context 1024] [--mesh fsdp=8,tensor=8 --rules 2d] --hlo FILE

All devices are `tensor` if --mesh is left out. `TPU_LIBRARY_PATH` names libtpu. The program as it was after code
was generated, which is when it has the compiler's cycles, is written to FILE as the HloProto that XLA dumps:
jaxlib's own reader refuses some of libtpu's programs (facts/aot.md part 2).
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--topology", required=True)
    parser.add_argument("--program", choices=["decode", "prefill", "prefill_scan"], required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=1024)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--mesh", type=mesh_axes, help="AXIS=N,...")
    parser.add_argument("--rules", default="serving", help="of llama.RULES")
    parser.add_argument("--hlo", type=Path, required=True)
    return parser.parse_args()


def mesh_axes(text):
    return {name: int(size) for name, size in (axis.split("=") for axis in text.split(","))}


def main():
    args = arguments()
    dump = tempfile.mkdtemp()
    # Before jax loads XLA.
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={dump} --xla_dump_hlo_as_proto"
    os.environ.update(JAX_PLATFORMS="cpu", TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1")
    try:
        print(json.dumps(compiled(args, Path(dump))))
    finally:
        shutil.rmtree(dump, ignore_errors=True)


def device_mesh(args):
    import numpy
    from jax.experimental import topologies
    from jax.sharding import Mesh

    dims = [int(dim) for dim in args.topology.split(":")[1].split("x")]
    # libtpu does not assume of cubes that they are tori (facts/pjrt.md part 4).
    torus = {"wrap": [1, 1, 1]} if len(dims) == 3 and all(dim % 4 == 0 for dim in dims) else {}
    topology = topologies.get_topology_desc(platform="tpu", topology_name=args.topology, **torus)
    # The estimator takes a device's number in the program for its place.
    devices = sorted(topology.devices, key=lambda device: device.id)
    mesh = args.mesh or {"tensor": len(devices)}
    return Mesh(numpy.array(devices).reshape(*mesh.values()), tuple(mesh))


def inputs(args, sizes, layout):
    import jax
    import jax.numpy as jnp

    def shaped(shape, names, dtype=jnp.bfloat16):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=layout.sharding(names))

    def weights(shapes, stack=()):
        """Of matrices in bf16 and norms in f32, with the dimensions `stack` before theirs."""
        dtype = lambda shape: jnp.float32 if len(shape) == 1 else jnp.bfloat16
        stacked = lambda shape, names: shaped((*stack, *shape), (*[None] * len(stack), *names), dtype(shape))
        return {name: stacked(*spec) for name, spec in shapes.items()}

    ids = shaped((args.batch, 1 if args.program == "decode" else args.prompt), ("rows", None), jnp.int32)
    padding = shaped((args.batch,), ("rows",), jnp.int32)
    params = weights(sizes.top_shapes())
    cache, lies = (args.batch, sizes.kv_heads, args.context, sizes.head_dim), ("rows", "kv_heads", None, None)
    if args.program == "prefill_scan":
        params["layers"] = weights(sizes.layer_shapes(), (sizes.layers,))
        return [params, [shaped((sizes.layers, *cache), (None, *lies))] * 2, ids, padding]
    params["layers"] = [weights(sizes.layer_shapes()) for _ in range(sizes.layers)]
    cache = shaped(cache, lies)
    caches = [(cache, cache) for _ in range(sizes.layers)]
    offset = [shaped((), (), jnp.int32)] if args.program == "decode" else []
    return [params, caches, ids, padding, *offset]


def compiled(args, dump):
    import jax

    import llama

    sizes = llama.Sizes(json.loads(args.config.read_text()))
    layout = llama.Layout(device_mesh(args), args.rules)
    step = getattr(llama, args.program)(sizes, layout)
    step.__name__ = args.program
    traced = jax.jit(step, donate_argnums=(1,)).trace(*inputs(args, sizes, layout))
    lowered = traced.lower(lowering_platforms=("tpu",))
    started = time.monotonic()
    try:
        executable = lowered.compile()
    except Exception as error:  # noqa: BLE001
        return {"program": args.program, "error": str(error).splitlines()[0]}
    seconds = time.monotonic() - started

    optimised = list(dump.glob(f"*.jit_{args.program}.*.after_codegen.hlo.pb"))
    if len(optimised) != 1:
        sys.exit(f"XLA dumped {sorted(p.name for p in dump.iterdir())}; one optimised program was expected")
    shutil.move(optimised[0], args.hlo)
    memory = executable.memory_analysis()
    return {
        "program": args.program,
        "compile": seconds,
        "peak": memory.peak_memory_in_bytes,
        "arguments": memory.argument_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "code": memory.generated_code_size_in_bytes,
    }


if __name__ == "__main__":
    main()
