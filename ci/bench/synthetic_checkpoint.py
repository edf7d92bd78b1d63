#!/usr/bin/env python3
"""Write a llama-shaped Hugging Face folder of a given size, without numpy.

    synthetic_checkpoint.py FOLDER --gigabytes 12 [--dtype bf16|f32]

The numbers lie between 2^-7 and 2^0 and are not trained; every tensor holds others. Sharded at 5 GB.
"""

import argparse
import json
import os
import random
from pathlib import Path

HIDDEN, INTERMEDIATE, HEADS, KV_HEADS = 4096, 14336, 32, 8
SHARD = 5_000_000_000
BYTES = {"bf16": 2, "f32": 4}


def shapes(layers, vocab):
    yield "lm_head.weight", [vocab, HIDDEN]
    yield "model.embed_tokens.weight", [vocab, HIDDEN]
    kv = HIDDEN // HEADS * KV_HEADS
    for i in range(layers):
        at = f"model.layers.{i}."
        yield at + "input_layernorm.weight", [HIDDEN]
        yield at + "mlp.down_proj.weight", [HIDDEN, INTERMEDIATE]
        yield at + "mlp.gate_proj.weight", [INTERMEDIATE, HIDDEN]
        yield at + "mlp.up_proj.weight", [INTERMEDIATE, HIDDEN]
        yield at + "post_attention_layernorm.weight", [HIDDEN]
        yield at + "self_attn.k_proj.weight", [kv, HIDDEN]
        yield at + "self_attn.o_proj.weight", [HIDDEN, HIDDEN]
        yield at + "self_attn.q_proj.weight", [HIDDEN, HIDDEN]
        yield at + "self_attn.v_proj.weight", [kv, HIDDEN]
    yield "model.norm.weight", [HIDDEN]


def size(shape, width):
    count = width
    for dim in shape:
        count *= dim
    return count


def block(width, elements=1 << 22):
    """Elements of random sign and mantissa, with an exponent of 120 to 126."""
    rng = random.Random(1)
    out = bytearray(elements * width)
    for byte in range(width - 2):
        out[byte::width] = rng.randbytes(elements)
    high = bytes((b & 0x80) | 0x3C | (b & 3) for b in range(256))
    out[width - 2 :: width] = rng.randbytes(elements)
    out[width - 1 :: width] = rng.randbytes(elements).translate(high)
    return bytes(out)


def write(path, tensors, dtype, data):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        end = at + size(shape, BYTES[dtype])
        header[name] = {"dtype": dtype.upper(), "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for index, (_, shape) in enumerate(tensors):
            left, begin = size(shape, BYTES[dtype]), index * 4096 % len(data)
            while left:
                file.write(data[begin : begin + left])
                left -= min(left, len(data) - begin)
                begin = 0
        os.fsync(file.fileno())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, required=True)
    parser.add_argument("--dtype", choices=BYTES, default="bf16")
    options = parser.parse_args()
    width = BYTES[options.dtype]
    # Llama 3's vocabulary alone takes 2.1 GB.
    vocab = 128256 if options.gigabytes >= 3 else 16032
    fixed = sum(size(shape, width) for _, shape in shapes(0, vocab))
    layer = sum(size(shape, width) for _, shape in shapes(1, vocab)) - fixed
    layers = max(1, round((options.gigabytes * 1e9 - fixed) / layer))
    options.folder.mkdir(parents=True)
    shards, taken = [[]], 0
    for name, shape in shapes(layers, vocab):
        bytes_ = size(shape, width)
        if shards[-1] and taken + bytes_ > SHARD:
            shards.append([])
            taken = 0
        shards[-1].append((name, shape))
        taken += bytes_
    data = block(width)
    index = {}
    for number, tensors in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors" if len(shards) > 1 else "model.safetensors"
        write(options.folder / name, tensors, options.dtype, data)
        index.update({tensor: name for tensor, _ in tensors})
    if len(shards) > 1:
        total = fixed + layers * layer
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1)
        (options.folder / "model.safetensors.index.json").write_text(text)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "num_hidden_layers": layers,
        "vocab_size": vocab,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": {"bf16": "bfloat16", "f32": "float32"}[options.dtype],
    }
    (options.folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


if __name__ == "__main__":
    main()
