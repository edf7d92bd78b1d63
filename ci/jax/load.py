"""Loads a program of a port into JAX, as docs/jax.md shows it."""

import dataclasses, json, pathlib

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

# begin docs/jax.md
def load(out, name):
    manifest = json.loads(pathlib.Path(out, "manifest.json").read_text())
    mesh = jax.make_mesh([n for _, n in manifest["mesh"]], [a for a, _ in manifest["mesh"]]) if manifest["mesh"] else None
    program = next(p for p in manifest["programs"] if p["name"] == name)
    lies = lambda s: NamedSharding(mesh, PartitionSpec(*(tuple(d) or None for d in s.get("sharding", [])))) if mesh else None
    takes, gives = ({s["name"]: jax.ShapeDtypeStruct(s["shape"], s["dtype"], sharding=lies(s)) for s in program[side]} for side in ("inputs", "outputs"))
    shell = jax.jit(lambda *_: [jnp.zeros(o.shape, o.dtype) for o in gives.values()], keep_unused=True, out_shardings=[o.sharding for o in gives.values()])
    exported = dataclasses.replace(jax.export.export(shell)(*takes.values()), mlir_module_serialized=pathlib.Path(out, "programs", name + ".mlir").read_bytes())
    return takes, lambda given: dict(zip(gives, exported.call(*(given[n] for n in takes))))
# end docs/jax.md
