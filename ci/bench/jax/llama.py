"""Llama's and Qwen3's decode and prefill as one writes them in plain JAX: jnp and lax only, no Pallas, no library.

The form is JAX's best of those measured (facts/aot.md part 6): weights `[in, out]` in bf16, one donated
cache buffer a layer, layers unrolled. Prefill is also there scanned over stacked layers, which compiles
faster. The step is the same as Porter's: left-padded rows, norm statistics, rotary angles, scores, softmax
and logits in f32, one token written at `offset`, logits of the last token.

`Layout` says how arguments and what flows between layers lie over a mesh, by Porter's rules of the same names
(porter/rewrite/rules); the partitioner does the rest.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

MASKED = float(jnp.finfo(jnp.float32).min)
STREAM = ("rows", None, "stream")

# The mesh axes that divide named dimensions. `embed` and `stream` are the hidden one, of weights and between
# layers; `rows` are those of a batch, and `attended` the same within the attention of decode.
SERVING = {
    "rows": ("data", "fsdp"),
    "attended": ("data", "fsdp"),
    "embed": ("fsdp",),
    "heads": ("tensor",),
    "kv_heads": ("tensor",),
    "mlp": ("tensor",),
    "vocab": ("tensor",),
}
RULES = {
    "serving": SERVING,
    "training": SERVING,
    "2d": {**SERVING, "rows": ("data",), "stream": ("fsdp",)},
}


class Layout:
    """Named dimensions over the axes of a mesh; a dimension that no rule divides lies whole on every device."""

    def __init__(self, mesh, rules):
        self.mesh = mesh
        self.axes = {name: tuple(a for a in axes if a in mesh.axis_names) for name, axes in RULES[rules].items()}

    def sharding(self, names):
        return NamedSharding(self.mesh, PartitionSpec(*(self.axes.get(name) or None for name in names)))

    def place(self, x, *names):
        return lax.with_sharding_constraint(x, self.sharding(names))


class Sizes:
    """What a config.json says of a Llama or a Qwen3."""

    def __init__(self, config):
        self.layers = config["num_hidden_layers"]
        self.hidden = config["hidden_size"]
        self.inner = config["intermediate_size"]
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads") or self.heads
        self.head_dim = config.get("head_dim") or self.hidden // self.heads
        self.vocab = config["vocab_size"]
        self.epsilon = config["rms_norm_eps"]
        self.head_norms = config.get("model_type") == "qwen3"
        self.tied = bool(config.get("tie_word_embeddings"))
        self.rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        self.theta = self.rope.get("rope_theta") or config.get("rope_theta", 10000.0)

    def layer_shapes(self):
        """Parameter shapes of a layer, and the names of their dimensions."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        shapes = {
            "q": ((self.hidden, q), ("embed", "heads")),
            "k": ((self.hidden, kv), ("embed", "kv_heads")),
            "v": ((self.hidden, kv), ("embed", "kv_heads")),
            "o": ((q, self.hidden), ("heads", "embed")),
            "gate": ((self.hidden, self.inner), ("embed", "mlp")),
            "up": ((self.hidden, self.inner), ("embed", "mlp")),
            "down": ((self.inner, self.hidden), ("mlp", "embed")),
            "norm": ((self.hidden,), (None,)),
            "mlp_norm": ((self.hidden,), (None,)),
        }
        norm = ((self.head_dim,), (None,))
        return {**shapes, "q_norm": norm, "k_norm": norm} if self.head_norms else shapes

    def top_shapes(self):
        shapes = {"embed": ((self.vocab, self.hidden), ("vocab", "embed")), "norm": ((self.hidden,), (None,))}
        return shapes if self.tied else {**shapes, "head": ((self.hidden, self.vocab), ("embed", "vocab"))}

    def frequencies(self):
        exponents = jnp.arange(0, self.head_dim, 2, dtype=jnp.float32) / self.head_dim
        frequencies = 1.0 / self.theta**exponents
        if self.rope.get("rope_type", self.rope.get("type")) != "llama3":
            return frequencies
        factor, low, high = (self.rope[key] for key in ("factor", "low_freq_factor", "high_freq_factor"))
        original = self.rope["original_max_position_embeddings"]
        wavelength = 2 * math.pi / frequencies
        smooth = (original / wavelength - low) / (high - low)
        blended = (1 - smooth) * frequencies / factor + smooth * frequencies
        scaled = jnp.where(wavelength > original / low, frequencies / factor, frequencies)
        between = (wavelength <= original / low) & (wavelength >= original / high)
        return jnp.where(between, blended, scaled)


def rms_norm(x, weight, epsilon):
    wide = x.astype(jnp.float32)
    scale = lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + epsilon)
    return (wide * scale * weight).astype(x.dtype)


def rotate(x, cos, sin):
    """x: [batch, tokens, heads, head_dim]; cos, sin: f32[batch, tokens, 1, head_dim / 2]."""
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x.dtype)


def attend(q, k, v, mask):
    """q: [batch, tokens, kv, group, dim]; k, v: [batch, kv, slots, dim]; mask: bool[batch, tokens, slots]."""
    scores = jnp.einsum("btkgd,bksd->bktgs", q, k, preferred_element_type=jnp.float32)
    scores = jnp.where(mask[:, None, :, None, :], scores * q.shape[-1] ** -0.5, MASKED)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bktgs,bksd->btkgd", weights, v, preferred_element_type=jnp.float32).astype(q.dtype)


