#!/usr/bin/env python3
"""Writes ci/fixtures/onnx: small ONNX graphs, with what ONNX Runtime makes of them.

    pip install onnx==1.22.0 onnxruntime==1.32.0 safetensors numpy
    ci/onnx/make_fixtures.py ci/fixtures/onnx
"""
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

OUT = pathlib.Path(sys.argv[1])
RANDOM = numpy.random.default_rng(7)


def value(name, shape, type=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, type, shape)


def normal(name, *shape):
    return numpy_helper.from_array((RANDOM.normal(size=shape) / shape[0] ** 0.5).astype(numpy.float32), name)


def model(graph, version=20):
    made = helper.make_model(graph, producer_name="porter", opset_imports=[helper.make_opsetid("", version)])
    made.ir_version = 10
    return made


def mlp():
    """A named dimension, weights that are parameters, a small one that is a constant, a Constant node."""
    nodes = [
        helper.make_node("Constant", [], ["up"], value=normal("up", 12, 31)),
        helper.make_node("MatMul", ["x", "up"], ["a"], name="/up/MatMul"),
        helper.make_node("Gelu", ["a"], ["b"], name="/act/Gelu"),
        helper.make_node("Gemm", ["b", "down", "bias"], ["y"], name="/down/Gemm"),
        helper.make_node("ArgMax", ["y"], ["best"], axis=1, keepdims=0),
    ]
    outputs = [value("y", ["batch", 9]), value("best", ["batch"], TensorProto.INT64)]
    return helper.make_graph(nodes, "mlp", [value("x", ["batch", 12])], outputs, [normal("down", 31, 9), normal("bias", 9)])


def reshape():
    """A shape that depends on the value of an input."""
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"]), helper.make_node("Neg", ["y"], ["z"])]
    return helper.make_graph(nodes, "reshape", [value("x", [2, 6]), value("shape", [2], TensorProto.INT64)], [value("z", ["a", "b"])])


def convolutions():
    """Kernels that convolutions alone read, one of them by groups; one that a sum reads too; a matrix as [out, in]."""
    nodes = [
        helper.make_node("Conv", ["x", "stem.weight", "stem.bias"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "deep.weight"], ["c"], group=12, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "point"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Add", ["e", "point"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("Gemm", ["g", "head.weight"], ["y"], transB=1),
    ]
    weights = [normal("stem.weight", 12, 4, 3, 3), normal("stem.bias", 12), normal("deep.weight", 12, 1, 3, 3)]
    weights += [normal("point", 12, 12, 1, 1), normal("head.weight", 3, 12)]
    return helper.make_graph(nodes, "convolutions", [value("x", [1, 4, 9, 9])], [value("y", [12, 3])], weights)


def unsupported():
    """Two operators that nobody knows, an attribute that nobody knows, a data-dependent shape."""
    nodes = [
        helper.make_node("Frobnicate", ["x"], ["a"], name="first"),
        helper.make_node("Add", ["x", "x"], ["b"], name="sum"),
        helper.make_node("Softmax", ["b"], ["c"], name="soft", sharpness=3),
        helper.make_node("Defrost", ["b"], ["d"], name="last", domain="org.example"),
        helper.make_node("NonZero", ["b"], ["e"], name="places"),
    ]
    outputs = [value(name, None) for name in "acd"] + [value("e", None, TensorProto.INT64)]
    made = model(helper.make_graph(nodes, "unsupported", [value("x", ["rows", 4])], outputs))
    made.opset_import.append(helper.make_opsetid("org.example", 1))
    return made


def record(folder, graph, inputs):
    folder.mkdir(parents=True, exist_ok=True)
    made = model(graph)
    onnx.checker.check_model(made)
    onnx.save(made, folder / "model.onnx")
    session = onnxruntime.InferenceSession(made.SerializeToString())
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))
    save_file(inputs, folder / "inputs.safetensors")
    save_file(outputs, folder / "reference.safetensors")
    data = folder / "test_data_set_0"
    data.mkdir(exist_ok=True)
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for index, (name, array) in enumerate(tensors.items()):
            (data / f"{kind}_{index}.pb").write_bytes(numpy_helper.from_array(array, name).SerializeToString())


record(OUT / "mlp", mlp(), {"x": RANDOM.normal(size=(5, 12)).astype(numpy.float32)})
record(
    OUT / "reshape",
    reshape(),
    {"x": RANDOM.normal(size=(2, 6)).astype(numpy.float32), "shape": numpy.array([3, -1], numpy.int64)},
)
onnx.save(unsupported(), OUT / "unsupported.onnx")
record(OUT / "convolutions", convolutions(), {"x": RANDOM.normal(size=(1, 4, 9, 9)).astype(numpy.float32)})
