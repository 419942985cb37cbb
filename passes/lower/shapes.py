# SPDX-License-Identifier: Apache-2.0
"""Shapes of emitted values, for the operators that lowerings put between an ATen operator's inputs and outputs.

Each rule follows the shape rule on the operator's ONNX page.  A rule returns one shape for each output, or ``None``
for an output whose shape cannot be known here; operators without a rule are asked of onnx's own shape inference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from .onnx_shapes import infer_by_onnx

Dims = list[Any]
Inputs = Sequence["ir.Value | None"]
Attributes = Mapping[str, Any]
Rule = Callable[[Inputs, Attributes], "list[Dims | None]"]

_RULES: dict[str, Rule] = {}


def _rule(*op_types: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        for op_type in op_types:
            _RULES[op_type] = function
        return function

    return register


def dims_of(value: ir.Value | None) -> Dims | None:
    """Return the dimensions of a value as a list, or None where its rank is unknown."""
    if value is None or value.shape is None:
        return None
    return list(value.shape)


def constant_of(value: ir.Value | None) -> np.ndarray | None:
    """Return the constant that a value holds as an array, or None where it is not a small constant."""
    if value is None or value.const_value is None or value.const_value.size > 4096:
        return None
    return value.const_value.numpy()


def constant_ints(value: Any) -> list[int] | None:
    """Return the integers of a constant value (or of a plain list), or None where they are not known."""
    if value is None:
        return None
    if isinstance(value, ir.Value):
        array = constant_of(value)
        return None if array is None else [int(item) for item in np.atleast_1d(array)]
    return [int(item) for item in np.atleast_1d(value)]


def _unknown() -> ir.SymbolicDim:
    return ir.SymbolicDim(None)


def is_unknown(dim: Any) -> bool:
    """Whether a dimension is neither an integer nor a named symbol."""
    return isinstance(dim, ir.SymbolicDim) and dim.value is None


def same_dim(left: Any, right: Any) -> bool:
    """Whether two dimensions are known to be equal."""
    return not is_unknown(left) and left == right


def broadcast_dims(shapes: Sequence[Dims]) -> Dims:
    """Broadcast shapes by ONNX's multidirectional rule; a pair that cannot be decided is unknown."""
    rank = max((len(shape) for shape in shapes), default=0)
    result: Dims = []
    for axis in range(rank):
        dims = [shape[axis - rank + len(shape)] for shape in shapes if axis - rank + len(shape) >= 0]
        dims = [dim for dim in dims if dim != 1] or [1]
        first = dims[0]
        if all(same_dim(first, dim) for dim in dims[1:]):
            result.append(first)
        else:
            result.append(next((dim for dim in dims if isinstance(dim, int)), _unknown()))
    return result


