# SPDX-License-Identifier: Apache-2.0
"""The discrete Fourier transform, and the windows that go with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from ..registry import spells
from .axes import moved_back, moved_to_the_end
from .forms import alike, as_is, dtype_of

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("DFT", since=20)


def _axis_of(op: Emitter, x: ir.Value, axis: Operand) -> int:
    number = -2 if axis is None else op.static_ints(axis, "DFT's axis")[0]
    return number % op.rank(x)


@spells("DFT", since=17)
def dft_by_attribute(
    op: Emitter,
    input: Operand,
    dft_length: Operand = None,
    axis: Operand = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> ir.Value:
    """DFT 17: the axis is an attribute."""
    (x,) = alike(op, input)
    length = None if dft_length is None else op.scalar(dft_length)
    return op.raw("DFT", x, length, axis=_axis_of(op, x, axis), inverse=inverse, onesided=onesided)


@spells("DFT")
def dft_by_products(
    op: Emitter,
    input: Operand,
    dft_length: Operand = None,
    axis: Operand = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> ir.Value:
    """Before DFT: products with matrices of cosines and sines, for a length known now."""
    (x,) = alike(op, input)
    rank, where = op.rank(x), _axis_of(op, x, axis)
    parts = op.dim(x, rank - 1)
    size = op.dim(x, where)
    length = size if dft_length is None else op.static_ints(dft_length, "DFT's dft_length")[0]
    if size is None or length is None or parts is None:
        raise op.cannot("DFT along an axis whose size is only known at run time needs opset 17")
    if inverse and onesided:
        raise op.cannot("the inverse DFT of half a spectrum needs a newer opset")
    count = length // 2 + 1 if onesided else length
    used = min(size, length)
    if used < size:
        x = op.Slice(x, [0], [used], [where])
    # Reduced modulo the length before the angle is taken, so that large products lose no digits.
    angle = 2 * np.pi / length * (np.outer(np.arange(used), np.arange(count)) % length)
    scale = 1 / length if inverse else 1.0
    cosines = op.const(np.cos(angle) * scale, dtype_of(x))
    sines = op.const(np.sin(angle) * (scale if inverse else -scale), dtype_of(x))
    real, order = moved_to_the_end(op, op.Gather(x, 0, axis=rank - 1), where)
    out_real, out_imaginary = op.MatMul(real, cosines), op.MatMul(real, sines)
    if parts == 2:
        imaginary, _ = moved_to_the_end(op, op.Gather(x, 1, axis=rank - 1), where)
        out_real = op.Sub(out_real, op.MatMul(imaginary, sines))
        out_imaginary = op.Add(out_imaginary, op.MatMul(imaginary, cosines))
    pair = [op.Unsqueeze(moved_back(op, half, order), [rank - 1]) for half in (out_real, out_imaginary)]
    return op.Concat(*pair, axis=rank - 1)


_WINDOWS = {
    "HannWindow": (0.5, 0.5, 0.0),
    "HammingWindow": (25 / 46, 21 / 46, 0.0),
    "BlackmanWindow": (0.42, 0.5, 0.08),
}


def _register_window(op_type: str, constant: float, first: float, second: float) -> None:
    @spells(op_type, since=17)
    def named(op: Emitter, size: Operand, *, output_datatype: int = 1, periodic: int = 1) -> ir.Value:
        return op.raw(op_type, op.scalar(size), output_datatype=output_datatype, periodic=periodic)

    @spells(op_type)
    def window(op: Emitter, size: Operand, *, output_datatype: int = 1, periodic: int = 1) -> ir.Value:
        dtype = ir.DataType(output_datatype)
        wide = dtype if dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE) else ir.DataType.FLOAT
        length = op.scalar(size)
        period = length if periodic else op.Sub(length, 1)
        run = op.cast(op.Range(0, length, 1), wide)
        angle = op.Div(op.Mul(run, 2 * math.pi), op.cast(period, wide))
        result = op.Sub(constant, op.Mul(op.Cos(angle), first))
        if second:
            result = op.Add(result, op.Mul(op.Cos(op.Mul(angle, 2.0)), second))
        return op.cast(result, dtype)


for _op_type, _weights in _WINDOWS.items():
    _register_window(_op_type, *_weights)
