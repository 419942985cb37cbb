# SPDX-License-Identifier: Apache-2.0
"""Rounding, fractions and limits of numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch

from ...dialect import torch_dtype
from ..emitter import Emitter
from ..registry import lowers
from .arithmetic import is_float, truncated


@lowers("aten::floor", "prims::floor")
def floor(op: Emitter, x: ir.Value) -> ir.Value:
    """The integer at or below each number."""
    return op.Floor(x) if is_float(x) else x


@lowers("aten::ceil", "prims::ceil")
def ceil(op: Emitter, x: ir.Value) -> ir.Value:
    """The integer at or above each number."""
    return op.Ceil(x) if is_float(x) else x


@lowers("aten::trunc", "aten::fix", "prims::trunc")
def trunc(op: Emitter, x: ir.Value) -> ir.Value:
    """Each number without its fraction."""
    return truncated(op, x) if is_float(x) else x


@lowers("aten::frac")
def frac(op: Emitter, x: ir.Value) -> ir.Value:
    """The fraction of each number, with its sign."""
    return op.Sub(x, truncated(op, x))


@lowers("aten::round", "prims::round")
def nearest(op: Emitter, x: ir.Value) -> ir.Value:
    """The nearest integer, the even one of two."""
    return op.Round(x) if is_float(x) else x


@lowers("aten::round.decimals", "aten::special_round")
def nearest_decimal(op: Emitter, x: ir.Value, *, decimals: int = 0) -> ir.Value:
    """The nearest number of so many decimals, which may be negative."""
    if not is_float(x):
        return x
    if decimals == 0:
        return op.Round(x)
    scale = float(10 ** abs(decimals))
    if decimals > 0:
        return op.Div(op.Round(op.Mul(x, scale)), scale)
    return op.Mul(op.Round(op.Div(x, scale)), scale)


@lowers("aten::nan_to_num")
def nan_to_num(
    op: Emitter, x: ir.Value, *, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> ir.Value:
    """Numbers in place of NaN and of the infinities: zero and the limits of the dtype where none are given."""
    if not is_float(x) or x.dtype is None:
        return x
    limits = torch.finfo(torch_dtype(x.dtype))
    number = op.Where(op.IsNaN(x), 0.0 if nan is None else nan, x)
    if posinf is None and neginf is None:
        return op.Clip(number, float(limits.min), float(limits.max))
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    return op.Where(op.Equal(x, np.inf), high, op.Where(op.Equal(x, -np.inf), low, number))
