"""Llama's decode and prefill as one writes them in plain JAX: jnp and lax only, no Pallas, no library.

The form is JAX's best of those measured (facts/aot.md part 6): weights `[in, out]` in bf16, one donated
cache buffer a layer, layers unrolled. Prefill is also there scanned over stacked layers, which compiles
faster. The step is the same as Porter's: left-padded rows, norm statistics, rotary angles, scores, softmax
and logits in f32, one token written at `offset`, logits of the last token.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

MASKED = float(jnp.finfo(jnp.float32).min)


class Sizes:
    """What a config.json says of a Llama."""

    def __init__(self, config):
        self.layers = config["num_hidden_layers"]
        self.hidden = config["hidden_size"]
        self.inner = config["intermediate_size"]
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads") or self.heads
        self.head_dim = config.get("head_dim") or self.hidden // self.heads
        self.vocab = config["vocab_size"]
        self.epsilon = config["rms_norm_eps"]
        self.tied = bool(config.get("tie_word_embeddings"))
        self.rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        self.theta = self.rope.get("rope_theta") or config.get("rope_theta", 10000.0)

    def layer_shapes(self):
        """Parameter shapes of a layer, and the dimension that tensor parallelism divides."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q": ((self.hidden, q), 1),
            "k": ((self.hidden, kv), 1),
            "v": ((self.hidden, kv), 1),
            "o": ((q, self.hidden), 0),
            "gate": ((self.hidden, self.inner), 1),
            "up": ((self.hidden, self.inner), 1),
            "down": ((self.inner, self.hidden), 0),
            "norm": ((self.hidden,), None),
            "mlp_norm": ((self.hidden,), None),
        }

    def top_shapes(self):
        shapes = {"embed": ((self.vocab, self.hidden), 0), "norm": ((self.hidden,), None)}
        return shapes if self.tied else {**shapes, "head": ((self.hidden, self.vocab), 1)}

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


def layer(s, p, x, angles, mask, cache, offset):
    """One layer over a cache of (key, value), each [batch, kv, slots, dim]; what it becomes is returned too."""
    batch, tokens, _ = x.shape
    group = s.heads // s.kv_heads
    y = rms_norm(x, p["norm"], s.epsilon)
    q = rotate((y @ p["q"]).reshape(batch, tokens, s.heads, s.head_dim), *angles)
    k = rotate((y @ p["k"]).reshape(batch, tokens, s.kv_heads, s.head_dim), *angles).transpose(0, 2, 1, 3)
    v = (y @ p["v"]).reshape(batch, tokens, s.kv_heads, s.head_dim).transpose(0, 2, 1, 3)
    if cache is not None:
        at = (0, 0, offset, 0)
        cache = (lax.dynamic_update_slice(cache[0], k, at), lax.dynamic_update_slice(cache[1], v, at))
    # A prompt from slot 0 sees only itself.
    keys, values = (k, v) if cache is None or tokens > 1 else cache
    q = q.reshape(batch, tokens, s.kv_heads, group, s.head_dim)
    mixed = attend(q, keys, values, mask).reshape(batch, tokens, s.heads * s.head_dim)
    x = x + mixed @ p["o"]
    y = rms_norm(x, p["mlp_norm"], s.epsilon)
    x = x + (jax.nn.silu(y @ p["gate"]) * (y @ p["up"])) @ p["down"]
    return x, (cache if cache is not None else (k, v))


def prepare(s, params, ids, padding, slots, keys):
    """The embedded tokens, their rotary angles, and what each token sees of `keys` slots."""
    x = params["embed"][ids]
    positions = (slots - padding[:, None]).astype(jnp.float32)
    angles = positions[..., None] * s.frequencies()
    angles = (jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None])
    key = jnp.arange(keys)[None, None]
    mask = (key <= slots[..., None]) & (key >= padding[:, None, None])
    return x, angles, mask


def logits(s, params, x):
    x = rms_norm(x, params["norm"], s.epsilon)[:, -1]
    if s.tied:
        return jnp.einsum("bd,vd->bv", x, params["embed"], preferred_element_type=jnp.float32)
    return jnp.einsum("bd,dv->bv", x, params["head"], preferred_element_type=jnp.float32)


def decode(s):
    def step(params, caches, ids, padding, offset):
        slots = jnp.broadcast_to(offset, ids.shape)
        x, angles, mask = prepare(s, params, ids, padding, slots, caches[0][0].shape[2])
        updated = []
        for p, cache in zip(params["layers"], caches):
            x, cache = layer(s, p, x, angles, mask, cache, offset)
            updated.append(cache)
        return logits(s, params, x), updated

    return step


def prefill(s):
    def step(params, caches, ids, padding):
        slots = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        x, angles, mask = prepare(s, params, ids, padding, slots, ids.shape[1])
        updated = []
        for p, cache in zip(params["layers"], caches):
            x, cache = layer(s, p, x, angles, mask, cache, 0)
            updated.append(cache)
        return logits(s, params, x), updated

    return step


def prefill_scan(s):
    """The same over stacked layers. The keys and values of the prompt are results, stacked too."""

    def step(params, ids, padding):
        slots = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        x, angles, mask = prepare(s, params, ids, padding, slots, ids.shape[1])
        body = lambda x, p: layer(s, p, x, angles, mask, None, 0)
        x, updated = lax.scan(body, x, params["layers"])
        return logits(s, params, x), updated

    return step
