#!/usr/bin/env python3
"""Writes ci/fixtures/pytorch_model: the tiny llama of ci/fixtures/tiny, saved by PyTorch.

    pip install -r ci/record/requirements.txt
    python ci/record/make_pytorch.py

- `zip`: `pytorch_model.bin` as `torch.save` writes it, its matrices transposed views of what is stored;
- `legacy_sharded`: two shards of the format before 1.6 under `pytorch_model.bin.index.json`;
- `training`: `epoch-1.ckpt`, a training checkpoint with the weights under `model`, an optimizer's state of
  one moment for one parameter, and numbers.

The references stay those of `tiny/llama`: the numbers are the same.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
SOURCE = FIXTURES / "tiny" / "llama"
TARGET = FIXTURES / "pytorch_model"


def folder(name: str) -> Path:
    path = TARGET / name
    path.mkdir(parents=True, exist_ok=True)
    for beside in ("config.json", "generation_config.json"):
        shutil.copy(SOURCE / beside, path / beside)
    return path


def main() -> None:
    weights = load_file(SOURCE / "model.safetensors")
    torch.save(
        {name: tensor.T.contiguous().T if tensor.dim() == 2 else tensor for name, tensor in weights.items()},
        folder("zip") / "pytorch_model.bin",
    )

    sharded = folder("legacy_sharded")
    names = sorted(weights)
    half = len(names) // 2
    weight_map = {}
    for number, part in enumerate((names[:half], names[half:]), 1):
        file = f"pytorch_model-{number:05d}-of-00002.bin"
        torch.save({name: weights[name] for name in part}, sharded / file, _use_new_zipfile_serialization=False)
        weight_map |= dict.fromkeys(part, file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (sharded / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")

    state = {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}}
    training = {"epoch": 1, "model": weights, "optimizer": {"state": state, "param_groups": [{"lr": 1e-3}]}}
    torch.save(training, folder("training") / "epoch-1.ckpt")


if __name__ == "__main__":
    main()
