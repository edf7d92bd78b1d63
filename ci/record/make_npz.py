#!/usr/bin/env python3
"""Writes ci/fixtures/npz: arrays as NumPy saves them, stored and compressed, and what it reads from them.

    pip install numpy safetensors
    python ci/record/make_npz.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

TARGET = Path(__file__).resolve().parents[1] / "fixtures" / "npz"


def main() -> None:
    rng = np.random.default_rng(4)
    TARGET.mkdir(parents=True, exist_ok=True)
    read = {f"layer.{d}": rng.integers(0, 100, (3, 5)).astype(d) for d in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
        "float64",
    )}  # fmt: skip
    read |= {
        "fortran": np.asfortranarray(rng.standard_normal((3, 4, 5)).astype("float32")),
        "column": np.asfortranarray(rng.standard_normal((6, 1)).astype("float16")),
        "scalar": np.float32(2.5),
        "empty": np.zeros((3, 0, 2), "float32"),
        "a/b": rng.standard_normal(7),
    }
    listed = {
        "object": np.array([{"a": 1}, None], dtype=object),
        "structured": np.zeros(2, [("a", "<f4"), ("b", "<i4", (2,))]),
        "big": np.arange(4, dtype=">f4"),
        "complex": np.zeros(2, "complex64"),
        "text": np.array(["a", "bc"]),
    }
    # Longer than what is decompressed for a header; the expected file leaves it out.
    np.savez_compressed(TARGET / "arrays_compressed.npz", zeros=np.zeros(100_000, "uint8"), **read)
    np.savez(TARGET / "arrays.npz", **read, **listed)
    loaded = np.load(TARGET / "arrays_compressed.npz")
    expected = {name: np.ascontiguousarray(loaded[name]).reshape(loaded[name].shape) for name in read}
    save_file(expected, TARGET / "arrays.expected.safetensors")
    (TARGET / "manifest.json").write_text(json.dumps({"numpy": np.__version__, "listed": sorted(listed)}) + "\n")


if __name__ == "__main__":
    main()
