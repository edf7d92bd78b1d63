#!/usr/bin/env python3
"""Mixtures of experts in several forms, compiled for a TPU topology by libtpu through jax, all judged by one estimator:
which form the TPU compiler likes at which number of rows, before Porter has one.

    experts.py --model qwen3-30b-a3b --target v6e:1x1 --estimate ESTIMATE --libtpu LIBTPU
               [--rows 1 8 64 512 4096] [--forms dense "blocked by 128" ...] [--layers 2] [--layout in_out]

ESTIMATE is the example `estimate` of porter-plan; run it with a Python that has jax 0.10.2. A layer is a router (logits in
f32, softmax over all experts, the greatest k, normalised), and `x + sum over those k of share * (silu(x.G) * (x.U)).D`, in
bf16; there is no norm. Rows are tokens. The forms, of which no one drops a token:

    dense                 every expert for every row, a product batched over experts; unchosen ones have a share of zero
    dense, flat           the same as one product of all experts' features, [hidden, experts * inner], and one back
    by expert             the same in a loop over experts
    gathered              the weights of the chosen experts gathered by row
    looped                a loop over pairs of a row and a chosen expert
    unrolled              the same without a loop
    blocked by B          pairs in order of experts, each expert's filled up to blocks of B rows; a loop over as many blocks as
                          there can be, of which each slices its expert's weights and writes where it read
    batched blocks by B   the same without a loop: each block's weights gathered
    ragged                jax.lax.ragged_dot over pairs in order of experts

`looped`, `by expert` and `blocked by B` may end in `, ahead`: a turn of the loop slices the weights of the next. `--joined` has
gate and up as one weight, `[experts, hidden, 2 * inner]`.

Trip counts are static, so the estimate knows them. Prints a Markdown table. Every time is a compiler estimate, not checked
on hardware.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Sizes(NamedTuple):
    """Of a layer."""

    experts: int
    chosen: int
    hidden: int
    inner: int


MODELS = {"qwen3-30b-a3b": Sizes(128, 8, 2048, 768), "mixtral-8x7b": Sizes(8, 2, 4096, 14336)}
ROWS = [1, 8, 64, 512, 4096]
# Seconds until a compilation is given up.
PATIENCE = 180


def forms(rows):
    """Those that make sense of so many rows."""
    few = ["gathered", "looped"] if rows <= 8 else []
    few += ["unrolled"] if rows == 1 else []
    blocks = {8: [8], 64: [16], 512: [64, 128], 4096: [128, 256, 512]}.get(rows, [])
    many = [f"blocked by {block}" for block in blocks] + (["ragged"] if rows >= 8 else [])
    return ["dense", "dense, flat", "by expert", *few, *many]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--estimate", type=Path, required=True)
    parser.add_argument("--libtpu", required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--forms", nargs="+", help="those that make sense of the rows, if left out")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--layout", choices=["in_out", "out_in"], default="in_out", help="of an expert's weights")
    parser.add_argument("--joined", action="store_true", help="gate and up are one weight")
    parser.add_argument("--keep", type=Path, help="a folder for programs: StableHLO and optimised HLO")
    parser.add_argument("--form", help=argparse.SUPPRESS)
    parser.add_argument("--dump", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def layer(sizes, form, layout, joined=False):
    """A layer's function of x and weights, and the shapes of its weights: router, gate, up, down."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    experts, k, hidden, inner = sizes
    turned = layout == "out_in"
    wide = {"preferred_element_type": jnp.float32}

    def product(spec, x, weight):
        """An einsum whose weight is written `...io`, in the layout that it has."""
        return jnp.einsum(spec.replace("io", "oi") if turned else spec, x, weight, **wide)

    def activated(spec, x, weights):
        """`silu(x.G) * (x.U)` of the weights but the last, which may be one."""
        found = [product(spec, x, weight) for weight in weights[:-1]]
        gate, up = jnp.split(found[0], 2, axis=-1) if joined else found
        return jax.nn.silu(gate) * up

    def sliced(weights, at):
        """Those of expert `at`, a scalar."""
        return [lax.dynamic_index_in_dim(w, at, keepdims=False) for w in weights]

    def expert(x, weights):
        """One expert's result of rows."""
        middle = activated("ri,io->ro", x, weights).astype(jnp.bfloat16)
        return product("ri,io->ro", middle, weights[-1])

    def loop(turns, of_turn, weights, step, state):
        """`state = step(turn, state, weights of the expert of the turn)`, turn by turn."""
        if not ahead:
            return lax.fori_loop(0, turns, lambda at, state: step(at, state, sliced(weights, of_turn(at))), state)

        def body(at, both):
            state, now = both
            following = sliced(weights, of_turn(jnp.minimum(at + 1, turns - 1)))
            return step(at, state, now), following

        return lax.fori_loop(0, turns, body, (state, sliced(weights, of_turn(0))))[0]

    def everywhere(chosen, shares):
        """`[rows, experts]`, zero for the unchosen."""
        return (jax.nn.one_hot(chosen, experts, dtype=jnp.float32) * shares[..., None]).sum(1)

    def dense(x, chosen, shares, weights):
        middle = activated("ri,eio->ero", x, weights)
        middle = (middle * everywhere(chosen, shares).T[..., None]).astype(jnp.bfloat16)
        return product("eri,eio->ro", middle, weights[-1])

    def flat(x, chosen, shares, weights):
        """Gate and up are `[experts * inner, hidden]`, features first, and down is as large, features first too, whatever
        the layout: this is what makes them flat."""
        gate, up, down = weights
        over = lambda weight: jnp.einsum("rh,fh->rf", x, weight, **wide)
        middle = jax.nn.silu(over(gate)) * over(up)
        middle = middle.reshape(-1, experts, inner) * everywhere(chosen, shares)[..., None]
        middle = middle.astype(jnp.bfloat16).reshape(-1, experts * inner)
        return jnp.einsum("rf,fh->rh", middle, down, **wide)

    def by_expert(x, chosen, shares, weights):
        share = everywhere(chosen, shares).T

        def step(at, total, own):
            return total + expert(x, own) * lax.dynamic_index_in_dim(share, at, keepdims=False)[:, None]

        return loop(experts, lambda at: at, weights, step, jnp.zeros(x.shape, jnp.float32))

    def gathered(x, chosen, shares, weights):
        own = [w[chosen] for w in weights]
        middle = activated("ri,rkio->rko", x, own) * shares[..., None]
        return product("rki,rkio->ro", middle.astype(jnp.bfloat16), own[-1])

    def looped(x, chosen, shares, weights):
        of_pair, of_share = chosen.reshape(-1), shares.reshape(-1)

        def step(at, total, own):
            row = at // k
            y = expert(lax.dynamic_slice_in_dim(x, row, 1), own) * of_share[at]
            return lax.dynamic_update_slice_in_dim(total, lax.dynamic_slice_in_dim(total, row, 1) + y, row, 0)

        return loop(chosen.size, lambda at: of_pair[at], weights, step, jnp.zeros(x.shape, jnp.float32))

    def unrolled(x, chosen, shares, weights):
        of_pair, of_share = chosen.reshape(-1), shares.reshape(-1)
        parts = [expert(x[at // k][None], sliced(weights, of_pair[at])) * of_share[at] for at in range(chosen.size)]
        return jnp.concatenate(parts).reshape(-1, k, hidden).sum(1)

    def counted(of_pair):
        """How many pairs each expert has."""
        return jax.nn.one_hot(of_pair, experts, dtype=jnp.int32).sum(0)

    def blocked(x, chosen, shares, weights, block, batched):
        pairs = chosen.size
        # Each expert's first pair may begin a block, and only full blocks follow.
        begun = min(experts, pairs)
        blocks = begun + (pairs - begun) // block
        of_pair = chosen.reshape(-1)
        order = jnp.argsort(of_pair)
        count = counted(of_pair)
        filled = -(-count // block)
        last = jnp.cumsum(filled)
        # From a pair's place among all of its order to its place among padded ones.
        shift = (last - filled) * block - (jnp.cumsum(count) - count)
        slot = jnp.arange(pairs) + shift[of_pair[order]]
        source = jnp.zeros(blocks * block, jnp.int32).at[slot].set(order // k, unique_indices=True)
        of_block = jnp.minimum(jnp.searchsorted(last, jnp.arange(blocks), side="right", method="compare_all"), experts - 1)
        inputs = x[source]

        if batched:
            own = [w[of_block] for w in weights]
            middle = activated("bri,bio->bro", inputs.reshape(blocks, block, hidden), own).astype(jnp.bfloat16)
            results = product("bri,bio->bro", middle, own[-1]).reshape(-1, hidden).astype(jnp.bfloat16)
        else:

            def step(at, rows, own):
                y = expert(lax.dynamic_slice_in_dim(rows, at * block, block), own).astype(jnp.bfloat16)
                return lax.dynamic_update_slice_in_dim(rows, y, at * block, 0)

            results = loop(blocks, lambda at: of_block[at], weights, step, inputs)
        back = jnp.zeros(pairs, jnp.int32).at[order].set(slot, unique_indices=True)
        return (results[back].reshape(-1, k, hidden) * shares[..., None]).sum(1)

    def ragged(x, chosen, shares, weights):
        of_pair = chosen.reshape(-1)
        order = jnp.argsort(of_pair)
        count = counted(of_pair)
        gate, up, down = (w.swapaxes(1, 2) if turned else w for w in weights)
        over = lambda rows, weight: lax.ragged_dot(rows, weight, count, **wide)
        inputs = x[order // k]
        middle = (jax.nn.silu(over(inputs, gate)) * over(inputs, up)).astype(jnp.bfloat16)
        results = over(middle, down).astype(jnp.bfloat16)[jnp.argsort(order)]
        return (results.reshape(-1, k, hidden) * shares[..., None]).sum(1)

    name = form.removesuffix(", ahead")
    ahead = name != form
    name, _, block = name.partition(" by ") if "block" in name else (name, None, None)
    mix = {
        "dense": dense,
        "dense, flat": flat,
        "by expert": by_expert,
        "gathered": gathered,
        "looped": looped,
        "unrolled": unrolled,
        "blocked": lambda *inputs: blocked(*inputs, int(block), batched=False),
        "batched blocks": lambda *inputs: blocked(*inputs, int(block), batched=True),
        "ragged": ragged,
    }[name]

    def forward(x, router, *weights):
        logits = jnp.dot(x, router, **wide)
        shares, chosen = lax.top_k(jax.nn.softmax(logits), k)
        shares = shares / shares.sum(-1, keepdims=True)
        return x + mix(x, chosen, shares, weights).astype(x.dtype)

    matrix = lambda wide, narrow: (experts, narrow, wide) if turned else (experts, wide, narrow)
    into = [matrix(hidden, 2 * inner)] if joined else [matrix(hidden, inner), matrix(hidden, inner)]
    weights = [*into, matrix(inner, hidden)]
    if form == "dense, flat":
        weights = 3 * [(experts * inner, hidden)]
    return forward, [(hidden, experts), *weights]


def compile_one(args):
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={args.dump} --xla_dump_hlo_as_proto --xla_dump_hlo_as_text"
    os.environ.update(JAX_PLATFORMS="cpu", TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1")
    import jax
    import jax.numpy as jnp
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    topology = topologies.get_topology_desc(platform="tpu", topology_name=args.target)
    sharding = NamedSharding(Mesh(topology.devices, ("x",)), PartitionSpec())
    shaped = lambda shape: jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding)
    (rows,) = args.rows
    sizes = MODELS[args.model]
    one, shapes = layer(sizes, args.form, args.layout, args.joined)

    def forward(x, layers):
        for weights in layers:
            x = one(x, *weights)
        return x

    layers = [[shaped(shape) for shape in shapes] for _ in range(args.layers)]
    lowered = jax.jit(forward).trace(shaped((rows, sizes.hidden)), layers).lower(lowering_platforms=("tpu",))
    Path(args.dump, "stablehlo.mlir").write_text(lowered.as_text())
    started = time.monotonic()
    executable = lowered.compile()
    seconds = time.monotonic() - started
    print(json.dumps({"peak": executable.memory_analysis().peak_memory_in_bytes, "compile": seconds}))


def kept(args, rows, form, dump):
    folder = args.keep / f"{args.model}_{rows}_{args.layout}{'_joined' if args.joined else ''}_{form.replace(',', '').replace(' ', '_')}"
    folder.mkdir(parents=True, exist_ok=True)
    texts = [dump / "stablehlo.mlir", *dump.glob("*.jit_forward.*.after_codegen.txt")]
    for path in [*texts, *dump.glob("*.jit_forward.*.after_codegen.hlo.pb")]:
        if path.exists():
            (folder / path.name).write_bytes(path.read_bytes())


def cells(args, rows, form):
    """A row of the table; a form that the compiler refuses has its reason."""
    with tempfile.TemporaryDirectory() as dump:
        command = [sys.executable, __file__, "--model", args.model, "--target", args.target, "--estimate", args.estimate]
        command += ["--libtpu", args.libtpu, "--layers", args.layers, "--layout", args.layout, "--rows", rows]
        command += ["--joined"] if args.joined else []
        command = [str(word) for word in [*command, "--form", form, "--dump", dump]]
        environment = {**os.environ, "TPU_LIBRARY_PATH": args.libtpu}
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return [f"not compiled after {PATIENCE} s"]
        if args.keep:
            kept(args, rows, form, Path(dump))
        if done.returncode:
            return [(done.stderr.strip().splitlines() or ["?"])[-1][:160]]
        row = json.loads(done.stdout.splitlines()[-1])
        (hlo,) = Path(dump).glob("*.jit_forward.*.after_codegen.hlo.pb")
        found = subprocess.run([args.estimate, args.target, hlo], stdout=subprocess.PIPE, check=True).stdout
    e = json.loads(found)
    return [
        f"{e['seconds'] * 1e3:.3f}",
        f"{e['core_seconds'] * 1e3:.3f}",
        f"{e['hbm_bytes'] / 1e9:.3f}",
        f"{e['window_seconds'] * 1e3:.3f}",
        f"{e['compiled_flops'] / 1e12:.3f}",
        f"{row['peak'] / 2**20:.0f}",
        f"{row['compile']:.0f}",
        "; ".join(e["notes"][1:]),
    ]


def main():
    args = arguments()
    if args.form:
        compile_one(args)
        return
    print("| rows | form | estimate ms | core ms | HBM GB | windows ms | Tflop | peak MiB | compile s | notes |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for rows in args.rows:
        for form in args.forms or forms(rows):
            print("|", " | ".join([str(rows), form, *cells(args, rows, form)]), "|", flush=True)


if __name__ == "__main__":
    main()
