# SPDX-License-Identifier: Apache-2.0
"""Random models that give the tidy-up passes something to do, and a way to run them."""

from __future__ import annotations

import random

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZES = (1, 3)
"""Batch sizes that every random model takes."""


class _Builder:
    """Grows a graph of float tensors of shape [N, 4, 6], by pieces that passes have an opinion on."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.values = ["x"]
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def constant(self, array: np.ndarray, prefix: str = "c") -> str:
        self.count += 1
        name = f"{prefix}{self.count}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def node(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, **attributes))
        return names[0]

    def pick(self) -> str:
        return self.random.choice(self.values[-6:])

    def grow(self) -> None:
        plain = [self.pointwise, self.arithmetic, self.identity, self.reshaped, self.turned, self.sliced, self.shaped]
        others = [self.linear, self.normalised, self.branch, self.twice, self.dead, self.random_numbers]
        piece = self.random.choice([*plain, *others, self.shape_constant])
        self.values.append(piece(self.pick()))

    def pointwise(self, x: str) -> str:
        return self.node(self.random.choice(["Relu", "Tanh", "Sigmoid", "Neg", "Abs"]), x)

    def arithmetic(self, x: str) -> str:
        scalar = self.constant(np.array(self.random.choice([0.0, 1.0, 0.5]), np.float32))
        return self.node(self.random.choice(["Add", "Mul", "Sub"]), x, self.random.choice([scalar, self.pick()]))

    def identity(self, x: str) -> str:
        kind = self.random.randrange(5)
        if kind == 0:
            return self.node("Identity", x)
        if kind == 1:
            return self.node("Cast", x, to=TensorProto.FLOAT)
        if kind == 2:
            return self.node("Dropout", x)
        if kind == 3:
            return self.node("Transpose", x, perm=[0, 1, 2])
        return self.node("Pad", x, self.ints(0, 0, 0, 0, 0, 0))

    def reshaped(self, x: str) -> str:
        shape = self.node("Shape", x)
        batch = self.node("Gather", shape, self.ints(0))
        flat = self.node("Reshape", x, self.node("Concat", batch, self.ints(24), axis=0))
        return self.node("Reshape", flat, self.node("Concat", batch, self.ints(4, 6), axis=0))

    def turned(self, x: str) -> str:
        perm = self.random.choice([[1, 0, 2], [0, 2, 1], [2, 1, 0]])
        back = [perm.index(axis) for axis in range(3)]
        return self.node("Transpose", self.node("Transpose", x, perm=perm), perm=back)

    def linear(self, x: str) -> str:
        weight = self.constant(self.numbers.standard_normal((6, 6)).astype(np.float32) / 3, "weight")
        turned = self.node("Transpose", weight, perm=[1, 0])
        y = self.node("MatMul", x, turned)
        return self.node("MatMul", y, weight) if self.random.random() < 0.3 else y

    def normalised(self, x: str) -> str:
        weight = self.constant(self.numbers.standard_normal((4, 4, 1)).astype(np.float32) / 2, "weight")
        operator = self.random.choice(["Conv", "ConvTranspose"])
        inputs = [x, weight]
        if self.random.random() < 0.5:
            inputs.append(self.constant(self.numbers.standard_normal(4).astype(np.float32), "weight"))
        y = self.node(operator, *inputs)
        parts = [self.constant(self.numbers.random(4).astype(np.float32) + 0.5, "weight") for _ in range(4)]
        return self.node("BatchNormalization", y, *parts, epsilon=1e-3)

    def sliced(self, x: str) -> str:
        whole = self.node("Slice", x, self.ints(0), self.ints(6), self.ints(2))
        left = self.node("Slice", whole, self.ints(0), self.ints(2), self.ints(2))
        right = self.node("Slice", whole, self.ints(2), self.ints(99), self.ints(2))
        return self.node("Concat", left, right, axis=2)

    def branch(self, x: str) -> str:
        if self.random.random() < 0.5:
            condition = self.node("Not", self.constant(np.array(self.random.random() < 0.5)))
        else:
            size = self.node("Gather", self.node("Shape", x), self.constant(np.array(0, np.int64)))
            condition = self.node("Greater", size, self.constant(np.array(2, np.int64)))
        branches = []
        for operator in ("Exp", "Neg"):
            inner, out = self.name(), self.name()
            three = numpy_helper.from_array(np.array(3.0, np.float32), f"{inner}_three")
            nodes = [
                helper.make_node("Mul", [x, three.name], [inner]),
                helper.make_node("Tanh" if operator == "Exp" else operator, [inner], [out]),
            ]
            info = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", 4, 6])
            branches.append(helper.make_graph(nodes, operator, [], [info], [three]))
        return self.node("If", condition, then_branch=branches[0], else_branch=branches[1])

    def shaped(self, x: str) -> str:
        size = self.node("Gather", self.node("Shape", x), self.constant(np.array(2, np.int64)))
        number = self.node("Cast", size, to=TensorProto.FLOAT)
        return self.node("Div", x, self.node("Sqrt", number))

    def shape_constant(self, x: str) -> str:
        ones = self.node("ConstantOfShape", self.ints(4, 6), value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1]))
        return self.node("Add", x, self.node("Mul", ones, self.constant(np.float32(0.25).reshape(()))))

    def twice(self, x: str) -> str:
        return self.node("Mul", self.node("Sigmoid", x), self.node("Sigmoid", x))

    def dead(self, x: str) -> str:
        self.node("MaxPool", x, outputs=2, kernel_shape=[2])
        self.node("Exp", x)
        return self.node("MaxPool", x, outputs=2, kernel_shape=[1])

    def random_numbers(self, x: str) -> str:
        noise = self.node("RandomUniform", shape=[4, 6], high=0.0, low=0.0)
        return self.node("Add", x, noise)


def random_model(seed: int, pieces: int = 12, opset: int = 17) -> onnx.ModelProto:
    """Return a checked model from `x` [N, 4, 6] to three outputs of the same shape, with shapes on all values."""
    builder = _Builder(seed)
    for _ in range(pieces):
        builder.grow()
    outputs = []
    for index, value in enumerate(builder.values[-3:]):
        builder.nodes.append(helper.make_node("Identity", [value], [f"out{index}"]))
        outputs.append(helper.make_tensor_value_info(f"out{index}", TensorProto.FLOAT, ["N", 4, 6]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 6])
    graph = helper.make_graph(builder.nodes, "random", [x], outputs, builder.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def results(model: onnx.ModelProto | ir.Model) -> list[np.ndarray]:
    """Run a model in onnxruntime without its optimisations, on inputs of each of SIZES."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    found = []
    for size in SIZES:
        x = np.random.default_rng(size).standard_normal((size, 4, 6)).astype(np.float32)
        found += session.run(None, {"x": x})
    return found
