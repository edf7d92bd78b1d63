#!/usr/bin/env python3
"""Records a bundle of a real ONNX file: what ONNX Runtime makes of it in f32, and what ONNX's own reference
evaluator makes of the same graph with every float in f64 (`NAME_f64`).

    pip install onnx==1.22.0 onnxruntime==1.32.0 safetensors numpy
    ci/onnx/record_real.py MODEL.onnx INPUTS.safetensors|text OUT

`text` draws an input for a text detector instead: two lines of strokes on paper, in values of -1 to 1.
"""
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import load_file, save_file


def widened(tensor):
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(numpy.float64), tensor.name)


def double(model):
    """The same graph with f64 in place of f32."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(widened(tensor))
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(widened(attribute.t))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return made


def drawn(shape):
    page = numpy.full(shape[2:], 0.9, numpy.float32)
    random = numpy.random.default_rng(5)
    for line in (20, 56):
        for letter in range(16, shape[3] - 16, 10):
            for _ in range(3):
                y, x = line + random.integers(0, 16), letter + random.integers(0, 5)
                page[y : y + 2, x : x + 6] = -0.9
                page[line : line + 18, x : x + 2] = -0.9
    return numpy.broadcast_to(page, shape).copy()


path, given, out = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
model = onnx.load(path)
session = onnxruntime.InferenceSession(path)
inputs = {session.get_inputs()[0].name: drawn((1, 3, 96, 160))} if given == "text" else load_file(given)
names = [o.name for o in session.get_outputs()]
taken = {i.name for i in session.get_inputs()}
outputs = dict(zip(names, session.run(None, {k: v for k, v in inputs.items() if k in taken})))
wide = {k: v.astype(numpy.float64) if v.dtype == numpy.float32 else v for k, v in inputs.items() if k in taken}
twins = dict(zip(names, ReferenceEvaluator(double(model)).run(None, wide)))
for name in names:
    apart = numpy.abs(outputs[name] - twins[name]).max()
    print(name, outputs[name].shape, "std", outputs[name].std(), "ONNX Runtime is", apart, "from f64")
    if outputs[name].dtype == numpy.float32:
        outputs[f"{name}_f64"] = numpy.ascontiguousarray(twins[name].astype(numpy.float64))
out.mkdir(parents=True, exist_ok=True)
save_file(inputs, out / "inputs.safetensors")
save_file(outputs, out / "reference.safetensors")
