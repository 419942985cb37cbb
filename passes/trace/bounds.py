# SPDX-License-Identifier: Apache-2.0
"""What is certain of whole numbers before the run: places in a tensor are smaller than its sizes.

So a comparison with a number out of reach (`if expert == count`, where `expert` comes from `nonzero`) has one answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir
from lading.passes.dialect import bind, list_items

_Range = tuple[int, int]

_SAME_NUMBERS = frozenset(
    {"select", "slice", "squeeze", "unsqueeze", "view", "reshape", "alias", "permute", "transpose", "t", "expand",
     "clone", "flatten", "index", "index_select", "_to_copy"}
)  # fmt: skip
"""Operators whose results hold nothing but elements of their first input."""

_GIVES_PLACES = frozenset({"topk", "sort", "max", "min", "median", "mode", "kthvalue"})
"""Operators whose second result, if there is one, holds places along an axis."""

_CERTAIN: Mapping[str, Callable[[_Range, Any], tuple[bool, bool]]] = {
    # Whether a comparison holds for all numbers of a range, and whether it holds for none.
    "eq": lambda r, n: (r == (n, n), not r[0] <= n <= r[1]),
    "ne": lambda r, n: (not r[0] <= n <= r[1], r == (n, n)),
    "lt": lambda r, n: (r[1] < n, r[0] >= n),
    "le": lambda r, n: (r[1] <= n, r[0] > n),
    "gt": lambda r, n: (r[0] > n, r[1] <= n),
    "ge": lambda r, n: (r[0] >= n, r[1] < n),
}


def certain(value: ir.Value) -> bool | int | None:
    """Return what a tensor of one element is in every run, None where that depends on the run."""
    node = value.producer()
    if node is None or node.domain != "aten":
        return None
    if node.op_type in _CERTAIN and node.overload == "Scalar":
        bounds, number = _range(node.inputs[0]), bind(node).keywords.get("other")
        if isinstance(number, ir.Value) and _is_value_of(number, node.inputs[0]):
            return _CERTAIN[node.op_type]((0, 0), 0)[0]
        if bounds is None or not isinstance(number, (int, float)):
            return None
        always, never = _CERTAIN[node.op_type](bounds, number)
        return True if always else False if never else None
    found = _range(value)
    return found[0] if found is not None and found[0] == found[1] else None


def _is_value_of(number: ir.Value, tensor: ir.Value | None) -> bool:
    """Whether a number was read from a tensor."""
    reader = _aten(number)
    return reader is not None and reader.op_type == "_local_scalar_dense" and reader.inputs[0] is tensor


def _range(value: ir.Value | None, column: int | None = None) -> _Range | None:
    """Return the least and the greatest number that a tensor of whole numbers can hold."""
    while value is not None and (node := _aten(value)) is not None:
        tensor = node.inputs[0] if node.inputs else None
        if tensor is None or value.dtype is None or not value.dtype.is_integer():
            return None
        if node.op_type in _SAME_NUMBERS:
            column = _column(node, tensor, column)
            value = tensor
        elif node.op_type == "nonzero" and not node.overload:
            return _places(tensor, column)
        elif node.op_type in ("cat", "stack"):
            return _either(list_items(tensor))
        elif node.op_type in ("argmax", "argmin") or (node.op_type in _GIVES_PLACES and value.index() == 1):
            dim = bind(node).keywords.get("dim")
            return _whole_axis(tensor, dim) if isinstance(dim, int) else _all_elements(tensor)
        else:
            return None
    return None


def _either(parts: Sequence[ir.Value | None]) -> _Range | None:
    """Return the range of what is one of several tensors."""
    found = [_range(part) for part in parts]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    return min(one[0] for one in known), max(one[1] for one in known)


def _aten(value: ir.Value) -> ir.Node | None:
    node = value.producer()
    return node if node is not None and node.domain == "aten" else None


def _whole_axis(tensor: ir.Value, axis: int) -> _Range | None:
    size = None if tensor.shape is None or not len(tensor.shape) else tensor.shape[axis]
    return (0, size - 1) if isinstance(size, int) and size > 0 else None


def _all_elements(tensor: ir.Value) -> _Range | None:
    sizes = [size for size in tensor.shape or () if isinstance(size, int)]
    known = bool(sizes) and len(sizes) == len(tensor.shape or ())
    return (0, math.prod(sizes) - 1) if known and math.prod(sizes) > 0 else None


def _places(tensor: ir.Value, column: int | None) -> _Range | None:
    """Return the range of the places where a tensor is not zero: along one axis, or along all of them."""
    if tensor.shape is None:
        return None
    found = [_filled(tensor, axis) for axis in ([column] if column is not None else range(len(tensor.shape)))]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    return min(one[0] for one in known), max(one[1] for one in known)


def _filled(tensor: ir.Value, axis: int) -> _Range | None:
    """Return the places along an axis beyond which a tensor is zero in every run."""
    node = _aten(tensor)
    source = node.inputs[0] if node is not None and node.inputs else None
    if node is None or source is None or source.shape is None:
        return _whole_axis(tensor, axis)
    given = bind(node).keywords
    rank = len(source.shape)
    if node.op_type == "one_hot" and axis == rank:
        return _range(source)
    if node.op_type == "permute":
        return _filled(source, given["dims"][axis] % rank)
    if (node.op_type, node.overload) in (("gt", "Scalar"), ("ne", "Scalar")) and given["other"] == 0:
        return _filled(source, axis)
    if node.op_type == "_to_copy":
        return _filled(source, axis)
    if node.op_type == "sum" and node.overload == "dim_IntList" and given["dim"]:
        summed = {dim % rank for dim in given["dim"]}
        kept = [one for one in range(rank) if given["keepdim"] or one not in summed]
        return _filled(source, kept[axis]) if kept[axis] not in summed else (0, 0)
    return _whole_axis(tensor, axis)


def _column(node: ir.Node, tensor: ir.Value, column: int | None) -> int | None:
    """Return which column of a matrix of places a number is from, as far as that is told by selections."""
    if node.op_type != "select" or tensor.shape is None:
        return column
    given = bind(node).keywords
    last = given["dim"] in (-1, len(tensor.shape) - 1)
    return given["index"] if last and isinstance(given["index"], int) and given["index"] >= 0 else column
