#!/usr/bin/env python3
"""A Mosaic kernel as data: jax's flash attention lowered for a TPU topology, its StableHLO pasted into a program that jax did
not write, and compiled from that text alone by libtpu.

    mosaic.py --target v6e:1x1 --estimate ESTIMATE --libtpu LIBTPU
              [--heads 32 --head-dim 128 --tokens 4096 8192] [--forms ...] [--profile] [--keep FOLDER]

ESTIMATE is the example `estimate` of porter-plan; run it with a Python that has jax 0.10.2. Attention is causal, of one
batch, in bf16. The forms:

    flash B               jax.experimental.pallas.ops.tpu.flash_attention, blocks of B queries and keys; `flash default` its own
    pasted B              the custom call of `flash B` alone, in a module written by hand: queries come as
                          `[batch, tokens, heads * dim]`, another name, another argument order, an addition behind
    loop B                the same attention as a loop over the pairs of blocks that see each other, in plain jnp, as Porter's
                          `blocked_attention` has it
    naive                 scores of all pairs at once

Each is lowered to text by one process and compiled by another, which imports no Pallas. `--profile` asks the compiler for the
cycles of bundles (`--xla_jf_dump_static_llo_profile_to`), which it gives of kernels too, and which takes minutes. Prints a
Markdown table, and what the kernel's text says of itself. Every time is a compiler estimate, not checked on hardware.
"""

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Seconds until a compilation is given up.
PATIENCE = 240
MASKED = -0.7 * 3.4e38


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True)
    parser.add_argument("--estimate", type=Path, required=True)
    parser.add_argument("--libtpu", required=True)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 8192])
    parser.add_argument("--forms", nargs="+", default=["flash default", "flash 512", "flash 1024", "pasted 512", "loop 512"])
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for programs: StableHLO and optimised HLO")
    parser.add_argument("--lower", help=argparse.SUPPRESS)
    parser.add_argument("--compile", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--dump", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def quiet():
    """Before jax loads XLA and libtpu."""
    os.environ.update(JAX_PLATFORMS="cpu", TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1")


def attention(form, tokens):
    """The function of queries, keys and values, each `[batch, heads, tokens, dim]`."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    name, _, size = form.partition(" ")
    if name == "flash":
        from jax.experimental.pallas.ops.tpu.flash_attention import BlockSizes, flash_attention

        sizes = None if size == "default" else BlockSizes(int(size), int(size), int(size), 1)
        return lambda q, k, v: flash_attention(q, k, v, causal=True, sm_scale=q.shape[-1] ** -0.5, block_sizes=sizes)

    def scores(q, k, behind):
        """Of queries that begin `behind` tokens behind the keys."""
        found = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32) * q.shape[-1] ** -0.5
        return jnp.where(jnp.arange(q.shape[2])[:, None] + behind >= jnp.arange(k.shape[2]), found, MASKED)

    def mixed(weights, v):
        return jnp.einsum("bhqk,bhkd->bhqd", weights.astype(v.dtype), v, preferred_element_type=jnp.float32)

    if name == "naive":
        return lambda q, k, v: mixed(jax.nn.softmax(scores(q, k, 0)), v).astype(q.dtype)

    block = int(size)
    pairs = [(i, j) for i in range(tokens // block) for j in range(i + 1)]

    def looped(q, k, v):
        rows, columns = (jnp.array(side, jnp.int32) for side in zip(*pairs, strict=True))
        of = lambda x, at: lax.dynamic_slice_in_dim(x, at * block, block, 2)

        def body(n, state):
            i, j = rows[n], columns[n]
            best, total, mix = (of(x, i) for x in state)
            found = scores(of(q, i), of(k, j), (i - j) * block)
            new = jnp.maximum(best, found.max(-1, keepdims=True))
            weights, kept = jnp.exp(found - new), jnp.exp(best - new)
            step = (new, total * kept + weights.sum(-1, keepdims=True), mix * kept + mixed(weights, of(v, j)))
            return tuple(lax.dynamic_update_slice_in_dim(x, y, i * block, 2) for x, y in zip(state, step, strict=True))

        column = (*q.shape[:3], 1)
        start = (jnp.full(column, MASKED), jnp.zeros(column), jnp.zeros(q.shape, jnp.float32))
        _, total, mix = lax.fori_loop(0, len(pairs), body, start)
        return (mix / total).astype(q.dtype)

    return looped


def lower_one(args):
    """Writes the StableHLO of a form on standard output."""
    quiet()
    import jax
    import jax.numpy as jnp
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    topology = topologies.get_topology_desc(platform="tpu", topology_name=args.target)
    sharding = NamedSharding(Mesh(topology.devices, ("x",)), PartitionSpec())
    (tokens,) = args.tokens
    x = jax.ShapeDtypeStruct((1, args.heads, tokens, args.head_dim), jnp.bfloat16, sharding=sharding)
    print(jax.jit(attention(args.lower, tokens)).trace(x, x, x).lower(lowering_platforms=("tpu",)).as_text())


def call_of(text):
    """The attributes and the type of the only custom call of a kernel in a module's text."""
    (found,) = re.findall(r"stablehlo\.custom_call @tpu_custom_call\([^)]*\) (\{.*\}) : \(.*\) -> (tensor<.*>)$", text, re.M)
    return found


def pasted(text, tokens, heads, dim):
    """A module by hand around the kernel of another."""
    attributes, kind = call_of(text)
    flat, split, turned = f"tensor<1x{tokens}x{heads * dim}xbf16>", f"tensor<1x{tokens}x{heads}x{dim}xbf16>", kind
    turn = lambda name: (
        f"    %{name}s = stablehlo.reshape %{name} : ({flat}) -> {split}\n"
        f"    %{name}t = stablehlo.transpose %{name}s, dims = [0, 2, 1, 3] : ({split}) -> {turned}\n"
    )
    return (
        "module @by_hand {\n"
        f"  func.func public @main(%v: {flat}, %q: {flat}, %k: {flat}) -> {flat} {{\n"
        f"{turn('q')}{turn('k')}{turn('v')}"
        f"    %a = stablehlo.custom_call @tpu_custom_call(%qt, %kt, %vt) {attributes} : ({turned}, {turned}, {turned}) -> {turned}\n"
        f"    %b = stablehlo.transpose %a, dims = [0, 2, 1, 3] : ({turned}) -> {split}\n"
        f"    %c = stablehlo.reshape %b : ({split}) -> {flat}\n"
        f"    %d = stablehlo.add %c, %q : {flat}\n"
        f"    return %d : {flat}\n"
        "  }\n}\n"
    )


def compile_one(args):
    """Compiles a module's text, of which this process knows nothing else."""
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={args.dump} --xla_dump_hlo_as_proto --xla_dump_hlo_as_text"
    if args.profile:
        os.environ["LIBTPU_INIT_ARGS"] = f"--xla_jf_dump_static_llo_profile_to={args.dump}/profile"
    quiet()
    import numpy
    from jax._src.interpreters import mlir
    from jax.experimental import topologies
    from jaxlib import _jax, xla_client
    from jaxlib.mlir import ir

    topology = topologies.get_topology_desc(platform="tpu", topology_name=args.target)
    (device,) = topology.devices
    options = xla_client.CompileOptions()
    options.executable_build_options.num_replicas = options.executable_build_options.num_partitions = 1
    options.executable_build_options.device_assignment = xla_client.DeviceAssignment.create(numpy.array([[device.id]]))
    with mlir.make_ir_context():
        module = ir.Module.parse(args.compile.read_text())
        started = time.monotonic()
        executable = device.client.compile(module, _jax.DeviceList((device,)), options)
        seconds = time.monotonic() - started
    assert "jax.experimental.pallas" not in sys.modules
    memory = executable.get_compiled_memory_stats()
    peak, temporaries = memory.peak_memory_in_bytes, memory.temp_size_in_bytes
    print(json.dumps({"peak": peak, "temporaries": temporaries, "compile": seconds}))


def own(args, *words):
    """This script in another process, its standard output."""
    command = [sys.executable, __file__, "--target", args.target, "--estimate", args.estimate, "--libtpu", args.libtpu]
    command += ["--heads", args.heads, "--head-dim", args.head_dim, *(["--profile"] if args.profile else []), *words]
    environment = {**os.environ, "TPU_LIBRARY_PATH": args.libtpu}
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not compiled after {PATIENCE} s") from None
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["?"])[-1][:200])
    return done.stdout


