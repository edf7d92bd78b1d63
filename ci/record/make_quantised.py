#!/usr/bin/env python3
"""Writes ci/fixtures/quantised: quantised checkpoints, and the values that their defining code reads.

    pip install -r ci/record/requirements.txt compressed-tensors==0.20.0 bitsandbytes==0.50.2 ml_dtypes
    pip download --no-deps auto-gptq==0.7.1 gptqmodel==7.7.0 autoawq==0.2.9 compressed-tensors==0.9.4
    python ci/record/make_quantised.py FOLDER   # where those four lie unpacked

Those four are read in place, because they need a GPU to install: single functions of them are run, which
take tensors only. Each folder written is a checkpoint (`config.json` with its `quantization_config`,
`model.safetensors`) and `expected.safetensors`: each logical weight as the code named in
`manifest.json` gives it. Sizes are odd where the format allows it.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[1] / "fixtures" / "quantised"
Tensors = dict[str, torch.Tensor]
MANIFEST: dict[str, dict[str, str]] = {}
BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32


def write(
    name: str, config: dict[str, Any], stored: Tensors, expected: Tensors, by: str, *, packed_by: str
) -> None:
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model_type": "llama", "quantization_config": config}, indent=1)
    (folder / "config.json").write_text(text + "\n")
    save_file({k: v.contiguous().clone() for k, v in stored.items()}, folder / "model.safetensors")
    save_file({k: v.contiguous().clone() for k, v in expected.items()}, folder / "expected.safetensors")
    MANIFEST[name] = {"values": by, "packed": packed_by}


def load(path: Path, name: str) -> ModuleType:
    """A single Python file as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(rows: int, columns: int) -> torch.Tensor:
    """Any 32 bits: every packing of integers takes them."""
    low, high = (torch.randint(0, 1 << 16, (rows, columns), dtype=torch.int64) for _ in range(2))
    return (low | high << 16).to(torch.int32)


