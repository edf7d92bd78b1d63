#!/usr/bin/env python3
"""Writes ci/fixtures/tiny: small transformers models with their reference bundles.

    pip install -r ci/record/requirements.txt
    python ci/record/make_fixtures.py            # or: make_fixtures.py llama_yarn qwen3

Two kinds of models:

- BUILT here, from a config spelled below and a seed: weights, both spellings of the config, inputs.
- KEPT: weights and inputs are the committed ones, which other fixtures are made from (the GGUF files of
  `llama`) and tests were first passed on, and only the bundle is recorded anew. They were made in the
  same way, std 1.1 / sqrt(fan_in), norms and biases jittered, by a generator that is not kept.

Tokenizers and their cases stay as they are.

The same processor gives the same bytes; another one sums in another order, some 3e-6 away.
"""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import porter_record
import torch
import transformers
from porter_record import Plan, hf_subject, read_tensors, record
from safetensors.torch import save_file
from torch import nn

TINY = Path(__file__).resolve().parents[1] / "fixtures" / "tiny"
# Sizes are odd on purpose: padding to lanes and to a mesh must matter.
SMALL = {
    "hidden_size": 60, "intermediate_size": 100, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 3, "head_dim": 10, "vocab_size": 131, "max_position_embeddings": 128,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}  # fmt: skip
# With a tokenizer of 997 tokens.
WORDED = SMALL | {
    "hidden_size": 72, "intermediate_size": 140, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 14, "vocab_size": 997,
}  # fmt: skip
# Long enough that a position which is wrong from 64 on shows, and the greedy tokens still fit.
LONG = 97


@dataclass(frozen=True)
class Built:
    """A model that is made here."""

    seed: int
    config: transformers.PretrainedConfig
    rows: int = 1
    tokens: int = LONG