def kernel_cycles(text):
    """Cycles that the optimised HLO's text gives of kernels: of windows and of bundles, "-" where it gives none."""
    lines = [line for line in text.splitlines() if "tpu_custom_call" in line and "custom-call(" in line]
    cycles = lambda part: sum(int(n) for line in lines for n in re.findall(part, line)) or "-"
    window = cycles(r'"window_config":\{[^{}]*?"estimated_cycles":"?(\d+)')
    return window, cycles(r'"bundle_analysis_data":\{[^{}]*?"estimated_cycles":"?(\d+)')


def cells(args, tokens, form, folder):
    name, _, size = form.partition(" ")
    source = f"flash {size}" if name == "pasted" else form
    text = own(args, "--tokens", tokens, "--lower", source)
    if name == "pasted":
        text = pasted(text, tokens, args.heads, args.head_dim)
    program = folder / "program.mlir"
    program.write_text(text)
    row = json.loads(own(args, "--tokens", tokens, "--compile", program, "--dump", folder).splitlines()[-1])
    (hlo,) = folder.glob("*.after_codegen.hlo.pb")
    (optimised,) = folder.glob("*.after_codegen.txt")
    found = subprocess.run([args.estimate, args.target, hlo], stdout=subprocess.PIPE, check=False).stdout
    e = json.loads(found) if found else None
    window, bundle = kernel_cycles(optimised.read_text())
    estimated = [f"{e['seconds'] * 1e3:.3f}", f"{e['hbm_bytes'] / 1e9:.3f}", f"{e['window_seconds'] * 1e3:.3f}"] if e else 3 * ["-"]
    memory = [f"{row['peak'] / 2**20:.0f}", f"{row['temporaries'] / 2**20:.0f}"]
    return [*estimated, str(window), str(bundle), *memory, f"{row['compile']:.1f}", str(len(text))]