def fp8() -> None:
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    def quantised(*shape: int) -> torch.Tensor:
        return (torch.randn(shape) * 60).to(torch.float8_e4m3fn)

    def by_transformers(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return Fp8Dequantize(None)._dequantize_one(weight, scale, output_dtype=F32)

    def by_kernel(weight: torch.Tensor, scale: torch.Tensor, block: tuple[int, int]) -> torch.Tensor:
        """`weight_dequant_kernel` of DeepSeek-V3's inference/kernel.py: `y = x.to(float32) * s`, where `s`
        is that of the block of the row and the column."""
        rows = torch.arange(weight.shape[0])[:, None] // block[0]
        columns = torch.arange(weight.shape[1])[None, :] // block[1]
        return weight.to(F32) * scale.to(F32)[rows, columns]

    config = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3"}
    even = {"f32": quantised(6, 8), "bf16": quantised(6, 8), "exponent": quantised(6, 8)}
    scales = {
        "f32": torch.rand(2, 2),
        "bf16": torch.rand(2, 2).to(BF16),
        "exponent": torch.tensor([[0, 1], [127, 140]], dtype=torch.uint8),
    }
    stored = {f"{k}.weight": v for k, v in even.items()}
    stored |= {f"{k}.weight_scale_inv": scales[k] for k in even}
    stored["plain.weight"] = torch.randn(3, 4).to(BF16)
    expected = {f"{k}.weight": by_transformers(even[k], scales[k]) for k in even}
    write("fp8_block", config | {"weight_block_size": [3, 4]}, stored, expected,
          "transformers 5.23.0, Fp8Dequantize._dequantize_one", packed_by="any codes")  # fmt: skip

    # One scale: transformers' name of it, and that of AutoFP8 and vLLM.
    single = {"x": quantised(5, 7), "y": quantised(3, 4)}
    stored = {f"{k}.weight": v for k, v in single.items()}
    stored |= {"x.weight_scale_inv": torch.rand(1), "y.weight_scale": torch.tensor(0.3), "y.input_scale": torch.rand(1)}
    expected = {
        "x.weight": by_transformers(single["x"], stored["x.weight_scale_inv"]),
        "y.weight": by_transformers(single["y"], stored["y.weight_scale"]),
    }
    write("fp8_tensor", config | {"activation_scheme": "static"}, stored, expected,
          "transformers 5.23.0, Fp8Dequantize._dequantize_one", packed_by="any codes")  # fmt: skip

    ragged = {"rows": quantised(129, 3), "columns": quantised(3, 261)}
    scales = {k: torch.rand(-(-v.shape[0] // 128), -(-v.shape[1] // 128)) for k, v in ragged.items()}
    stored = {f"{k}.weight": v for k, v in ragged.items()}
    stored |= {f"{k}.weight_scale_inv": v for k, v in scales.items()}
    expected = {f"{k}.weight": by_kernel(ragged[k], scales[k], (128, 128)) for k in ragged}
    write("fp8_ragged", config | {"weight_block_size": [128, 128], "scale_fmt": "ue8m0"}, stored, expected,
          "torch code of this file, after DeepSeek-V3's inference/kernel.py", packed_by="any codes")  # fmt: skip


def mxfp4() -> None:
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    stored: Tensors = {}
    expected: Tensors = {}
    for name, shape in {"gate_up_proj": (2, 6, 3), "down_proj": (2, 5, 2)}.items():
        blocks = torch.randint(0, 256, (*shape, 16), dtype=torch.uint8)
        scales = torch.randint(110, 140, shape, dtype=torch.uint8)
        extremes = torch.tensor([0, 1, 2, 253, 254, 255], dtype=torch.uint8)
        scales.view(-1)[: len(extremes)] = extremes
        prefix = f"model.layers.0.mlp.experts.{name}"
        stored |= {f"{prefix}_blocks": blocks, f"{prefix}_scales": scales}
        stored[f"{prefix}_bias"] = torch.randn(2, shape[1]).to(BF16)
        expected[prefix] = convert_moe_packed_tensors(blocks, scales)
    config = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    write("mxfp4", config, stored, expected, "transformers 5.23.0, convert_moe_packed_tensors",
          packed_by="any codes")  # fmt: skip


def gptq(sources: Path) -> None:
    auto = load(sources / "auto_gptq/nn_modules/qlinear/qlinear_cuda.py", "qlinear_cuda").QuantLinear
    config = {"quant_method": "gptq", "sym": False, "damp_percent": 0.01, "desc_act": False}

    def layer(bits: int, rows: int, columns: int, group: int, dtype: torch.dtype) -> Tensors:
        groups = -(-rows // group)
        return {
            "x.qweight": words(rows * bits // 32, columns),
            "x.qzeros": words(groups, columns * bits // 32),
            "x.scales": (torch.rand(groups, columns) / 10).to(dtype),
            "x.g_idx": torch.arange(rows, dtype=torch.int32) // group,
        }

    def by_auto_gptq(bits: int, group: int, layer: Tensors) -> torch.Tensor:
        """The layer's output for the unit vectors is its weight, transposed."""
        rows, columns = len(layer["x.g_idx"]), layer["x.qweight"].shape[1]
        module = auto(bits, group, rows, columns, bias=False, weight_dtype=layer["x.scales"].dtype)
        module.load_state_dict({k.removeprefix("x."): v for k, v in layer.items()})
        return module(torch.eye(rows, dtype=layer["x.scales"].dtype)).T

    for bits in (2, 3, 4, 8):
        stored = layer(bits, 64 if bits == 4 else 32, 32, 24 if bits == 4 else 16, F16)
        group = 24 if bits == 4 else 16
        expected = {"x.weight": by_auto_gptq(bits, group, stored)}
        stored["x.bias"] = torch.zeros(32, dtype=F16)
        write(f"gptq{bits}", config | {"bits": bits, "group_size": group}, stored, expected,
              "auto-gptq 0.7.1, qlinear_cuda.QuantLinear.forward of the unit vectors",
              packed_by="any words")  # fmt: skip

    stored = layer(4, 64, 32, 16, BF16)
    stored["x.g_idx"] = stored["x.g_idx"][torch.randperm(64)]
    write("gptq_act", config | {"bits": 4, "group_size": 16, "desc_act": True, "checkpoint_format": "gptq"},
          stored, {"x.weight": by_auto_gptq(4, 16, stored)},
          "auto-gptq 0.7.1, qlinear_cuda.QuantLinear.forward of the unit vectors",
          packed_by="any words")  # fmt: skip

    stored = layer(4, 64, 32, 64, F16)
    by_gptqmodel = gptqmodel_dequantize(sources)
    expected = {"x.weight": by_gptqmodel(4, {k.removeprefix("x."): v for k, v in stored.items()}).T}
    del stored["x.g_idx"]
    write("gptq_v2", config | {"bits": 4, "group_size": -1, "checkpoint_format": "gptq_v2"}, stored, expected,
          "gptqmodel 7.7.0, BaseQuantLinear.dequantize_weight, run by itself", packed_by="any words")  # fmt: skip


def gptqmodel_dequantize(sources: Path) -> Any:
    """`dequantize_weight` of gptqmodel, without the package around it."""
    text = (sources / "gptqmodel-7.7.0/gptqmodel/nn_modules/qlinear/__init__.py").read_text()
    wanted = {"dequantize_weight", "_dequantize_from_codes"}
    found = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name in wanted]
    scope: dict[str, Any] = {"t": torch, "_torch_right_shift": torch.bitwise_right_shift}
    exec(compile(ast.Module(found, []), "gptqmodel", "exec"), scope)  # noqa: S102

    def run(bits: int, layer: Tensors) -> torch.Tensor:
        wf = torch.arange(0, 32, bits, dtype=torch.int32)[None]
        module = SimpleNamespace(
            **layer, bits=bits, planar=False, pack_factor=32 // bits, maxq=2**bits - 1, dequant_dtype=torch.int8,
            in_features=len(layer["g_idx"]), wf_unsqueeze_zero=wf[None], wf_unsqueeze_neg_one=wf[..., None],
            _init_wf_unsqueeze_buffers=lambda: None,
        )  # fmt: skip
        module._dequantize_from_codes = lambda *a, **k: scope["_dequantize_from_codes"](module, *a, **k)
        return scope["dequantize_weight"](module)

    return run


def llama(sources: Path) -> None:
    """A whole model with every matrix of its layers as gptq stores it, and what transformers computes with
    the same weights in float32: also a reference bundle."""
    import transformers

    auto = load(sources / "auto_gptq/nn_modules/qlinear/qlinear_cuda.py", "qlinear_cuda").QuantLinear
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4,
        head_dim=8, vocab_size=47, max_position_embeddings=64, tie_word_embeddings=False, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    stored = {k: v.to(F16) for k, v in model.state_dict().items()}
    expected = {}
    for name, linear in model.model.named_modules():
        if not isinstance(linear, torch.nn.Linear):
            continue
        name, (columns, rows) = f"model.{name}", linear.weight.shape
        scales = (torch.rand(rows // 16, columns) / 40).to(F16)
        layer = {
            "qweight": words(rows // 8, columns), "qzeros": torch.full((rows // 16, columns // 8), 0x77777777),
            "scales": scales, "g_idx": torch.arange(rows, dtype=torch.int32) // 16,
        }  # fmt: skip
        layer["qzeros"] = layer["qzeros"].to(torch.int32)
        module = auto(4, 16, rows, columns, bias=False)
        module.load_state_dict(layer)
        del stored[f"{name}.weight"]
        stored |= {f"{name}.{k}": v for k, v in layer.items()}
        expected[f"{name}.weight"] = module(torch.eye(rows, dtype=F16)).T
    weights = {k: v.to(F32) for k, v in (stored | expected).items() if k in model.state_dict()}
    model.load_state_dict(weights)
    ids = torch.randint(3, 47, (1, 13), generator=torch.Generator().manual_seed(7))
    logits = model(ids).logits
    quantization = {"quant_method": "gptq", "bits": 4, "group_size": 16, "sym": True, "desc_act": False}
    write("gptq_llama", quantization, stored, expected,
          "auto-gptq 0.7.1, qlinear_cuda.QuantLinear.forward of the unit vectors; logits: transformers 5.23.0",
          packed_by="any words")  # fmt: skip
    folder = ROOT / "gptq_llama"
    text = json.loads(config.to_json_string()) | {
        "architectures": ["LlamaForCausalLM"], "quantization_config": quantization,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(text, indent=1) + "\n")
    save_file({"input_ids": ids}, folder / "inputs.safetensors")
    save_file({"logits": logits.detach().contiguous()}, folder / "reference.safetensors")


def awq(sources: Path) -> None:
    packing = load(sources / "autoawq-0.2.9/awq/utils/packing_utils.py", "packing_utils")
    stored: Tensors = {}
    expected: Tensors = {}
    for name, (rows, columns, dtype) in {"x": (64, 40, F16), "y": (32, 8, BF16)}.items():
        qweight, qzeros = words(rows, columns // 8), words(rows // 32, columns // 8)
        scales = (torch.rand(rows // 32, columns) / 10).to(dtype)
        stored |= {f"{name}.qweight": qweight, f"{name}.qzeros": qzeros, f"{name}.scales": scales}
        expected[f"{name}.weight"] = packing.dequantize_gemm(qweight, qzeros, scales, 4, 32).T
    config = {
        "quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True,
        "modules_to_not_convert": None,
    }  # fmt: skip
    write("awq", config, stored, expected, "autoawq 0.2.9, dequantize_gemm", packed_by="any words")


def bitsandbytes() -> None:
    import bitsandbytes as bnb

    config = {
        "quant_method": "bitsandbytes", "load_in_8bit": False, "load_in_4bit": False, "llm_int8_threshold": 6.0,
        "llm_int8_skip_modules": ["lm_head"], "bnb_4bit_compute_dtype": "bfloat16",
    }  # fmt: skip
    by = "bitsandbytes 0.50.2 on the CPU, functional."
    linear = bnb.nn.Linear8bitLt(24, 21, bias=False, has_fp16_weights=False).half().to("cpu")
    stored = {f"x.{k}": v for k, v in linear.state_dict().items()}
    expected = {"x.weight": bnb.functional.int8_vectorwise_dequant(stored["x.weight"], stored["x.SCB"])}
    write("bnb_int8", config | {"load_in_8bit": True}, stored, expected, by + "int8_vectorwise_dequant",
          packed_by="bitsandbytes, Linear8bitLt.state_dict")  # fmt: skip

    for kind, nested, dtype, rows, columns in (
        ("nf4", True, BF16, 130, 64), ("fp4", False, F16, 10, 13), ("nf4", False, F32, 6, 14),
    ):  # fmt: skip
        linear = bnb.nn.Linear4bit(columns, rows, bias=False, quant_type=kind, compress_statistics=nested)
        linear = linear.to(dtype)
        linear.weight.blocksize = 32
        linear = linear.to("cpu")
        stored = {f"x.{k}": v for k, v in linear.state_dict().items()}
        weight = bnb.functional.dequantize_4bit(linear.weight.data, linear.weight.quant_state)
        state = {"load_in_4bit": True, "bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": nested}
        write(f"bnb_{kind}{'_nested' if nested else ''}", config | state, stored, {"x.weight": weight},
              by + "dequantize_4bit", packed_by="bitsandbytes, Linear4bit.state_dict")  # fmt: skip


def scheme(strategy: str, bits: int, kind: str, **more: Any) -> Any:
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    args = QuantizationArgs(num_bits=bits, type=kind, strategy=strategy, **more)
    return QuantizationScheme(targets=["Linear"], weights=args)


def parameters(weight: torch.Tensor, args: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales and zero points by compressed-tensors' own `calculate_qparams`."""
    from compressed_tensors.quantization.utils import calculate_qparams

    grouped = weight
    if args.strategy == "group":
        grouped = weight.unflatten(1, (-1, args.group_size))
    if args.strategy == "tensor":
        return calculate_qparams(weight.amin(), weight.amax(), args)
    keep = args.strategy != "group"
    low, high = grouped.amin(-1, keepdim=keep), grouped.amax(-1, keepdim=keep)
    return calculate_qparams(low, high, args)


def compressed_config(fmt: str, args: Any) -> dict[str, Any]:
    weights = json.loads(args.model_dump_json())
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    return {
        "quant_method": "compressed-tensors", "format": fmt, "quantization_status": "compressed",
        "config_groups": {"group_0": group}, "ignore": ["lm_head"], "kv_cache_scheme": None, "version": "0.20.0",
        "global_compression_ratio": None, "sparsity_config": {}, "transform_config": {},
    }  # fmt: skip


def compressed_tensors(sources: Path) -> None:
    from compressed_tensors.compressors import BaseCompressor

    def case(name: str, fmt: str, weights: Tensors, scheme: Any) -> None:
        compressor = BaseCompressor.get_value_from_registry(fmt)
        stored: Tensors = {}
        expected: Tensors = {}
        for key, weight in weights.items():
            scale, zero = parameters(weight, scheme.weights)
            state = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}
            state = compressor.compress(state, scheme)
            stored |= {f"{key}.{k}": v for k, v in state.items()}
            expected[f"{key}.weight"] = compressor.decompress(state, scheme)["weight"]
        write(name, compressed_config(fmt, scheme.weights), stored, expected,
              f"compressed-tensors 0.20.0, {compressor.__name__}.decompress",
              packed_by=f"compressed-tensors, calculate_qparams and {compressor.__name__}.compress")  # fmt: skip

    def three(rows: int, columns: int) -> Tensors:
        return {str(d).removeprefix("torch."): torch.randn(rows, columns).to(d) for d in (BF16, F16, F32)}

    int8, float8 = "int-quantized", "float-quantized"
    case("ct_int8_channel", int8, three(7, 13), scheme("channel", 8, "int", symmetric=True))
    case("ct_int8_zero", int8, three(7, 13), scheme("channel", 8, "int", symmetric=False))
    case("ct_int8_group", int8, three(5, 12), scheme("group", 8, "int", symmetric=True, group_size=4))
    case("ct_float8_channel", float8, three(7, 13), scheme("channel", 8, "float", symmetric=True))
    case("ct_float8_tensor", float8, three(7, 13), scheme("tensor", 8, "float", symmetric=True))
    pack = "pack-quantized"
    case("ct_pack4", pack, three(6, 24), scheme("group", 4, "int", symmetric=True, group_size=8))
    case("ct_pack4_zero", pack, three(11, 24), scheme("group", 4, "int", symmetric=False, group_size=8))
    case("ct_pack8_channel", pack, three(6, 13), scheme("channel", 8, "int", symmetric=False))

    quantise("quantise_int8", "int", torch.int8)
    with torch.random.fork_rng():
        quantise("quantise_fp8", "float", torch.float8_e4m3fn)
    with torch.random.fork_rng():
        quantise("quantise_int4", "int", torch.int8, bits=4, group=11)
    sys.path.insert(0, str(sources / "ct094"))
    for module in [name for name in sys.modules if name.split(".")[0] == "compressed_tensors"]:
        del sys.modules[module]
    ordered()


def quantise(folder: str, kind: str, to: torch.dtype, bits: int = 8, group: int | None = None) -> None:
    """Weights, and their narrow values and scales of each row, or of each group of a row, by compressed-tensors."""
    from compressed_tensors.quantization.lifecycle.forward import quantize as by_package

    strategy = {"strategy": "group", "group_size": group} if group else {"strategy": "channel"}
    args = scheme(bits=bits, kind=kind, symmetric=True, **strategy).weights
    shape = (9, 33 // group, group) if group else (9, 33)
    stored: Tensors = {}
    expected: Tensors = {}
    for dtype in (BF16, F16, F32):
        name = str(dtype).removeprefix("torch.")
        weight = torch.randn(9, 33) * torch.logspace(-6, 3, 9)[:, None]
        weight[3] = 0
        weight[4] = torch.arange(-16, 17) * 0.5
        weight[4, 0] = 127.5
        weight = weight.to(dtype)
        scale, _ = parameters(weight, args)
        stored[f"{name}.weight"] = weight.reshape(shape)
        expected[f"{name}.weight"] = by_package(weight, scale, None, args, dtype=to).reshape(shape)
        expected[f"{name}.weight_scale"] = scale.reshape(*shape[:-1], 1)
    write(folder, {}, stored, expected,
          "compressed-tensors 0.20.0, calculate_qparams and quantize", packed_by="torch.randn")  # fmt: skip


def ordered() -> None:
    """With `weight_g_idx`, which compressed-tensors wrote until 0.9 for activation ordering."""
    import compressed_tensors
    from compressed_tensors.compressors.quantized_compressors.pack_quantized import pack_to_int32
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    assert compressed_tensors.__version__ == "0.9.4", compressed_tensors.__version__
    args = QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=8, symmetric=True,
                            actorder="group")  # fmt: skip
    values = torch.randint(-8, 8, (6, 24), dtype=torch.int8)
    scale = torch.rand(6, 3).to(BF16)
    g_idx = (torch.arange(24, dtype=torch.int32) // 8)[torch.randperm(24)]
    stored = {
        "x.weight_packed": pack_to_int32(values, 4), "x.weight_shape": torch.tensor([6, 24]),
        "x.weight_scale": scale, "x.weight_g_idx": g_idx,
    }  # fmt: skip
    expected = {"x.weight": dequantize(values, scale, args=args, g_idx=g_idx)}
    write("ct_pack4_ordered", compressed_config("pack-quantized", args), stored, expected,
          "compressed-tensors 0.9.4, dequantize", packed_by="compressed-tensors 0.9.4, pack_to_int32")  # fmt: skip


def main() -> None:
    sources = Path(sys.argv[1])
    for seed, make in enumerate((fp8, mxfp4, bitsandbytes)):
        torch.manual_seed(seed)
        make()
    for seed, make_from in enumerate((gptq, llama, awq, compressed_tensors), 10):
        torch.manual_seed(seed)
        make_from(sources)
    text = json.dumps(dict(sorted(MANIFEST.items())), indent=1)
    (ROOT / "manifest.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
