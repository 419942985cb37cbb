# SPDX-License-Identifier: Apache-2.0
"""Einsum as matrix products.

ONNX has Einsum from opset 12 on, but no runtime plans it as well as MatMul, and older opsets lack it.  Here every
equation becomes transpositions, reshapes and one MatMul for each operand after the first; equations without a sum over
a shared index become a broadcast Mul.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .diagonals import diagonal_of
from .views import Size, SizeOf, permuted, reshape_to, sizes_of

# Names for the axes that an ellipsis stands for; equations are written in letters only.
_ELLIPSIS_NAMES = [chr(0x2460 + position) for position in range(20)]


def _parsed(op: Emitter, equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Return the index names of each operand and of the result, with the ellipsis spelt out."""
    equation = equation.replace(" ", "")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise op.cannot(f"the equation {equation!r} names {len(terms)} operands and {len(ranks)} are given")
    widest = 0
    for term, rank in zip(terms, ranks, strict=True):
        if "..." in term:
            widest = max(widest, rank - len(term.replace("...", "")))
    names = []
    for term, rank in zip(terms, ranks, strict=True):
        width = rank - len(term.replace("...", ""))
        names.append(term.replace("...", "".join(_ELLIPSIS_NAMES[widest - width : widest])))
    every = "".join(names)
    if arrow:
        return names, result.replace("...", "".join(_ELLIPSIS_NAMES[:widest]))
    letters = sorted(name for name in set(every) if every.count(name) == 1 and name not in _ELLIPSIS_NAMES)
    return names, "".join(_ELLIPSIS_NAMES[:widest]) + "".join(letters)


def _without_repeats(op: Emitter, x: ir.Value, names: str) -> tuple[ir.Value, str]:
    """Take the diagonal over every index that an operand names twice."""
    for name in dict.fromkeys(names):
        while names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            x = diagonal_of(op, x, 0, first, second)
            names = "".join(n for i, n in enumerate(names) if i not in (first, second)) + name
    return x, names


def _summed(op: Emitter, x: ir.Value, names: str, kept: set[str]) -> tuple[ir.Value, str]:
    axes = [axis for axis, name in enumerate(names) if name not in kept]
    if not axes:
        return x, names
    return op.ReduceSum(x, axes, keepdims=0), "".join(name for name in names if name in kept)


def _aligned(op: Emitter, x: ir.Value, names: str, wanted: str) -> ir.Value:
    """Order the axes as wanted, with axes of size one for what the operand does not name."""
    x = permuted(op, x, [names.index(name) for name in wanted if name in names])
    # Axes in front are left to broadcasting; the other operand has the first of them.
    first = min((wanted.index(name) for name in names), default=len(wanted))
    missing = [axis - first for axis, name in enumerate(wanted) if name not in names and axis > first]
    return op.Unsqueeze(x, missing) if missing else x


def _size_is_one(op: Emitter, x: ir.Value, names: str, name: str) -> bool:
    return op.dim(x, names.index(name)) == 1


def _merged_size(op: Emitter, x: ir.Value, start: int, end: int) -> Size:
    """Return the product of the sizes of a range of axes: -1 where it is not static."""
    product = 1
    for axis in range(start, end):
        size = op.dim(x, axis)
        if size is None:
            return -1
        product *= size
    return product


def _product(op: Emitter, x: ir.Value, start: int, end: int) -> Size:
    total: Size = op.size(x, start)
    for axis in range(start + 1, end):
        total = op.Mul(op.vector(total), op.vector(op.size(x, axis)))
    return total


def _matrices(op: Emitter, x: ir.Value, names: str, batch: str, rows: str, columns: str) -> ir.Value:
    """Return an operand as matrices: the batch axes, the rows merged to one axis, the columns merged to one."""
    x = permuted(op, x, [names.index(name) for name in batch + rows + columns])
    if len(rows) == 1 and len(columns) == 1:
        return x
    middle = len(batch) + len(rows)
    first, second = _merged_size(op, x, len(batch), middle), _merged_size(op, x, middle, op.rank(x))
    if first == -1 and second == -1:
        first = _product(op, x, len(batch), middle)
    return reshape_to(op, x, [*sizes_of(op, x, 0, len(batch)), first, second])


