# SPDX-License-Identifier: Apache-2.0
"""Computing a node on constant inputs, in numpy for the operators met most, else with onnx's reference evaluator.

Results are what a runtime gives: integer division truncates, rounding is half to even, and half-precision floats are
computed in float32 and rounded once, as runtimes and PyTorch do. An operator that is not here is not evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from lading.passes.tidying.graph_edits import int_of, ints_of

Array = np.ndarray[Any, Any]
Inputs = Sequence["Array | None"]
Evaluator = Callable[[ir.Node, Inputs], "Array | list[Array]"]

_NUMPY: dict[str, Evaluator] = {}

# fmt: off
_REFERENCE = frozenset(
    {
        "Acos", "Acosh", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd",
        "BitwiseNot", "BitwiseOr", "BitwiseXor", "Celu", "Clip", "Compress", "Cosh", "CumSum", "DepthToSpace",
        "Elu", "Erf", "EyeLike", "GatherElements", "GatherND", "Gelu", "HardSigmoid", "HardSwish", "IsInf",
        "IsNaN", "LeakyRelu", "LogSoftmax", "NonZero", "OneHot", "Pad", "ReduceL1", "ReduceL2", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceSumSquare", "Relu", "ReverseSequence", "Scatter", "ScatterElements",
        "ScatterND", "Selu", "Sinh", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "TopK", "Trilu",
        "Unique",
    }
)
# fmt: on
"""Operators left to onnx.reference: cheap there, and checked to agree with the types that the graph states."""

_HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


class CannotEvaluate(Exception):
    """The node has no evaluator, or its inputs have no result (a division by zero, an index out of range)."""


def evaluate(node: ir.Node, inputs: Inputs, opset: int) -> list[Array]:
    """Return the outputs of `node` on numpy inputs, in the types that its outputs have in the graph.

    Raises:
        CannotEvaluate: see there.
    """
    evaluator = _NUMPY.get(node.op_type)
    if evaluator is None and node.op_type not in _REFERENCE:
        raise CannotEvaluate("no evaluator")
    types = [output.dtype for output in node.outputs]
    halves = [dtype in _HALVES for dtype in types]
    if any(halves):
        inputs = [None if array is None else _widened(array) for array in inputs]
    with np.errstate(all="ignore"):
        if evaluator is not None:
            try:
                results = evaluator(node, inputs)
            except (ValueError, IndexError, TypeError, OverflowError) as error:
                raise CannotEvaluate("the inputs have no result") from error
        else:
            results = _by_reference(node, inputs, opset)
    arrays = results if isinstance(results, list) else [results]
    return [_as_stated(array, dtype, half) for array, dtype, half in zip(arrays, types, halves, strict=True)]


def can_evaluate(node: ir.Node) -> bool:
    """Whether there is an evaluator for the operator."""
    return node.op_type in _NUMPY or node.op_type in _REFERENCE


def _widened(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype.itemsize == 2 and array.dtype.kind in "fV" else array


def _as_stated(array: Any, dtype: ir.DataType | None, half: bool) -> Array:
    result = np.asarray(array)
    if dtype is None:
        return result
    wanted = dtype.numpy()
    if result.dtype == wanted:
        return result
    if half and result.dtype == np.float32:
        return result.astype(wanted)
    raise CannotEvaluate("the evaluator gives another type than the graph states")


def _by_reference(node: ir.Node, inputs: Inputs, opset: int) -> list[Array]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    proto = ir.serde.serialize_node(node)
    graph = onnx.helper.make_graph(
        [proto],
        "node",
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(proto.input) if name],
        [onnx.ValueInfoProto(name=name) for name in proto.output if name],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    feeds = {name: array for name, array in zip(proto.input, inputs, strict=False) if name}
    try:
        return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feeds)]
    except Exception as error:  # whatever a reference operator raises on inputs it does not take
        raise CannotEvaluate("the reference evaluator does not take these inputs") from error


def _evaluates(*names: str) -> Callable[[Evaluator], Evaluator]:
    def register(evaluator: Evaluator) -> Evaluator:
        _NUMPY.update(dict.fromkeys(names, evaluator))
        return evaluator

    return register


def _elementwise(name: str, function: Callable[..., Any]) -> None:
    _NUMPY[name] = lambda node, inputs: function(*inputs)


_POINTWISE: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Identity": lambda array: array,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Reciprocal": lambda array: (1 / array).astype(array.dtype),
    "Round": np.rint,
    "Sigmoid": lambda array: (1 / (1 + np.exp(-array))).astype(array.dtype),
    "Sign": np.sign,
    "Sin": np.sin,
    "Sqrt": np.sqrt,
    "Tan": np.tan,
    "Tanh": np.tanh,
    "Where": np.where,
    "Xor": np.logical_xor,
}
for _name, _function in _POINTWISE.items():
    _elementwise(_name, _function)


@_evaluates("Add", "Sub", "Mul", "Max", "Min", "Sum")
def _arithmetic(node: ir.Node, inputs: Inputs) -> Array:
    result = _first(inputs)
    for other in inputs[1:]:
        result = _ARITHMETIC[node.op_type](result, other)
    return result


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Max": np.maximum,
    "Min": np.minimum,
    "Sum": np.add,
}


@_evaluates("Div")
def _div(node: ir.Node, inputs: Inputs) -> Array:
    left, right = _two(inputs)
    if left.dtype.kind not in "iu":
        return np.divide(left, right)
    if not np.all(right):
        raise CannotEvaluate("an integer is divided by zero")
    # Truncated, as in C: numpy's own integer division rounds down.
    quotient = np.floor_divide(left, right)
    inexact = (quotient * right != left) & ((left < 0) != (right < 0))
    return np.asarray((quotient + inexact).astype(left.dtype))


@_evaluates("Mod")
def _mod(node: ir.Node, inputs: Inputs) -> Array:
    left, right = _two(inputs)
    if left.dtype.kind in "iu" and not np.all(right):
        raise CannotEvaluate("an integer is divided by zero")
    return np.fmod(left, right) if int_of(node, "fmod", 0) else np.mod(left, right)


@_evaluates("Pow")
def _pow(node: ir.Node, inputs: Inputs) -> Array:
    base, exponent = _two(inputs)
    if base.dtype.kind in "iu" and exponent.dtype.kind == "i" and np.any(exponent < 0):
        raise CannotEvaluate("an integer has a negative power")
    return np.power(base, exponent).astype(base.dtype)


@_evaluates("Cast")
def _cast(node: ir.Node, inputs: Inputs) -> Array:
    to = ir.DataType(node.attributes["to"].as_int())
    array = _first(inputs)
    if to == ir.DataType.STRING or array.dtype.kind in "OSU" or to.itemsize < 1 or "FLOAT8" in to.name:
        raise CannotEvaluate("no evaluator for casts from and to this type")
    if array.dtype.kind == "f" and to.is_integer() and not np.all(np.isfinite(array)):
        raise CannotEvaluate("a float that is not finite is cast to an integer")
    return array.astype(to.numpy())


@_evaluates("Concat")
def _concat(node: ir.Node, inputs: Inputs) -> Array:
    return np.concatenate([array for array in inputs if array is not None], axis=node.attributes["axis"].as_int())


@_evaluates("Gather")
def _gather(node: ir.Node, inputs: Inputs) -> Array:
    data, indices = _two(inputs)
    return np.take(data, indices, axis=int_of(node, "axis", 0))


@_evaluates("Transpose")
def _transpose(node: ir.Node, inputs: Inputs) -> Array:
    return np.transpose(_first(inputs), ints_of(node, "perm"))


@_evaluates("Reshape", "Squeeze", "Unsqueeze", "Flatten")
def _reshape(node: ir.Node, inputs: Inputs) -> Array:
    array = _first(inputs)
    target = target_shape(node, array.shape, lambda index: _optional_ints(inputs, index))
    if target is None:
        raise CannotEvaluate("the shape is not constant")
    return array.reshape(target)


def target_shape(
    node: ir.Node, shape: Sequence[int], ints_at: Callable[[int], list[int] | None]
) -> tuple[int, ...] | None:
    """Return the result's shape of Reshape, Squeeze, Unsqueeze or Flatten on an input of a static shape.

    `ints_at` gives the integers of an input, or None where it is absent or not constant; None is returned if one that
    is needed is missing. Raises ValueError if the sizes do not fit.
    """
    if node.op_type == "Flatten":
        axis = int_of(node, "axis", 1)
        axis = axis + len(shape) if axis < 0 else axis
        return math.prod(shape[:axis]), math.prod(shape[axis:])
    if node.op_type == "Reshape":
        target = ints_at(1)
        if target is None:
            return None
        if not int_of(node, "allowzero", 0):
            target = [shape[index] if size == 0 else size for index, size in enumerate(target)]
        if -1 in target:
            rest = math.prod(size for size in target if size != -1)
            if rest == 0 or math.prod(shape) % rest:
                raise ValueError("the sizes do not fit")
            target = [math.prod(shape) // rest if size == -1 else size for size in target]
        return tuple(target)
    axes = ints_of(node, "axes")
    if axes is None:
        axes = ints_at(1)
    if node.op_type == "Squeeze":
        if axes is None:
            if len(node.inputs) > 1 and node.inputs[1] is not None:
                return None
            return tuple(size for size in shape if size != 1)
        dropped = {axis % len(shape) for axis in axes}
        if any(shape[axis] != 1 for axis in dropped):
            raise ValueError("a squeezed size is not 1")
        return tuple(size for axis, size in enumerate(shape) if axis not in dropped)
    if axes is None:
        return None
    rank = len(shape) + len(axes)
    added = {axis % rank for axis in axes}
    sizes = iter(shape)
    return tuple(1 if axis in added else next(sizes) for axis in range(rank))


@_evaluates("Slice")
def _slice(node: ir.Node, inputs: Inputs) -> Array:
    array = _first(inputs)
    window = slice_window(node, array.ndim, lambda index: _optional_ints(inputs, index))
    if window is None:
        raise CannotEvaluate("the bounds are not constant")
    return array[window]


def slice_window(node: ir.Node, rank: int, ints_at: Callable[[int], list[int] | None]) -> tuple[slice, ...] | None:
    """Return the Python slices, one an axis, that a Slice node takes, or None if a bound is not constant."""
    starts = ints_of(node, "starts")
    if starts is not None:
        ends, axes, steps = ints_of(node, "ends"), ints_of(node, "axes"), None
    else:
        starts, ends, axes, steps = (ints_at(index) for index in (1, 2, 3, 4))
        for index, given in ((3, axes), (4, steps)):
            if given is None and len(node.inputs) > index and node.inputs[index] is not None:
                return None
    if starts is None or ends is None:
        return None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    window = [slice(None)] * rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        window[axis % rank] = slice(start, end, step)
    return tuple(window)


@_evaluates("Shape")
def _shape(node: ir.Node, inputs: Inputs) -> Array:
    shape = _first(inputs).shape
    start, end = int_of(node, "start", 0), int_of(node, "end", len(shape))
    return np.array(shape[start:end], dtype=np.int64)


@_evaluates("Size")
def _size(node: ir.Node, inputs: Inputs) -> Array:
    return np.array(_first(inputs).size, dtype=np.int64)


@_evaluates("Range")
def _range(node: ir.Node, inputs: Inputs) -> Array:
    start, limit, delta = (_first([array]) for array in inputs)
    count = max(0, math.ceil((limit.item() - start.item()) / delta.item()))
    return np.asarray((start + np.arange(count).astype(start.dtype) * delta).astype(start.dtype))


@_evaluates("ConstantOfShape")
def _constant_of_shape(node: ir.Node, inputs: Inputs) -> Array:
    value = node.attributes.get("value")
    fill = np.zeros((), np.float32) if value is None else value.as_tensor().numpy().reshape(-1)[0]
    return np.full(tuple(_first(inputs).tolist()), fill, dtype=fill.dtype)


@_evaluates("Expand")
def _expand(node: ir.Node, inputs: Inputs) -> Array:
    array, shape = _two(inputs)
    return np.asarray(np.broadcast_to(array, np.broadcast_shapes(array.shape, tuple(shape.tolist()))).copy())


@_evaluates("Tile")
def _tile(node: ir.Node, inputs: Inputs) -> Array:
    array, repeats = _two(inputs)
    return np.tile(array, tuple(repeats.tolist()))


@_evaluates("Split")
def _split(node: ir.Node, inputs: Inputs) -> list[Array]:
    array = _first(inputs)
    axis = int_of(node, "axis", 0)
    sizes = split_sizes(node, array.shape[axis], lambda index: _optional_ints(inputs, index))
    if sizes is None:
        raise CannotEvaluate("the sizes are not constant")
    return np.split(array, np.cumsum(sizes)[:-1], axis=axis)


def split_sizes(node: ir.Node, total: int, ints_at: Callable[[int], list[int] | None]) -> list[int] | None:
    """Return the sizes that a Split node makes of a dimension, or None if they are not constant.

    Source of the rule for sizes that are not given: the ONNX specification, Split-2, -11, -13 (equal parts) and -18
    (equal parts, the last one smaller).
    """
    given = ints_of(node, "split")
    if given is not None:
        return list(given)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        return ints_at(1)
    count = int_of(node, "num_outputs", len(node.outputs))
    each = -(-total // count)
    return [max(0, min(each, total - index * each)) for index in range(count)]


@_evaluates("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceMean")
def _reduce(node: ir.Node, inputs: Inputs) -> Array:
    array = _first(inputs)
    axes: Any = ints_of(node, "axes")
    if axes is None:
        axes = _optional_ints(inputs, 1)
    if not axes:
        if int_of(node, "noop_with_empty_axes", 0):
            return array
        axes = range(array.ndim)
    function: Any = getattr(np, node.op_type.removeprefix("Reduce").lower())
    keep = bool(int_of(node, "keepdims", 1))
    return np.asarray(function(array, axis=tuple(axes), keepdims=keep)).astype(array.dtype)


@_evaluates("MatMul")
def _matmul(node: ir.Node, inputs: Inputs) -> Array:
    return np.asarray(np.matmul(*_two(inputs)))


def _first(inputs: Inputs) -> Array:
    array = inputs[0]
    if array is None:
        raise CannotEvaluate("a required input is absent")
    return array


def _two(inputs: Inputs) -> tuple[Array, Array]:
    if len(inputs) < 2 or inputs[0] is None or inputs[1] is None:
        raise CannotEvaluate("a required input is absent")
    return inputs[0], inputs[1]


def _optional_ints(inputs: Inputs, index: int) -> list[int] | None:
    if len(inputs) <= index or inputs[index] is None:
        return None
    return [int(item) for item in np.asarray(inputs[index]).reshape(-1)]