KEPT = ("llama", "llama_bf16", "llama_f16", "llama_sharded", "qwen2", "bert", "bert_cls")
BUILT = {
    # 97 positions where the rotary frequencies were trained for 32.
    "llama_long": Built(
        1001,
        transformers.LlamaConfig(
            **SMALL,
            rope_parameters={
                "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
            },
        ),
    ),
    "llama_yarn": Built(
        1002,
        transformers.LlamaConfig(
            **SMALL,
            rope_parameters={
                "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        ),
    ),
    "mistral": Built(
        1004,
        transformers.MistralConfig(
            **WORDED,
            sliding_window=5,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        rows=2,
        tokens=13,
    ),
    "qwen3": Built(
        2001,
        transformers.Qwen3Config(
            **WORDED | {"num_hidden_layers": 3},
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        rows=2,
        tokens=13,
    ),
    # As many experts as divide over 2 and 4 devices, and a number that does not. Seeds whose routers hold the last expert taken
    # and the first left out apart by 0.03 (qwen3_moe) and 0.07 (mixtral) in every recorded step, where bf16 rounds by 0.03:
    # nearer ties fall either way.
    "qwen3_moe": Built(
        2035,
        transformers.Qwen3MoeConfig(
            **SMALL,
            num_experts=8,
            num_experts_per_tok=3,
            moe_intermediate_size=36,
            norm_topk_prob=True,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        rows=2,
        tokens=13,
    ),
    "mixtral": Built(
        2638,
        transformers.MixtralConfig(
            **SMALL | {"intermediate_size": 44},
            num_local_experts=5,
            num_experts_per_tok=2,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        rows=2,
        tokens=13,
    ),
    # 97 positions through a window of 24.
    "mistral_window": Built(
        1003,
        transformers.MistralConfig(
            **SMALL,
            sliding_window=24,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
    ),
}  # fmt: skip
# Whose modules' outputs are recorded: all but the head's, which are the logits over again.
DECODER = ("model", "model.*")
TAPS = {
    "llama": DECODER,
    "mistral": DECODER,
    "qwen3": DECODER,
    "bert": ("bert", "bert.*", "cls.predictions.transform", "cls.predictions.transform.*"),
}
NOTES = [
    "hidden_states.N: N=0 is the embedding output; in decoders the last one is after the final norm",
    "*_f64: the same model in double precision, norms, softmax and rotary angles included",
    "f32_vs_f64_max_abs: over the logits of the first batch",
    "generated: greedy by full recomputation without cache",
    "seed: of the weights; kept: weights and inputs are older than make_fixtures.py",
]


def spread(model: nn.Module, seed: int) -> None:
    """Weights with which every operator matters: what a layer adds is as large as what it gets, no norm
    is the identity, no bias is zero."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=random)
            if "embed" in name:
                parameter.copy_(noise)
            elif parameter.ndim > 1:
                parameter.copy_(noise * 1.1 / math.sqrt(parameter.shape[-1]))
            elif name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(1.0 + 0.1 * noise)


def legacy(config: dict[str, Any]) -> dict[str, Any]:
    """The config as transformers 4 spelled it, and as most published checkpoints do."""
    old = {key: value for key, value in config.items() if key not in ("dtype", "rope_parameters")}
    rope = dict(config["rope_parameters"])
    old["rope_theta"] = rope.pop("rope_theta")
    old["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    return old | {"torch_dtype": config["dtype"]}


def build(folder: Path, built: Built) -> None:
    """Writes the model, both spellings of its config, and its inputs."""
    model = transformers.AutoModelForCausalLM.from_config(built.config, dtype=torch.float32)
    spread(model, built.seed)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config_legacy.json").write_text(json.dumps(legacy(config), indent=2) + "\n")
    random = torch.Generator().manual_seed(built.seed + 1)
    ids = torch.randint(3, built.config.vocab_size, (built.rows, built.tokens), generator=random)
    padded = porter_record.padded_batch(ids, built.config.pad_token_id, left=True, more={})
    tensors = {"input_ids": ids} | {porter_record.PADDED + name: x for name, x in padded.items()}
    save_file(tensors, folder / "inputs.safetensors")


def facts(folder: Path, notes: dict[str, Any], seed: int) -> dict[str, Any]:
    """A model's entry in the manifest."""
    tensors = read_tensors(folder / "reference.safetensors")
    config = json.loads((folder / "config.json").read_text())
    results = [name for name in ("logits", porter_record.PADDED + "logits") if name in tensors]
    logits = tensors["logits"]
    error = (logits.double() - tensors["logits" + porter_record.TWIN]).abs().max().item()
    entry = {
        "seed": seed,
        "kept": folder.name in KEPT,
        "model_type": config["model_type"],
        "architectures": config["architectures"],
        "main": "logits",
        "main_std": logits.std().item(),
        "f32_vs_f64_max_abs": error,
        "outputs": {name: list(tensors[name].shape) for name in results},
        "hidden_states": sum(name.startswith("hidden_states.") for name in tensors) // 2,
        "taps": len(notes["taps"]),
        "weight_files": sorted(notes["model"]["sha256"]),
    }
    if "generated" in tensors:
        entry["greedy_min_margin"] = notes["greedy_min_margin"]
        entry["greedy_distinct"] = tensors["generated"].unique().numel()
    return entry


def make(name: str, seed: int) -> dict[str, Any]:
    """Builds a model, or keeps it, and records it; returns its entry in the manifest."""
    folder = TINY / name
    if name in BUILT:
        build(folder, BUILT[name])
    inputs = read_tensors(folder / "inputs.safetensors")
    subject = hf_subject(str(folder), inputs=inputs)
    subject.model["source"] = name
    plan = Plan(folder, TAPS.get(name, ()), f64=True, seed=seed, command=("make_fixtures.py", name))
    return facts(folder, record(subject, plan), seed)


def main() -> None:
    """Makes the named models, or all, and brings the manifest up to date."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.disable_progress_bar()
    path = TINY / "manifest.json"
    manifest = json.loads(path.read_text())
    models = manifest["models"]
    for name in sys.argv[1:] or (*KEPT, *BUILT):
        seed = BUILT[name].seed if name in BUILT else models[name]["seed"]
        models[name] = make(name, seed)
        shown = ("f32_vs_f64_max_abs", "greedy_min_margin", "taps")
        print(name, {key: models[name].get(key) for key in shown})
    ordered = {name: models[name] for name in (*KEPT, *BUILT) if name in models}
    written = {"models": ordered, "versions": porter_record.versions(), "notes": NOTES}
    path.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
