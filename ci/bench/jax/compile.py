#!/usr/bin/env python3
"""Compiles llama.py ahead of time for a TPU topology with jax; one JSON object on standard output.

    compile.py CONFIG --topology v6e:1x1 --program decode|prefill|prefill_scan
               [--batch 8 --prompt 1024 --context 1024] --hlo FILE

`TPU_LIBRARY_PATH` names libtpu. The program as it was after code was generated, which is when it has the
compiler's cycles, is written to FILE as the HloProto that XLA dumps: jaxlib's own reader refuses some of
libtpu's programs (facts/aot.md part 2).
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
    parser.add_argument("--hlo", type=Path, required=True)
    return parser.parse_args()


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


def compiled(args, dump):
    import jax
    import jax.numpy as jnp
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    import llama

    sizes = llama.Sizes(json.loads(args.config.read_text()))
    topology = topologies.get_topology_desc(platform="tpu", topology_name=args.topology)
    mesh = Mesh(topology.devices, ("tensor",))
    stacked = args.program == "prefill_scan"

    def shaped(shape, dtype, divided=None, stack=False):
        axes = ["tensor" if i == divided else None for i in range(len(shape))]
        if stack:
            shape, axes = (sizes.layers, *shape), [None, *axes]
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, PartitionSpec(*axes)))

    def weight(spec, stack=False):
        shape, divided = spec
        return shaped(shape, jnp.float32 if len(shape) == 1 else jnp.bfloat16, divided, stack)

    layer = lambda stack: {name: weight(spec, stack) for name, spec in sizes.layer_shapes().items()}
    params = {name: weight(spec) for name, spec in sizes.top_shapes().items()}
    params["layers"] = layer(True) if stacked else [layer(False) for _ in range(sizes.layers)]
    cache = shaped((args.batch, sizes.kv_heads, args.context, sizes.head_dim), jnp.bfloat16, 1)
    caches = [(cache, cache) for _ in range(sizes.layers)]
    tokens = 1 if args.program == "decode" else args.prompt
    ids = shaped((args.batch, tokens), jnp.int32)
    padding = shaped((args.batch,), jnp.int32)
    inputs = {
        "decode": [params, caches, ids, padding, shaped((), jnp.int32)],
        "prefill": [params, caches, ids, padding],
        "prefill_scan": [params, ids, padding],
    }[args.program]

    step = getattr(llama, args.program)(sizes)
    step.__name__ = args.program
    donated = () if stacked else (1,)
    lowered = jax.jit(step, donate_argnums=donated).trace(*inputs).lower(lowering_platforms=("tpu",))
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