@_rule(
    *[
        "Abs",
        "Acos",
        "Acosh",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "Cast",
        "Ceil",
        "Celu",
        "Clip",
        "Cos",
        "Cosh",
        "CumSum",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Hardmax",
        "Identity",
        "InstanceNormalization",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Log",
        "LogSoftmax",
        "LpNormalization",
        "Mish",
        "Neg",
        "Not",
        "PRelu",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softmax",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "Trilu",
        "BitwiseNot",
        "CastLike",
        "LayerNormalization",
        "GroupNormalization",
        "RMSNormalization",
        "ScatterElements",
        "ScatterND",
        "Scatter",
        "LRN",
        "RandomNormalLike",
        "RandomUniformLike",
        "Bernoulli",
        "EyeLike",
        "ReverseSequence",
    ]
)
def _like_first(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    return [dims_of(inputs[0])]


@_rule("Dropout")
def _dropout(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    return [dims, dims]


@_rule("BatchNormalization")
def _batch_normalization(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    channels = dims_of(inputs[1])
    return [dims_of(inputs[0]), channels, channels]


@_rule(
    *[
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Mod",
        "And",
        "Or",
        "Xor",
        "Equal",
        "Less",
        "Greater",
        "LessOrEqual",
        "GreaterOrEqual",
        "Max",
        "Min",
        "Sum",
        "Mean",
        "Where",
        "BitShift",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
    ]
)
def _broadcasting(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    shapes = [dims_of(value) for value in inputs]
    if any(shape is None for shape in shapes):
        return [None]
    return [broadcast_dims([shape for shape in shapes if shape is not None])]


@_rule("Transpose")
def _transpose(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if dims is None:
        return [None]
    order = attributes.get("perm") or list(reversed(range(len(dims))))
    return [[dims[axis] for axis in order]]


def _axes(inputs: Inputs, attributes: Attributes, rank: int) -> list[int] | None:
    axes = attributes["axes"] if "axes" in attributes else (constant_ints(inputs[1]) if len(inputs) > 1 else [])
    return None if axes is None else [axis + rank if axis < 0 else axis for axis in axes]


@_rule("Unsqueeze")
def _unsqueeze(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    raw = attributes["axes"] if "axes" in attributes else constant_ints(inputs[1])
    if dims is None or raw is None:
        return [None]
    rank = len(dims) + len(raw)
    result = list(dims)
    for axis in sorted(axis % rank for axis in raw):
        result.insert(axis, 1)
    return [result]


@_rule("Squeeze")
def _squeeze(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if dims is None:
        return [None]
    axes = _axes(inputs, attributes, len(dims))
    if axes is None:
        return [None]
    if not axes:
        if any(not isinstance(dim, int) for dim in dims):
            return [None]
        return [[dim for dim in dims if dim != 1]]
    return [[dim for axis, dim in enumerate(dims) if axis not in axes]]


@_rule(
    *[
        "ReduceSum",
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceSumSquare",
    ]
)
def _reduce(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if dims is None:
        return [None]
    axes = _axes(inputs, attributes, len(dims))
    if axes is None:
        return [None]
    if not axes:
        if attributes.get("noop_with_empty_axes"):
            return [dims]
        axes = list(range(len(dims)))
    if attributes.get("keepdims", 1):
        return [[1 if axis in axes else dim for axis, dim in enumerate(dims)]]
    return [[dim for axis, dim in enumerate(dims) if axis not in axes]]


@_rule("ArgMax", "ArgMin")
def _arg_reduce(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    return _reduce(inputs[:1], {"axes": [attributes.get("axis", 0)], "keepdims": attributes.get("keepdims", 1)})


@_rule("Shape")
def _shape(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if dims is None:
        return [[_unknown()]]
    return [[len(dims[attributes.get("start", 0) : attributes.get("end", len(dims))])]]


@_rule("Size")
def _size(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    return [[]]


@_rule("Concat")
def _concat(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    shapes = [dims_of(value) for value in inputs]
    known = [shape for shape in shapes if shape is not None]
    if not known:
        return [None]
    result = list(known[0])
    axis = attributes["axis"] % len(result)
    if len(known) < len(shapes) or any(not isinstance(shape[axis], int) for shape in known):
        result[axis] = _unknown()
    else:
        result[axis] = sum(shape[axis] for shape in known)
    return [result]


@_rule("Gather")
def _gather(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    data, indices = dims_of(inputs[0]), dims_of(inputs[1])
    if data is None or indices is None:
        return [None]
    axis = attributes.get("axis", 0) % len(data)
    return [data[:axis] + indices + data[axis + 1 :]]


@_rule("GatherElements")
def _gather_elements(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    return [dims_of(inputs[1])]


@_rule("GatherND")
def _gather_nd(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    data, indices = dims_of(inputs[0]), dims_of(inputs[1])
    if data is None or indices is None or not isinstance(indices[-1], int):
        return [None]
    return [indices[:-1] + data[attributes.get("batch_dims", 0) + indices[-1] :]]


@_rule("MatMul")
def _matmul(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    left, right = dims_of(inputs[0]), dims_of(inputs[1])
    if left is None or right is None:
        return [None]
    tail: Dims = []
    batch = broadcast_dims([left[:-2], right[:-2]])
    if len(left) > 1:
        tail.append(left[-2])
    if len(right) > 1:
        tail.append(right[-1])
    return [batch + tail]


@_rule("Gemm")
def _gemm(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    left, right = dims_of(inputs[0]), dims_of(inputs[1])
    if left is None or right is None:
        return [None]
    return [[left[1 if attributes.get("transA") else 0], right[0 if attributes.get("transB") else 1]]]


@_rule("Reshape")
def _reshape(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    wanted = constant_ints(inputs[1])
    dims = dims_of(inputs[0])
    if wanted is None:
        target = dims_of(inputs[1])
        return [[_unknown()] * target[0] if target and isinstance(target[0], int) else None]
    result: Dims = []
    for axis, size in enumerate(wanted):
        if size == 0 and not attributes.get("allowzero"):
            result.append(dims[axis] if dims is not None else _unknown())
        else:
            result.append(_unknown() if size == -1 else size)
    if -1 in wanted and dims is not None and all(isinstance(dim, int) for dim in dims):
        rest = [size for position, size in enumerate(result) if wanted[position] != -1]
        if all(isinstance(size, int) for size in rest) and 0 not in rest:
            result[wanted.index(-1)] = int(np.prod(dims, dtype=np.int64)) // int(np.prod(rest, dtype=np.int64))
    return [result]


@_rule("Expand")
def _expand(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    wanted = constant_ints(inputs[1])
    dims = dims_of(inputs[0])
    if dims is None:
        return [None]
    if wanted is None:
        target = dims_of(inputs[1])
        if target is None or not isinstance(target[0], int):
            return [None]
        return [[_unknown()] * max(target[0], len(dims))]
    return [broadcast_dims([dims, list(wanted)])]


@_rule("ConstantOfShape")
def _constant_of_shape(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    wanted = constant_ints(inputs[0])
    if wanted is not None:
        return [list(wanted)]
    target = dims_of(inputs[0])
    return [[_unknown()] * target[0] if target and isinstance(target[0], int) else None]


@_rule("Flatten")
def _flatten(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if dims is None or any(not isinstance(dim, int) for dim in dims):
        return [[_unknown(), _unknown()]]
    axis = attributes.get("axis", 1)
    axis = axis + len(dims) if axis < 0 else axis
    return [[int(np.prod(dims[:axis], dtype=np.int64)), int(np.prod(dims[axis:], dtype=np.int64))]]


@_rule("Slice")
def _slice(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if dims is None:
        return [None]
    if "starts" in attributes:
        starts, ends = attributes["starts"], attributes["ends"]
        axes, steps = attributes.get("axes"), None
    else:
        starts, ends = constant_ints(inputs[1]), constant_ints(inputs[2])
        axes = constant_ints(inputs[3]) if len(inputs) > 3 else None
        steps = constant_ints(inputs[4]) if len(inputs) > 4 else None
        if axes is None and len(inputs) > 3 and inputs[3] is not None:
            return [[_unknown()] * len(dims)]
    if axes is None:
        count = dims_of(inputs[1]) if starts is None else [len(starts)]
        if not count or not isinstance(count[0], int):
            return [[_unknown()] * len(dims)]
        axes = list(range(count[0]))
    result = list(dims)
    steps_known = len(inputs) <= 4 or inputs[4] is None or steps is not None
    for position, axis in enumerate(axes):
        size = dims[axis % len(dims)]
        if starts is None or ends is None or not steps_known or not isinstance(size, int):
            result[axis % len(dims)] = _unknown()
            continue
        step = steps[position] if steps else 1
        # Going backwards, ONNX keeps a start within the axis where Python lets it fall off.
        start = max(starts[position], -size) if step < 0 else starts[position]
        result[axis % len(dims)] = len(range(*slice(_edge(start), _edge(ends[position]), step).indices(size)))
    return [result]


def _edge(position: int) -> int | None:
    # INT64_MIN as an end with a negative step means "to the very start", which Python spells None.
    return None if position <= -(2**62) else position


@_rule("Tile")
def _tile(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims, repeats = dims_of(inputs[0]), constant_ints(inputs[1])
    if dims is None:
        return [None]
    if repeats is None:
        return [[_unknown()] * len(dims)]
    return [
        [
            dim if times == 1 else dim * times if isinstance(dim, int) else _unknown()
            for dim, times in zip(dims, repeats, strict=True)
        ]
    ]


@_rule("Pad")
def _pad(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if dims is None:
        return [None]
    pads = attributes["pads"] if "pads" in attributes else constant_ints(inputs[1])
    if pads is None or (len(inputs) > 3 and inputs[3] is not None):
        return [[_unknown()] * len(dims)]
    rank = len(dims)
    return [
        [
            dim if before + after == 0 else dim + before + after if isinstance(dim, int) else _unknown()
            for dim, before, after in zip(dims, pads[:rank], pads[rank:], strict=True)
        ]
    ]


@_rule("NonZero")
def _nonzero(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    return [[_unknown() if dims is None else max(len(dims), 1), _unknown()]]


@_rule("NonMaxSuppression")
def _selected_boxes(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    return [[_unknown(), 3]]


@_rule("Range", "Unique", "HannWindow", "HammingWindow", "BlackmanWindow")
def _one_dimensional(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    return [[_unknown()]]


@_rule("Compress")
def _compress(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if "axis" not in attributes or dims is None:
        return [[_unknown()] if "axis" not in attributes else None]
    axis = attributes["axis"] % len(dims)
    return [[*dims[:axis], _unknown(), *dims[axis + 1 :]]]


@_rule("OneHot")
def _one_hot(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims, depth = dims_of(inputs[0]), constant_ints(inputs[1])
    if dims is None:
        return [None]
    axis = attributes.get("axis", -1)
    axis = axis + len(dims) + 1 if axis < 0 else axis
    return [[*dims[:axis], depth[0] if depth else _unknown(), *dims[axis:]]]


@_rule("TopK")
def _top_k(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    count = [attributes["k"]] if "k" in attributes else constant_ints(inputs[1])
    if dims is None:
        return [None, None]
    result = list(dims)
    result[attributes.get("axis", -1)] = count[0] if count else _unknown()
    return [result, list(result)]


@_rule("Split")
def _split(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    dims = dims_of(inputs[0])
    if dims is None:
        return []
    axis = attributes.get("axis", 0) % len(dims)
    sizes: Sequence[Any] | None = attributes.get("split") or (constant_ints(inputs[1]) if len(inputs) > 1 else None)
    count = attributes.get("num_outputs")
    if sizes is None and count and isinstance(dims[axis], int):
        chunk = -(-dims[axis] // count)
        sizes = [max(0, min(chunk, dims[axis] - index * chunk)) for index in range(count)]
    if sizes is None:
        length = dims_of(inputs[1]) if len(inputs) > 1 else None
        count = count or (length[0] if length and isinstance(length[0], int) else 0)
        sizes = [_unknown() for _ in range(count)]
    return [[*dims[:axis], size, *dims[axis + 1 :]] for size in sizes]


@_rule("Constant")
def _constant(inputs: Inputs, attributes: Attributes) -> list[Dims | None]:
    return [list(attributes["value"].shape)] if "value" in attributes else [None]


def infer(op_type: str, inputs: Inputs, attributes: Attributes, node: ir.Node, opset: int) -> list[Dims | None]:
    """Return the shapes of a node's outputs as far as they can be known, ``None`` for one that cannot.

    Args:
        op_type: the ONNX operator.
        inputs: its inputs as emitted.
        attributes: its attributes as plain Python values.
        node: the node itself, with its outputs' dtypes set.
        opset: the opset that the node is written for.
    """
    rule = _RULES.get(op_type)
    if rule is not None:
        return rule(inputs, attributes)
    return infer_by_onnx(node, opset, constant_of)