def contracted(
    op: Emitter, left: ir.Value, left_names: str, right: ir.Value, right_names: str, kept: str
) -> tuple[ir.Value, str]:
    """Multiply two operands and sum over the indices that nothing after them keeps."""
    left, left_names = _summed(op, left, left_names, set(right_names) | set(kept))
    right, right_names = _summed(op, right, right_names, set(left_names) | set(kept))
    shared = [name for name in left_names if name in right_names]
    summed = "".join(name for name in shared if name not in kept)
    batch = "".join(name for name in shared if name in kept)
    left_only = "".join(name for name in left_names if name not in shared)
    right_only = "".join(name for name in right_names if name not in shared)
    if not summed or (batch and not (left_only and right_only)):
        return _multiplied(op, left, left_names, right, right_names, kept, summed)
    for name in summed:
        # An index of size one goes with any other: the longer operand is summed over it first.
        if _size_is_one(op, left, left_names, name) != _size_is_one(op, right, right_names, name):
            if _size_is_one(op, left, left_names, name):
                right = op.ReduceSum(right, [right_names.index(name)], keepdims=1)
            else:
                left = op.ReduceSum(left, [left_names.index(name)], keepdims=1)
    if _better_swapped(kept, batch, left_only, right_only):
        return contracted(op, right, right_names, left, left_names, kept)
    sizes: list[Size] = [SizeOf(left, left_names.index(name)) for name in batch + left_only]
    sizes += [SizeOf(right, right_names.index(name)) for name in right_only]
    if batch:
        a = _matrices(op, left, left_names, batch, left_only, summed)
        flat_rows = len(left_only) != 1
    else:
        # Further axes of the left operand may stay: MatMul takes them for a batch over the one matrix on the right.
        a = permuted(op, left, [left_names.index(name) for name in left_only + summed])
        if len(summed) > 1:
            a = reshape_to(
                op, a, [*sizes_of(op, a, 0, len(left_only)), _merged_size(op, a, len(left_only), op.rank(a))]
            )
        flat_rows = False
    if not batch and not right_only and len(summed) == 1:
        b = right
    else:
        b = _matrices(op, right, right_names, batch, summed, right_only)
    product = op.MatMul(a, b)
    if flat_rows or (len(right_only) != 1 and b is not right):
        product = reshape_to(op, product, sizes)
    return product, batch + left_only + right_only


def _multiplied(
    op: Emitter, left: ir.Value, left_names: str, right: ir.Value, right_names: str, kept: str, summed: str
) -> tuple[ir.Value, str]:
    """Multiply element by element, then sum: right where one operand has no index of its own."""
    every = dict.fromkeys(left_names + right_names)
    longer = left_names if len(left_names) >= len(right_names) else right_names
    if summed:
        # In the order of the larger operand, which is spared a transposition.
        ordered = longer if set(longer) == set(every) else "".join(every)
    else:
        ordered = "".join(name for name in kept if name in every)
    product = op.Mul(_aligned(op, left, left_names, ordered), _aligned(op, right, right_names, ordered))
    return _summed(op, product, ordered, set(kept))


def _better_swapped(kept: str, batch: str, left_only: str, right_only: str) -> bool:
    """Whether the operands should change places: to spare a transposition, or to have the vector on the right."""
    if not left_only or not right_only:
        return bool(right_only and not left_only and not batch)
    return kept.endswith(left_only) and not kept.endswith(right_only)


@lowers("aten::einsum")
def einsum(op: Emitter, xs: Sequence[ir.Value], *, equation: str, path: Sequence[int] | None = None) -> ir.Value:
    """Multiply and sum over named indices, operand by operand from the left."""
    del path  # a hint about the order, of which the result does not depend
    names, result = _parsed(op, equation, [op.rank(x) for x in xs])
    operands = [_without_repeats(op, x, term) for x, term in zip(xs, names, strict=True)]
    value, current = operands[0]
    for position, (other, other_names) in enumerate(operands[1:], 1):
        later = "".join(term for _, term in operands[position + 1 :])
        every = dict.fromkeys(current + other_names)
        kept = "".join(dict.fromkeys([n for n in result if n in every] + [n for n in every if n in later]))
        value, current = contracted(op, value, current, other, other_names, kept)
    value, current = _summed(op, value, current, set(result))
    return permuted(op, value, [current.index(name) for name in result])


@lowers("aten::_trilinear")
def trilinear(
    op: Emitter,
    first: ir.Value,
    second: ir.Value,
    third: ir.Value,
    *,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> ir.Value:
    """Multiply three tensors, each with axes of size one put in, and sum over axes."""
    del unroll_dim
    rank = op.rank(first) + len(expand1)
    letters = "abcdefghijklmnopqrstuvwxyz"[:rank]
    terms = ["".join(n for i, n in enumerate(letters) if i not in gap) for gap in (expand1, expand2, expand3)]
    result = "".join(n for i, n in enumerate(letters) if i not in sumdim)
    return op.call("aten::einsum", [first, second, third], equation=f"{','.join(terms)}->{result}")