def describe(text):
    """What a kernel's text says of itself, and of what its body is made."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    from jax._src.lib import tpu
    from jaxlib.mlir import ir

    attributes, _ = call_of(text)
    quoted = re.search(r'backend_config = "((?:[^"\\]|\\.)*)"', attributes).group(1)
    config = json.loads(re.sub(r"\\([0-9A-Fa-f]{2})", lambda x: chr(int(x[1], 16)), quoted))
    body = base64.b64decode(config["custom_call_config"].pop("body"))
    context = ir.Context()
    context.allow_unregistered_dialects = True
    tpu.register_dialect(context)
    with context:
        version = ir.Module.parse(body).operation.attributes["stable_mosaic.version"]
    producer = body[5:].split(b"\0")[0].decode()
    print(f"\nBody: {len(body)} bytes of MLIR bytecode by {producer}, stable_mosaic.version {version}")
    print(f"Beside it: {json.dumps(config)}")
    print(f"Attributes: {attributes.replace(quoted, '...')}")


def main():
    args = arguments()
    if args.lower:
        lower_one(args)
        return
    if args.compile:
        compile_one(args)
        return
    print("| tokens | form | estimate ms | HBM GB | windows ms | kernel's window cycles | its bundle cycles | peak MiB | temporaries MiB | compile s | text bytes |")
    print("|" + 11 * "---|", flush=True)
    for tokens in args.tokens:
        for form in args.forms:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    found = cells(args, tokens, form, Path(folder))
                except RuntimeError as error:
                    found = [str(error)]
                if args.keep:
                    keep = args.keep / f"{tokens}_{form.replace(' ', '_')}"
                    keep.mkdir(parents=True, exist_ok=True)
                    for path in [*Path(folder).glob("program.mlir"), *Path(folder).glob("*.after_codegen*")]:
                        (keep / path.name).write_bytes(path.read_bytes())
            print("|", " | ".join([str(tokens), form, *found]), "|", flush=True)
    describe(own(args, "--tokens", args.tokens[0], "--lower", "flash 512"))


if __name__ == "__main__":
    main()
