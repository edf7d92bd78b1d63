"""Two ONNX files of 500 MB for the figures of docs/performance.md: a chain of MatMul and Add whose weights lie in
the file (raw_data), and the same with its weights beside it (external data).

    python3 ci/onnx/make_large.py FOLDER        # writes inside.onnx, beside.onnx and beside.bin; needs onnx, numpy
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

WIDTH, LAYERS = 2048, 30  # 30 * 2048 * 2048 * 4 bytes = 503 MB

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(0)
nodes, initial, last = [], [], "x"
for i in range(LAYERS):
    weight = random.standard_normal((WIDTH, WIDTH), dtype=np.float32) / np.float32(WIDTH**0.5)
    bias = random.standard_normal(WIDTH, dtype=np.float32)
    for name, array in [(f"weight.{i}", weight), (f"bias.{i}", bias)]:
        initial.append(
            helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.tobytes(), raw=True)
        )
    nodes.append(helper.make_node("MatMul", [last, f"weight.{i}"], [f"product.{i}"]))
    nodes.append(helper.make_node("Add", [f"product.{i}", f"bias.{i}"], [f"sum.{i}"]))
    last = f"sum.{i}"
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH])
graph = helper.make_graph(nodes, "large", [value("x")], [value(last)], initial)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
onnx.save(model, folder / "inside.onnx")
onnx.save(model, folder / "beside.onnx", save_as_external_data=True, location="beside.bin", size_threshold=1024)
