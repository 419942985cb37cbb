# SPDX-License-Identifier: Apache-2.0
"""Random rows of views, moves, casts, slices and pads over free axes, each value with the shape that capture gives."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from lading.passes.tidying.moves_in_a_row import Size
from onnx import TensorProto, helper, numpy_helper

ONE = Size(1)


class Moves:
    """Grows a graph from `x` [N, S, 12] by operators that move, view or repeat, at a given opset."""

    def __init__(self, seed: int, opset: int) -> None:
        self.random = random.Random(seed)
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.sizes: dict[str, list[Size]] = {"x": [Size(1, ("N",)), Size(1, ("S",)), Size(12)]}
        self.infos: list[onnx.ValueInfoProto] = []

    def ints(self, *numbers: int) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
        return name

    def number(self, value: float) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def node(self, op_type: str, inputs: Sequence[str], sizes: Sequence[Size], **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        self.sizes[name] = list(sizes)
        kind = TensorProto.DOUBLE if attributes.get("to") == TensorProto.DOUBLE else TensorProto.FLOAT
        dims = [size.dim() for size in sizes]
        texts = [dim if isinstance(dim, int) else dim.value for dim in dims]
        self.infos.append(helper.make_tensor_value_info(name, kind, texts))
        return name

    def grow(self, x: str) -> str:
        pieces = [self.turned, self.split, self.joined, self.unsqueezed, self.squeezed, self.pointwise, self.turned]
        return self.random.choice([*pieces, self.expanded, self.cast, self.sliced, self.flat, self.padded])(x)

    def turned(self, x: str) -> str:
        perm = list(range(len(self.sizes[x])))
        self.random.shuffle(perm)
        return self.node("Transpose", [x], [self.sizes[x][axis] for axis in perm], perm=perm)

    def reshaped(self, x: str, sizes: Sequence[Size]) -> str:
        """Reshape by a computed shape, as capture writes it where nothing simpler will do."""
        names = [size for size in sizes if size.names]
        if len(names) <= 1:
            return self.node("Reshape", [x, self.ints(*(-1 if size.names else size.number for size in sizes))], sizes)
        old = self.sizes[x]
        target = [0 if i < len(old) and old[i] == size and size.names else size.number for i, size in enumerate(sizes)]
        rest = [i for i, size in enumerate(sizes) if size.names and target[i] != 0]
        if len(rest) > 1:
            return x
        for place in rest:
            target[place] = -1
        return self.node("Reshape", [x, self.ints(*target)], sizes)

    def split(self, x: str) -> str:
        sizes = self.sizes[x]
        axis = self.random.randrange(len(sizes))
        size = sizes[axis]
        factor = self.random.choice([2, 3, 4])
        rest = size.over(Size(factor))
        if rest is None or len(sizes) > 5:
            return x
        pair = [Size(factor), rest] if self.random.random() < 0.5 else [rest, Size(factor)]
        return self.reshaped(x, [*sizes[:axis], *pair, *sizes[axis + 1 :]])

    def joined(self, x: str) -> str:
        sizes = self.sizes[x]
        if len(sizes) < 2:
            return x
        axis = self.random.randrange(len(sizes) - 1)
        return self.reshaped(x, [*sizes[:axis], sizes[axis].times(sizes[axis + 1]), *sizes[axis + 2 :]])

    def flat(self, x: str) -> str:
        axis = self.random.randrange(len(self.sizes[x]) + 1)
        halves = []
        for part in (self.sizes[x][:axis], self.sizes[x][axis:]):
            size = ONE
            for each in part:
                size = size.times(each)
            halves.append(size)
        return self.node("Flatten", [x], halves, axis=axis)

    def axes(self, op_type: str, x: str, axes: Sequence[int], sizes: Sequence[Size]) -> str:
        if self.opset < 13:
            return self.node(op_type, [x], sizes, axes=list(axes))
        return self.node(op_type, [x, self.ints(*axes)], sizes)

    def unsqueezed(self, x: str) -> str:
        sizes = list(self.sizes[x])
        axis = self.random.randrange(len(sizes) + 1)
        return x if len(sizes) > 5 else self.axes("Unsqueeze", x, [axis], [*sizes[:axis], ONE, *sizes[axis:]])

    def squeezed(self, x: str) -> str:
        sizes = self.sizes[x]
        ones = [axis for axis, size in enumerate(sizes) if size == ONE]
        if not ones:
            return x
        axis = self.random.choice(ones)
        return self.axes("Squeeze", x, [axis], [size for place, size in enumerate(sizes) if place != axis])

    def expanded(self, x: str) -> str:
        """Repeat along a new axis of a known size, and add what has that size already."""
        sizes = list(self.sizes[x])
        if self.opset < 8 or not sizes or sizes[-1] != ONE:
            return x
        target = self.ints(*([1] * (len(sizes) - 1)), 3)
        wide = self.node("Expand", [x, target], [*sizes[:-1], Size(3)])
        return self.node("Add", [wide, self.vector(3)], [*sizes[:-1], Size(3)])

    def vector(self, size: int) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.arange(1, size + 1, dtype=np.float32), name))
        return name

    def pointwise(self, x: str) -> str:
        sizes = self.sizes[x]
        kind = self.random.randrange(4)
        if kind == 0:
            return self.node("Neg", [x], sizes)
        if kind == 1:
            return self.node("Add", [x, self.number(0.5)], sizes)
        if kind == 2:
            return self.node("Mul", [x, self.node("Reciprocal", [self.node("Exp", [x], sizes)], sizes)], sizes)
        return self.node("Relu", [x], sizes)

    def cast(self, x: str) -> str:
        double = self.node("Cast", [x], self.sizes[x], to=TensorProto.DOUBLE)
        return self.node("Cast", [double], self.sizes[x], to=TensorProto.FLOAT)

    def sliced(self, x: str) -> str:
        sizes = list(self.sizes[x])
        axes = [axis for axis, size in enumerate(sizes) if not size.names and size.number >= 4]
        if not axes:
            return x
        axis = self.random.choice(axes)
        for start, end in ((1, 2**31), (0, sizes[axis].number - 2)):
            sizes[axis] = Size(min(end, sizes[axis].number) - start)
            if self.opset < 10:
                x = self.node("Slice", [x], sizes, starts=[start], ends=[end], axes=[axis])
            else:
                x = self.node("Slice", [x, self.ints(start), self.ints(end), self.ints(axis)], sizes)
        return x

    def padded(self, x: str) -> str:
        sizes = list(self.sizes[x])
        axis = len(sizes) - 1
        if axis < 0 or sizes[axis].names:
            return x
        for before, after in ((1, 0), (0, 1)):
            pads = [0] * (2 * len(sizes))
            pads[axis], pads[axis + len(sizes)] = before, after
            sizes[axis] = Size(sizes[axis].number + 1)
            if self.opset < 11:
                x = self.node("Pad", [x], sizes, pads=pads)
            else:
                x = self.node("Pad", [x, self.ints(*pads)], sizes)
        return x


def random_moves(seed: int, opset: int = 18, length: int = 14) -> onnx.ModelProto:
    """Return a checked model from `x` [N, S, 12] to `y`, and to an inner value that has two readers."""
    moves = Moves(seed, opset)
    value = "x"
    shared = "x"
    for step in range(length):
        value = moves.grow(value)
        if step == length // 2:
            shared = value
    y = moves.node("Neg", [value], moves.sizes[value])
    z = moves.node("Abs", [shared], moves.sizes[shared])
    outputs = [info for info in moves.infos if info.name in (y, z)]
    inner = [info for info in moves.infos if info.name not in (y, z)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "S", 12])
    graph = helper.make_graph(moves.nodes, "moves", [x], outputs, moves.initializers, value_info=inner)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto | ir.Model, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Run a model in onnxruntime without its optimisations."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return list(onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, dict(feeds)))
