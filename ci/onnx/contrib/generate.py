#!/usr/bin/env python3
"""Writes small models of ONNX Runtime's own operators (com.microsoft), with what ONNX Runtime computes.

usage: generate.py OUT

Each case is `NAME.onnx`, one node, and `NAME.safetensors` with its `input.*` and `output.*` by ONNX Runtime's CPU
provider. Needs onnx, onnxruntime, numpy and safetensors; see requirements.txt.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from safetensors.numpy import save_file

rng = np.random.default_rng(0)
TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int64): TensorProto.INT64,
}


def f(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def u8(*shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


def i8(*shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def ids(high, *shape):
    return rng.integers(0, high, shape).astype(np.int32)


def scalar(value, dtype=np.float32):
    return np.array(value, dtype)


MASK = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]], np.int32)
ANGLES = np.outer(np.arange(16), 10.0 ** -np.arange(4)).astype(np.float32)
COS, SIN = np.cos(ANGLES), np.sin(ANGLES)

# Name: operator, inputs (None is left out), attributes, number of outputs.
# Scales are such that no quotient lies between two integers: there the last bit of a division decides.
CASES = {
    "gelu": ("Gelu", [f(3, 8)], {}, 1),
    "bias_gelu": ("BiasGelu", [f(3, 8), f(8)], {}, 1),
    "fast_gelu": ("FastGelu", [f(3, 8)], {}, 1),
    "fast_gelu_bias": ("FastGelu", [f(3, 8), f(8)], {}, 1),
    "quick_gelu": ("QuickGelu", [f(3, 8)], {"alpha": 1.3}, 1),
    "fused_mat_mul": ("FusedMatMul", [f(2, 4, 3), f(2, 5, 4)], {"alpha": 0.5, "transA": 1, "transB": 1}, 1),
    "fused_mat_mul_batch": ("FusedMatMul", [f(3, 2, 4), f(2, 4, 5)], {"transBatchA": 1}, 1),
    "fused_mat_mul_batch_trans": (
        "FusedMatMul",
        [f(4, 2, 3), f(2, 4, 5)],
        {"transA": 1, "transBatchA": 1},
        1,
    ),
    "fused_gemm": ("FusedGemm", [f(3, 4), f(4, 5), f(5)], {"activation": "Relu", "alpha": 0.7}, 1),
    "fused_conv": (
        "FusedConv",
        [f(1, 3, 6, 6), f(4, 3, 3, 3), f(4)],
        {"activation": "LeakyRelu", "activation_params": [0.2], "pads": [1, 1, 1, 1]},
        1,
    ),
    "fused_conv_sum": (
        "FusedConv",
        [f(1, 3, 6, 6), f(4, 3, 3, 3), f(4), f(1, 4, 4, 4)],
        {"activation": "Relu"},
        1,
    ),
    "skip_layer_normalization": (
        "SkipLayerNormalization",
        [f(2, 5, 8), f(2, 5, 8), f(8), f(8), f(8)],
        {"epsilon": 1e-5},
        [0, 3],
    ),
    "skip_layer_normalization_plain": ("SkipLayerNormalization", [f(2, 5, 8), f(2, 5, 8), f(8)], {}, 1),
    "skip_simplified_layer_normalization": (
        "SkipSimplifiedLayerNormalization",
        [f(2, 5, 8), f(2, 5, 8), f(8)],
        {"epsilon": 1e-6},
        [0, 3],
    ),
    "simplified_layer_normalization": ("SimplifiedLayerNormalization", [f(2, 5, 8), f(8)], {"epsilon": 1e-6}, 2),
    "embed_layer_normalization": (
        "EmbedLayerNormalization",
        [ids(20, 2, 5), ids(2, 2, 5), f(20, 8), f(9, 8), f(2, 8), f(8), f(8), MASK],
        {"epsilon": 1e-5},
        3,
    ),
    "embed_layer_normalization_plain": (
        "EmbedLayerNormalization",
        [ids(20, 2, 5), None, f(20, 8), f(9, 8), None, f(8), f(8)],
        {},
        2,
    ),
    "rotary_embedding": (
        "RotaryEmbedding",
        [f(2, 5, 16), np.array([[3, 4, 5, 6, 7], [0, 1, 2, 3, 4]], np.int64), COS, SIN],
        {},
        1,
    ),
    "rotary_embedding_heads": (
        "RotaryEmbedding",
        [f(2, 3, 5, 8), np.array([2], np.int64), COS, SIN],
        {"interleaved": 1},
        1,
    ),
    "rotary_embedding_partial": (
        "RotaryEmbedding",
        [f(2, 5, 36), np.array([1], np.int64), COS, SIN],
        {"num_heads": 3, "rotary_embedding_dim": 8},
        1,
    ),
    "attention": ("Attention", [f(2, 5, 8), f(8, 24), f(24), MASK], {"num_heads": 2}, 1),
    "attention_lengths": (
        "Attention",
        [f(2, 5, 8), f(8, 24), f(24), np.array([4, 3], np.int32)],
        {"num_heads": 2},
        1,
    ),
    "attention_past": (
        "Attention",
        [f(2, 3, 8), f(8, 24), f(24), None, f(2, 2, 2, 4, 4)],
        {"num_heads": 2, "unidirectional": 1, "scale": 0.4},
        2,
    ),
    "attention_bias": (
        "Attention",
        [f(2, 5, 8), f(8, 24), f(24), None, None, f(1, 2, 5, 5)],
        {"num_heads": 2},
        1,
    ),
    "multi_head_attention": (
        "MultiHeadAttention",
        [f(2, 5, 8), f(2, 7, 8), f(2, 7, 12), f(28), np.array([[1] * 7, [1] * 4 + [0] * 3], np.int32)],
        {"num_heads": 2},
        1,
    ),
    "multi_head_attention_past": (
        "MultiHeadAttention",
        [f(2, 3, 8), f(2, 3, 8), f(2, 3, 8), None, None, f(2, 2, 3, 7), f(2, 2, 4, 4), f(2, 2, 4, 4)],
        {"num_heads": 2, "unidirectional": 1, "scale": 0.6},
        3,
    ),
    "q_attention": (
        "QAttention",
        [u8(2, 5, 8), i8(8, 24), f(24), scalar(0.02), scalar(0.01), MASK, scalar(120, np.uint8), scalar(3, np.int8)],
        {"num_heads": 2},
        1,
    ),
    "mat_mul_4_bits": (
        "MatMulNBits",
        [f(3, 40), u8(6, 3, 8), np.abs(f(18)) * 0.1],
        {"K": 40, "N": 6, "bits": 4, "block_size": 16},
        1,
    ),
    "mat_mul_4_bits_zero": (
        "MatMulNBits",
        [f(2, 3, 48), u8(6, 3, 8), np.abs(f(18)) * 0.1, u8(12)],
        {"K": 48, "N": 6, "bits": 4, "block_size": 16},
        1,
    ),
    "mat_mul_8_bits": (
        "MatMulNBits",
        [f(3, 32), u8(6, 2, 16), np.abs(f(12)) * 0.01],
        {"K": 32, "N": 6, "bits": 8, "block_size": 16},
        1,
    ),
    "q_linear_add": (
        "QLinearAdd",
        [u8(3, 8), scalar(0.03), scalar(128, np.uint8), u8(8), scalar(0.02), scalar(100, np.uint8), scalar(0.05), scalar(110, np.uint8)],
        {},
        1,
    ),
    "q_linear_mul": (
        "QLinearMul",
        [i8(3, 8), scalar(0.03), scalar(1, np.int8), i8(3, 1), scalar(0.02), scalar(-4, np.int8), scalar(0.06), scalar(3, np.int8)],
        {},
        1,
    ),
    "q_linear_sigmoid": (
        "QLinearSigmoid",
        [u8(3, 8), scalar(0.05), scalar(128, np.uint8), scalar(0.004), scalar(0, np.uint8)],
        {},
        1,
    ),
    "q_linear_leaky_relu": (
        "QLinearLeakyRelu",
        [i8(3, 8), scalar(0.05), scalar(5, np.int8), scalar(0.0437), scalar(-30, np.int8)],
        {"alpha": 0.1},
        1,
    ),
    "q_linear_softmax": (
        "QLinearSoftmax",
        [u8(3, 8), scalar(0.05), scalar(128, np.uint8), scalar(1 / 256), scalar(0, np.uint8)],
        {"opset": 13, "axis": -1},
        1,
    ),
    "q_linear_global_average_pool": (
        "QLinearGlobalAveragePool",
        [u8(1, 3, 4, 5), scalar(0.05), scalar(128, np.uint8), scalar(0.02), scalar(120, np.uint8)],
        {"channels_last": 0},
        1,
    ),
    "q_linear_concat": (
        "QLinearConcat",
        [scalar(0.05), scalar(120, np.uint8), u8(2, 3), scalar(0.03), scalar(100, np.uint8), u8(2, 4), scalar(0.08), scalar(130, np.uint8)],
        {"axis": 1},
        1,
    ),
    "q_gemm": (
        "QGemm",
        [u8(3, 8), scalar(0.02), scalar(120, np.uint8), i8(4, 8), np.abs(f(4)) * 0.01, np.zeros(4, np.int8), ids(900, 4), scalar(0.1), scalar(128, np.uint8)],
        {"transB": 1},
        1,
    ),
    "q_gemm_float": (
        "QGemm",
        [u8(3, 8), scalar(0.02), scalar(120, np.uint8), u8(8, 4), scalar(0.01), scalar(128, np.uint8)],
        {"alpha": 0.5},
        1,
    ),
    "dynamic_quantize_mat_mul": (
        "DynamicQuantizeMatMul",
        [f(3, 8), i8(8, 4), scalar(0.01), scalar(2, np.int8), f(4)],
        {},
        1,
    ),
    "mat_mul_integer_to_float": (
        "MatMulIntegerToFloat",
        [u8(3, 8), i8(8, 4), scalar(0.02), np.abs(f(4)) * 0.01, scalar(120, np.uint8), np.zeros(4, np.int8), f(4)],
        {},
        1,
    ),
    "quantize_linear": ("QuantizeLinear", [f(3, 8), scalar(0.001), scalar(30000, np.uint16)], {}, 1),
    "dequantize_linear": ("DequantizeLinear", [i8(3, 8), scalar(0.02), scalar(3, np.int8)], {}, 1),
}
TYPES[np.dtype(np.uint16)] = TensorProto.UINT16
# What these inputs hold must be constant for ONNX Runtime, as in real files.
CONSTANT = {
    "QAttention": {1, 3, 4, 6, 7},
    "MatMulNBits": {1, 2, 3},
    "QLinearSigmoid": {1, 2, 3, 4},
    "QLinearLeakyRelu": {1, 2, 3, 4},
    "QLinearSoftmax": {1, 2, 3, 4},
    "QLinearConcat": {0, 1, 3, 4, 6, 7},
    "QGemm": {3, 4, 5},
}


def write(name, out):
    op, inputs, attributes, outputs = CASES[name]
    constant = CONSTANT.get(op, set())
    wanted = list(range(outputs)) if isinstance(outputs, int) else outputs
    named = [f"y{i}" if i in wanted else "" for i in range(max(wanted) + 1)]
    domain = "" if op == "SimplifiedLayerNormalization" else "com.microsoft"
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    node = helper.make_node(op, names, named, domain=domain, **attributes)
    given = {f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in constant}
    initial = [onnx.numpy_helper.from_array(inputs[i], f"x{i}") for i in sorted(constant) if i < len(inputs)]
    graph = helper.make_graph(
        [node],
        name,
        [helper.make_tensor_value_info(k, TYPES[x.dtype], x.shape) for k, x in given.items()],
        [helper.make_empty_tensor_value_info(k) for k in named if k],
        initial,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    results = session.run(None, given)
    onnx.save(model, out / f"{name}.onnx")
    tensors = {f"input.{k}": np.array(x, order="C") for k, x in given.items()}
    tensors |= {f"output.{k}": np.array(y, order="C") for k, y in zip([k for k in named if k], results)}
    save_file(tensors, out / f"{name}.safetensors")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        try:
            write(case, folder)
        except Exception as error:  # noqa: BLE001 all that ONNX Runtime refuses is listed
            print(f"{case}: {str(error)[:300]}")
