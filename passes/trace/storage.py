# SPDX-License-Identifier: Apache-2.0
"""How a tensor lies in memory, for the operators that read memory by strides: values of a graph have no strides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import sympy
import torch
from lading.passes import torch_private
from lading.pipeline.errors import CaptureError

_aten = torch.ops.aten

STRIDED = {
    _aten.as_strided.default: 3,
    _aten.as_strided_copy.default: 3,
    _aten.as_strided_scatter.default: 4,
}
"""The operators that read or write memory by strides, and the place of `storage_offset` in their arguments."""


RESIZES = frozenset({_aten.resize.default, _aten.resize_as.default})
"""The operators that lay the memory of a tensor out anew."""


def resized_by_strides(args: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return the arguments of `as_strided` that do what a call of `RESIZES` does; None where elements are added."""
    tensor, wanted = args[0], args[1]
    size = list(wanted.shape if isinstance(wanted, torch.Tensor) else wanted)
    numbers = (*size, *tensor.shape)
    if not all(type(item) is int for item in numbers) or math.prod(size) > tensor.numel():
        return None
    strides = [math.prod(size[axis + 1 :]) for axis in range(len(size))]
    return tensor, size, strides


@attrs.frozen
class StridedCall:
    """A strided call over the elements of its tensor in the order of memory.

    Attributes:
        order: the axes of the tensor from the outermost in memory to the innermost; None for the order that they have.
        args: the arguments, with an offset that is counted from the tensor's first element.
    """

    order: tuple[int, ...] | None
    args: tuple[Any, ...]


def strided_call(
    overload: Any, tensor: torch.Tensor, args: Sequence[Any], kwargs: Mapping[str, Any], line: Callable[[], str]
) -> StridedCall:
    """Say a strided call so that the strides of its tensor no longer matter.

    Args:
        overload: one of `STRIDED`.
        tensor: what the call reads or writes, with the strides that it has in the program.
        args: the positional arguments.
        kwargs: the keyword arguments.
        line: gives the user's line for an error.

    Raises:
        CaptureError: the tensor's elements do not lie side by side in memory, so that the call reaches others.
    """
    place = STRIDED[overload]
    order = _order_in_memory(tensor)
    in_order = order == tuple(range(tensor.dim()))
    if order is None or (not in_order and overload is _aten.as_strided_scatter.default):
        raise CaptureError(
            f"{overload.name()} is called on a view whose elements do not lie side by side in memory",
            where=line() or None,
            hint="call .contiguous() first, or index the tensor",
        )
    offset = args[place] if len(args) > place else kwargs.get("storage_offset")
    named = {name: value for name, value in kwargs.items() if name != "storage_offset"}
    positional = [*args[:place], *(named[name] for name in ("size", "stride") if name in named)]
    if offset is not None:
        positional.append(offset - tensor.storage_offset())
    return StridedCall(None if in_order else order, tuple(positional))


def _order_in_memory(tensor: torch.Tensor) -> tuple[int, ...] | None:
    """Return the axes from the outermost in memory to the innermost; None where elements lie apart or share a place."""
    sizes, strides = list(tensor.shape), list(tensor.stride())
    given = tuple(range(len(sizes)))
    if _side_by_side(sizes, strides, given):
        return given
    order = tuple(_from_innermost(sizes, strides))[::-1]
    return order if len(order) == len(given) else None


def _from_innermost(sizes: Sequence[Any], strides: Sequence[Any]) -> Iterator[int]:
    """Yield axes from the innermost in memory to the outermost, as far as each begins where the one before it ends."""
    left = list(range(len(sizes)))
    expected: Any = 1
    while left:
        single = next((axis for axis in left if type(sizes[axis]) is int and sizes[axis] <= 1), None)
        axis = single
        if axis is None:
            axis = next((one for one in reversed(left) if _equal(strides[one], expected)), None)
        if axis is None:
            axis = next((one for one in reversed(left) if _in_example(strides[one]) == _in_example(expected)), None)
            if axis is None or _in_example(expected) is None:
                return
            torch_private.required(strides[axis] == expected)
        left.remove(axis)
        if single is None:
            expected = expected * sizes[axis]
        yield axis


def _side_by_side(sizes: Sequence[Any], strides: Sequence[Any], order: Sequence[int]) -> bool:
    expected: Any = 1
    for axis in reversed(order):
        size = sizes[axis]
        if type(size) is int and size <= 1:
            continue
        if not _equal(strides[axis], expected):
            return False
        expected = expected * size
    return True


def _equal(left: Any, right: Any) -> bool:
    # Symbols are compared as they are written: asking them would leave a guard.
    return bool(_written(left) == _written(right))


def _written(size: Any) -> Any:
    return size if type(size) is int else size.node.expr


def _in_example(size: Any) -> Any:
    """Return what a size is in the example, None where only the run knows it."""
    if type(size) is int:
        return size
    found = size.node.expr.xreplace(size.node.shape_env.backed_var_to_val)
    return int(found) if found.is_number else None


# ---- views -----------------------------------------------------------------------------------------------------------


def as_asked(result: torch.Tensor, wanted: Sequence[Any]) -> tuple[list[Any], list[Any]] | None:
    """Return sizes and strides of a view with the numbers that it was asked for, None where it has them.

    PyTorch divides where a free size is taken apart: `view(-1, length // 8, 8)` has `length // (length // 8)` columns.
    """
    pairs = list(zip(result.shape, wanted, strict=True))
    written = {
        _written(size): sympy.Integer(number)
        for size, number in pairs
        if type(number) is int and number >= 0 and type(size) is not int
    }
    if not written:
        return None
    sizes = [size if type(number) is not int or number < 0 else number for size, number in pairs]
    return sizes, [_rewritten(stride, written) for stride in result.stride()]


def _rewritten(size: Any, written: Mapping[Any, sympy.Integer]) -> Any:
    if type(size) is int:
        return size
    expression = size.node.expr.xreplace(written)
    return int(expression) if expression.is_number else size.node.shape_env.create_symintnode(expression, hint=None)
