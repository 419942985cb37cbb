# SPDX-License-Identifier: Apache-2.0
"""Padding: constant, reflecting, replicating and circular; negative amounts cut.

PyTorch lists amounts from the last axis on, as pairs (before, after); ONNX lists all that go before, axis by axis, then
all that go after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers

_INT64_MAX = 2**63 - 1
_MODES = ("reflect", "replicate", "circular", "constant")


def _pairs(op: Emitter, amounts: Any) -> list[tuple[Any, Any]]:
    """Return (before, after) of each padded axis, the last axis first."""
    if isinstance(amounts, ir.Value):
        raise op.cannot("how many axes are padded is only known at run time")
    items = [op.vector(item) if isinstance(item, ir.Value) else int(item) for item in amounts]
    return list(zip(items[::2], items[1::2], strict=True))


def _cut(op: Emitter, x: ir.Value, pairs: Sequence[tuple[Any, Any]]) -> tuple[ir.Value, list[tuple[Any, Any]]]:
    """Slice off what negative amounts take away; returns the amounts that are left to add."""
    rank = op.rank(x)
    starts, ends, axes = [], [], []
    left: list[tuple[Any, Any]] = []
    for index, (before, after) in enumerate(pairs):
        cut_before = isinstance(before, int) and before < 0
        cut_after = isinstance(after, int) and after < 0
        left.append((0 if cut_before else before, 0 if cut_after else after))
        if cut_before or cut_after:
            starts.append(-before if cut_before else 0)
            ends.append(after if cut_after else _INT64_MAX)
            axes.append(rank - 1 - index)
    if axes:
        x = op.Slice(x, op.i64(starts), op.i64(ends), op.i64(axes))
    return x, left


def _pads(op: Emitter, rank: int, pairs: Sequence[tuple[Any, Any]]) -> Any:
    untouched = [(0, 0)] * (rank - len(pairs))
    ordered = [*untouched, *reversed(pairs)]
    return op.i64(op.int_vector([before for before, _ in ordered] + [after for _, after in ordered]))


def _is_nothing(pairs: Sequence[tuple[Any, Any]]) -> bool:
    return all(isinstance(amount, int) and amount == 0 for pair in pairs for amount in pair)


def _pad_by_constant(op: Emitter, x: ir.Value, amounts: Any, value: Any) -> ir.Value:
    pairs = _pairs(op, amounts)
    # The operator itself cuts where an amount that is only known at run time turns out negative.
    if not any(isinstance(amount, ir.Value) for pair in pairs for amount in pair):
        x, pairs = _cut(op, x, pairs)
    if _is_nothing(pairs):
        return x
    fill = op.scalar(0 if value is None else value, x.dtype)
    return op.Pad(x, _pads(op, op.rank(x), pairs), fill)


def _pad_by_mode(op: Emitter, x: ir.Value, amounts: Any, mode: str) -> ir.Value:
    """Pad from the edges of the whole input; what negative amounts take away is cut last."""
    pairs = _pairs(op, amounts)
    grown = [(_at_least_zero(before), _at_least_zero(after)) for before, after in pairs]
    if not _is_nothing(grown):
        x = op.Pad(x, _pads(op, op.rank(x), grown), None, mode=mode)
    return _cut(op, x, pairs)[0]


def _at_least_zero(amount: Any) -> Any:
    return max(amount, 0) if isinstance(amount, int) else amount


def _pad_in_circles(op: Emitter, x: ir.Value, amounts: Any) -> ir.Value:
    """Join an axis' end before it and its start behind it."""
    pairs = _pairs(op, amounts)
    x, pairs = _cut(op, x, pairs)
    rank = op.rank(x)
    for index, (before, after) in enumerate(pairs):
        axis = op.i64([rank - 1 - index])
        parts = [x]
        if not (isinstance(before, int) and before == 0):
            start = (
                op.i64([-before])
                if isinstance(before, int)
                else op.Sub(op.vector(op.size(x, rank - 1 - index)), before)
            )
            parts.insert(0, op.Slice(x, start, op.i64([_INT64_MAX]), axis))
        if not (isinstance(after, int) and after == 0):
            parts.append(op.Slice(x, op.i64([0]), op.vector(after), axis))
        if len(parts) > 1:
            x = op.Concat(*parts, axis=rank - 1 - index)
    return x


@lowers("aten::constant_pad_nd")
def constant_pad_nd(op: Emitter, x: ir.Value, *, pad: Any, value: Any = 0) -> ir.Value:
    """Lower padding by a constant."""
    return _pad_by_constant(op, x, pad, value)


@lowers("aten::pad")
def pad_in_a_mode(op: Emitter, x: ir.Value, *, pad: Any, mode: str = "constant", value: Any = None) -> ir.Value:
    """Lower ``torch.nn.functional.pad`` in every mode."""
    if mode == "constant":
        return _pad_by_constant(op, x, pad, value)
    if mode == "circular":
        return _pad_in_circles(op, x, pad)
    return _pad_by_mode(op, x, pad, {"reflect": "reflect", "replicate": "edge"}[mode])


@lowers("aten::_pad_enum")
def pad_by_number_of_mode(op: Emitter, x: ir.Value, *, pad: Any, mode: int, value: Any = None) -> ir.Value:
    """Lower the form whose mode is a number (aten/src/ATen/native/PadNd.h)."""
    return pad_in_a_mode(op, x, pad=pad, mode=_MODES[mode], value=value)


@lowers("aten::_pad_circular")
def pad_circular(op: Emitter, x: ir.Value, *, pad: Any) -> ir.Value:
    """Lower circular padding."""
    return _pad_in_circles(op, x, pad)


@lowers("aten::reflection_pad1d", "aten::reflection_pad2d", "aten::reflection_pad3d")
def reflection_pad(op: Emitter, x: ir.Value, *, padding: Any) -> ir.Value:
    """Lower padding by reflection at the edge element."""
    return _pad_by_mode(op, x, padding, "reflect")


@lowers("aten::replication_pad1d", "aten::replication_pad2d", "aten::replication_pad3d")
def replication_pad(op: Emitter, x: ir.Value, *, padding: Any) -> ir.Value:
    """Lower padding by repeating the edge element."""
    return _pad_by_mode(op, x, padding, "edge")
