"""Runs ports in JAX on the CPU and compares their logits with a bundle's.

    test.py PORTER BUNDLE...

Every bundle is ported for one device and for a mesh of four, loaded with load.py, and given its prompt through
prefill and its continuation through decode with donated states.
"""

import os, subprocess, sys, tempfile, pathlib

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from load import load

BUCKET, CONTEXT, STEPS = 16, 64, 12
CASES = [("v6e:1x1", 1, []), ("v6e:2x2", 1, ["--mesh", "tensor=4"]), ("v6e:2x2", 2, ["--mesh", "data=2,tensor=2"])]


def port(porter, bundle, target, batch, mesh, out):
    sizes = ["--batch", str(batch), "--prompt", str(BUCKET), "--context", str(CONTEXT)]
    subprocess.run([porter, "port", bundle, "--target", target, "--dtype", "f32", "-o", out, "-q", *sizes, *mesh],
                   check=True, stdout=subprocess.DEVNULL)


def logits(out, batch, prompt, tokens):
    """The logits before each of `tokens`, of every row."""
    takes, prefill = load(out, f"prefill_{batch}x{BUCKET}_{CONTEXT}")
    steps, decode = load(out, f"decode_{batch}_{CONTEXT}")
    place = lambda name, value: jax.device_put(value, takes[name].sharding or jax.devices()[0])
    held = {name: place(name, value.astype(takes[name].dtype)) for name, value in load_file(f"{out}/weights.safetensors").items()}
    states = {name: place(name, jnp.zeros(spec.shape, spec.dtype)) for name, spec in takes.items()
              if name.startswith("cache.")}
    padding = np.full(batch, BUCKET - len(prompt), np.int32)
    ids = np.tile(np.pad(prompt, (BUCKET - len(prompt), 0)).astype(np.int32), (batch, 1))
    prefill, decode = (jax.jit(lambda states, given, f=f: f(held | states | given), donate_argnums=0)
                       for f in (prefill, decode))
    states = prefill(states, {"input_ids": ids, "padding": padding})
    rows = [np.asarray(states.pop("logits"))]
    for slot, token in enumerate(tokens[:-1], BUCKET):
        step = {"input_ids": np.full((batch, 1), token, np.int32), "padding": padding, "offset": np.int32(slot)}
        states = decode(states, step)
        rows.append(np.asarray(states.pop("logits")))
    return np.stack(rows, 1)


def documented():
    """Whether docs/jax.md shows load.py as it is."""
    here = pathlib.Path(__file__).parent
    code = (here / "load.py").read_text().split("# begin docs/jax.md\n")[1].split("# end docs/jax.md")[0]
    return code in (here / "../../docs/jax.md").read_text()


def main(porter, bundles):
    assert documented(), "docs/jax.md shows another load than ci/jax/load.py"
    for bundle in bundles:
        prompt = load_file(f"{bundle}/inputs.safetensors")["input_ids"][0]
        recorded = load_file(f"{bundle}/reference.safetensors")
        tokens, expected = recorded["generated"].reshape(-1)[:STEPS], recorded["generated_logits"][:STEPS]
        for target, batch, mesh in CASES:
            with tempfile.TemporaryDirectory() as folder:
                out = f"{folder}/port"
                port(porter, bundle, target, batch, mesh, out)
                found = logits(out, batch, prompt, tokens)
            # The bundles' budget of f32: numerics/src/budget.rs, `Budget::recorded`.
            worst, budget = np.abs(found - expected).max(), 1e-4 * expected.std()
            print(f"{bundle} on {target} {' '.join(mesh)}: {len(tokens)} steps, off by {worst:.2e} of {budget:.2e}")
            assert worst <= budget, "over budget"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