def attend_by_rows(layout, q, k, v, mask):
    """`attend` over a cache of which several devices may hold the same rows: each reads a part of them."""
    attended = lambda x, *names: layout.place(layout.place(x, "rows", *names), "attended", *names)
    q, k, v = attended(q, None, "kv_heads"), attended(k, "kv_heads"), attended(v, "kv_heads")
    mixed = layout.place(attend(q, k, v, mask), "attended", None, "kv_heads")
    return layout.place(mixed, "rows", None, "kv_heads")


def project(s, p, y, angles):
    """Queries, [batch, tokens, heads, dim], keys and values, each [batch, kv, tokens, dim]."""
    heads = lambda x, count: x.reshape(*x.shape[:2], count, s.head_dim)
    q, k, v = heads(y @ p["q"], s.heads), heads(y @ p["k"], s.kv_heads), heads(y @ p["v"], s.kv_heads)
    if s.head_norms:
        q, k = rms_norm(q, p["q_norm"], s.epsilon), rms_norm(k, p["k_norm"], s.epsilon)
    return rotate(q, *angles), rotate(k, *angles).transpose(0, 2, 1, 3), v.transpose(0, 2, 1, 3)


def layer(s, layout, p, x, angles, mask, cache, offset):
    """One layer over a cache of (key, value), each [batch, kv, slots, dim]; what it becomes is returned too."""
    batch, tokens, _ = x.shape
    group = s.heads // s.kv_heads
    q, k, v = project(s, p, rms_norm(x, p["norm"], s.epsilon), angles)
    if cache is not None:
        at = (0, 0, offset, 0)
        cache = (lax.dynamic_update_slice(cache[0], k, at), lax.dynamic_update_slice(cache[1], v, at))
    q = q.reshape(batch, tokens, s.kv_heads, group, s.head_dim)
    # A prompt from slot 0 sees only itself.
    alone = cache is None or tokens > 1
    mixed = attend(q, k, v, mask) if alone else attend_by_rows(layout, q, *cache, mask)
    x = layout.place(x + mixed.reshape(batch, tokens, s.heads * s.head_dim) @ p["o"], *STREAM)
    y = rms_norm(x, p["mlp_norm"], s.epsilon)
    x = layout.place(x + (jax.nn.silu(y @ p["gate"]) * (y @ p["up"])) @ p["down"], *STREAM)
    return x, (cache if cache is not None else (k, v))


def prepare(s, layout, params, ids, padding, slots, keys):
    """The embedded tokens, their rotary angles, and what each token sees of `keys` slots."""
    x = layout.place(params["embed"][ids], *STREAM)
    positions = (slots - padding[:, None]).astype(jnp.float32)
    angles = positions[..., None] * s.frequencies()
    angles = (jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None])
    key = jnp.arange(keys)[None, None]
    mask = (key <= slots[..., None]) & (key >= padding[:, None, None])
    return x, angles, mask


def logits(s, layout, params, x):
    # Few rows go to the head's devices, not the head to theirs.
    x = layout.place(rms_norm(x, params["norm"], s.epsilon)[:, -1], "rows", "stream")
    x = layout.place(x, None, "embed")
    head, form = (params["embed"], "bd,vd->bv") if s.tied else (params["head"], "bd,dv->bv")
    return layout.place(jnp.einsum(form, x, head, preferred_element_type=jnp.float32), "rows", "vocab")


def decode(s, layout):
    def step(params, caches, ids, padding, offset):
        slots = jnp.broadcast_to(offset, ids.shape)
        x, angles, mask = prepare(s, layout, params, ids, padding, slots, caches[0][0].shape[2])
        updated = []
        for p, cache in zip(params["layers"], caches):
            x, cache = layer(s, layout, p, x, angles, mask, cache, offset)
            updated.append(cache)
        return logits(s, layout, params, x), updated

    return step


def prefill(s, layout):
    def step(params, caches, ids, padding):
        slots = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        x, angles, mask = prepare(s, layout, params, ids, padding, slots, ids.shape[1])
        updated = []
        for p, cache in zip(params["layers"], caches):
            x, cache = layer(s, layout, p, x, angles, mask, cache, 0)
            updated.append(cache)
        return logits(s, layout, params, x), updated

    return step


def prefill_scan(s, layout):
    """The same over stacked layers, with one stacked cache."""

    def step(params, caches, ids, padding):
        slots = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        x, angles, mask = prepare(s, layout, params, ids, padding, slots, ids.shape[1])

        def body(carry, p):
            x, caches, index = carry
            x, updated = layer(s, layout, p, x, angles, mask, None, 0)
            at = (index, 0, 0, 0, 0)
            caches = [lax.dynamic_update_slice(cache, x[None], at) for cache, x in zip(caches, updated)]
            return (x, caches, index + 1), None

        (x, caches, _), _ = lax.scan(body, (x, caches, 0), params["layers"])
        return logits(s, layout, params, x), caches

    return step
