# SPDX-License-Identifier: Apache-2.0
"""Dropout: nothing at inference; the ONNX operator or a random mask in training."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .random import uniform_like


def _kept(op: Emitter, like: ir.Value, p: float) -> ir.Value:
    """Return a random mask, one where an element is kept (probability ``1 - p``), of the dtype of ``like``."""
    return op.Not(op.Less(uniform_like(op, like), p))


def _randomly_zeroed(op: Emitter, x: ir.Value, p: float) -> tuple[ir.Value, ir.Value]:
    """Zero elements with probability ``p`` and scale the rest up; returns the result and the mask of what is kept."""
    kept = _kept(op, x, p)
    if p >= 1.0:
        return op.Mul(x, 0.0), kept
    return op.Div(op.Mul(x, op.cast(kept, x.dtype)), 1.0 - p), kept


@lowers("aten::dropout", since=12)
def dropout(op: Emitter, x: ir.Value, *, p: float, train: bool) -> ir.Value:
    """Lower dropout; in inference the input is handed on and no node is left."""
    if not train or p == 0.0:
        return x
    if p >= 1.0:
        # The operator's ratio lies in [0, 1).
        return op.Mul(x, 0.0)
    return op.Dropout(x, op.const(p, x.dtype), op.const(True, ir.DataType.BOOL), outputs=1)


@lowers("aten::dropout")
def dropout_by_mask(op: Emitter, x: ir.Value, *, p: float, train: bool) -> ir.Value:
    """Lower dropout where the ONNX operator has no training mode."""
    return _randomly_zeroed(op, x, p)[0] if train and p != 0.0 else x


def _everything_kept(op: Emitter, x: ir.Value) -> ir.Value:
    return op.Expand(op.const(True, ir.DataType.BOOL), op.i64(op.sizes(x)))


@lowers("aten::native_dropout", since=12)
def native_dropout(op: Emitter, x: ir.Value, *, p: float, train: bool | None) -> tuple[ir.Value, ir.Value]:
    """Lower dropout with its mask; ``train=None`` means yes."""
    if train is False or p == 0.0:
        return x, _everything_kept(op, x)
    if p >= 1.0:
        return _randomly_zeroed(op, x, p)
    y, mask = op.Dropout(x, op.const(p, x.dtype), op.const(True, ir.DataType.BOOL), outputs=2)
    return y, mask


@lowers("aten::native_dropout")
def native_dropout_by_mask(op: Emitter, x: ir.Value, *, p: float, train: bool | None) -> tuple[ir.Value, ir.Value]:
    """Lower dropout with its mask where the ONNX operator has no training mode."""
    return (x, _everything_kept(op, x)) if train is False or p == 0.0 else _randomly_zeroed(op, x, p)


def _one_per_channel(op: Emitter, x: ir.Value) -> ir.Value:
    """Return a tensor of one element for each sample and channel, that the other axes broadcast over."""
    sizes = [op.size(x, 0), op.size(x, 1), *([1] * (op.rank(x) - 2))]
    return op.Expand(op.const(0, x.dtype), op.i64(op.int_vector(sizes)))


@lowers("aten::feature_dropout")
def feature_dropout(op: Emitter, x: ir.Value, *, p: float, train: bool) -> ir.Value:
    """Lower the dropout of whole channels."""
    if not train or p == 0.0:
        return x
    if p >= 1.0:
        return op.Mul(x, 0.0)
    kept = op.cast(_kept(op, _one_per_channel(op, x), p), x.dtype)
    return op.Mul(x, op.Div(kept, 1.0 - p))


# The value that SELU saturates at: dropping to it keeps mean and variance (Klambauer et al. 2017, section 3).
_SELU_FLOOR = -1.7580993408473766


def _alpha_dropped(op: Emitter, x: ir.Value, like: ir.Value, p: float) -> ir.Value:
    if p >= 1.0:
        return op.Mul(x, 0.0)
    scale = 1.0 / math.sqrt((_SELU_FLOOR * _SELU_FLOOR * p + 1.0) * (1.0 - p))
    kept = op.cast(_kept(op, like, p), x.dtype)
    # A kept element becomes scale * (x - floor * p), a dropped one scale * floor * (1 - p).
    offset = op.Mul(op.Sub(kept, 1.0 - p), -_SELU_FLOOR * scale)
    return op.Add(op.Mul(x, op.Mul(kept, scale)), offset)


@lowers("aten::alpha_dropout")
def alpha_dropout(op: Emitter, x: ir.Value, *, p: float, train: bool) -> ir.Value:
    """Lower the dropout that keeps mean and variance under SELU."""
    return _alpha_dropped(op, x, x, p) if train and p != 0.0 else x


@lowers("aten::feature_alpha_dropout")
def feature_alpha_dropout(op: Emitter, x: ir.Value, *, p: float, train: bool) -> ir.Value:
    """Lower alpha dropout of whole channels."""
    return _alpha_dropped(op, x, _one_per_channel(op, x), p) if train and p != 0.0 else x
