# SPDX-License-Identifier: Apache-2.0
"""Fourier transforms, of complex numbers as pairs on a last axis.

A transform of short static length is one product with a constant matrix, which every opset has and which runtimes
compute faster than ONNX's DFT.  Longer axes and those of free size take DFT, from opset 17 on; before that, a length
that is a product of two short ones is taken in two stages (Cooley and Tukey, 1965).
Normalisation follows PyTorch's codes: 0 none, 1 by the root of the number of elements, 2 by that number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .complex import product
from .views import moved, reshape_to, sizes_of

# The matrix of a longer transform would weigh more than a megabyte in the file.
_LONGEST_PRODUCT = 512

Matrix = np.ndarray


def _angles(rows: int, columns: int, length: int) -> Matrix:
    # The product is reduced first, so that the angles of long transforms stay exact.
    return 2 * np.pi * (np.outer(np.arange(rows), np.arange(columns)) % length) / length


def _real_to_pairs(length: int, count: int) -> Matrix:
    angles = _angles(length, count, length)
    return np.stack([np.cos(angles), -np.sin(angles)], axis=-1).reshape(length, count * 2)


def _pairs_to_pairs(length: int, forward: bool) -> Matrix:
    angles = _angles(length, length, length)
    cos, sin = np.cos(angles), np.sin(angles) * (1 if forward else -1)
    from_real = np.stack([cos, -sin], axis=-1)
    from_imaginary = np.stack([sin, cos], axis=-1)
    return np.stack([from_real, from_imaginary], axis=1).reshape(length * 2, length * 2)


def _pairs_to_real(count: int, length: int) -> Matrix:
    # What is not there is the conjugate of what is; the first and, of an even length, the middle stand for themselves.
    weights = np.full(count, 2.0)
    weights[0] = 1
    if length % 2 == 0 and count > length // 2:
        weights[length // 2] = 1
    angles = _angles(count, length, length)
    rows = np.stack([np.cos(angles), -np.sin(angles)], axis=1) * weights[:, None, None]
    return rows.reshape(count * 2, length)


def _small(size: int | None) -> bool:
    return size is not None and size <= _LONGEST_PRODUCT


def _factors(length: int | None) -> tuple[int, int] | None:
    """Return two short lengths whose product a length is, as much alike as they can be."""
    for first in range(math.isqrt(length or 0), 0, -1):
        if length is not None and length % first == 0:
            return (first, length // first) if length // first <= _LONGEST_PRODUCT else None
    return None


def _in_two_stages(
    op: Emitter, x: ir.Value, axis: int, factors: tuple[int, int], real: bool, forward: bool
) -> ir.Value:
    """Transform an axis by way of a grid of its elements: columns first, then rows."""
    rows, columns = factors
    rank = op.rank(x) if real else op.rank(x) - 1
    pair = [] if real else [2]
    last = moved(op, x, [axis], [rank - 1])
    batch = sizes_of(op, last, 0, rank - 1)
    grid = moved(op, reshape_to(op, last, [*batch, rows, columns, *pair]), [rank - 1, rank], [rank, rank - 1])
    if real:
        first = op.MatMul(grid, op.const_like(_real_to_pairs(rows, rows), x))
    else:
        flat = reshape_to(op, grid, [*batch, columns, 2 * rows])
        first = op.MatMul(flat, op.const_like(_pairs_to_pairs(rows, forward), x))
    angles = _angles(columns, rows, rows * columns)
    twist = np.stack([np.cos(angles), -np.sin(angles) if forward else np.sin(angles)], axis=-1)
    twisted = product(op, reshape_to(op, first, [*batch, columns, rows, 2]), op.const_like(twist, x))
    across = reshape_to(op, moved(op, twisted, [rank - 1, rank], [rank, rank - 1]), [*batch, rows, 2 * columns])
    second = op.MatMul(across, op.const_like(_pairs_to_pairs(columns, forward), x))
    ordered = moved(op, reshape_to(op, second, [*batch, rows, columns, 2]), [rank - 1, rank], [rank, rank - 1])
    return moved(op, reshape_to(op, ordered, [*batch, rows * columns, 2]), [rank - 1], [axis])


def _to_pairs_by_product(op: Emitter, x: ir.Value, axis: int, onesided: bool) -> ir.Value:
    length = op.dim(x, axis)
    assert length is not None
    count = length // 2 + 1 if onesided else length
    last = moved(op, x, [axis], [-1])
    product = op.MatMul(last, op.const_like(_real_to_pairs(length, count), x))
    pairs = reshape_to(op, product, [*sizes_of(op, last, 0, op.rank(last) - 1), count, 2])
    return moved(op, pairs, [op.rank(pairs) - 2], [axis])


def _pairs_by_product(op: Emitter, x: ir.Value, axis: int, forward: bool) -> ir.Value:
    length = op.dim(x, axis)
    assert length is not None
    rank = op.rank(x)
    last = moved(op, x, [axis], [rank - 2])
    merged = reshape_to(op, last, [*sizes_of(op, last, 0, rank - 2), 2 * length])
    product = op.MatMul(merged, op.const_like(_pairs_to_pairs(length, forward), x))
    pairs = reshape_to(op, product, [*sizes_of(op, last, 0, rank - 2), length, 2])
    return moved(op, pairs, [rank - 2], [axis])


def _to_real_by_product(op: Emitter, x: ir.Value, axis: int, length: int) -> ir.Value:
    rank = op.rank(x)
    wanted = length // 2 + 1
    count = op.dim(x, axis)
    assert count is not None
    last = moved(op, x, [axis], [rank - 2])
    if count > wanted:
        last = op.Slice(last, [0], [wanted], [rank - 2])
        count = wanted
    merged = reshape_to(op, last, [*sizes_of(op, last, 0, rank - 2), 2 * count])
    return moved(op, op.MatMul(merged, op.const_like(_pairs_to_real(count, length), x)), [-1], [axis])


def _scaled(op: Emitter, x: ir.Value, sizes: Sequence[int | ir.Value], normalization: int) -> ir.Value:
    if normalization == 0:
        return x
    if all(isinstance(size, int) for size in sizes):
        total = math.prod(size for size in sizes if isinstance(size, int))
        return op.Mul(x, op.const_like(1 / (math.sqrt(total) if normalization == 1 else total), x))
    count = op.vector(sizes[0])
    for size in sizes[1:]:
        count = op.Mul(count, op.vector(size))
    divisor = op.cast(op.scalar(count), x.dtype or ir.DataType.FLOAT)
    return op.Div(x, op.Sqrt(divisor) if normalization == 1 else divisor)


def _dft(op: Emitter, x: ir.Value, axis: int, **attributes: int) -> ir.Value:
    """Write DFT, in double precision unless the length is a power of two: onnxruntime's loses four digits there."""
    length, dtype = op.dim(x, axis), x.dtype or ir.DataType.FLOAT
    exact = length is not None and length & (length - 1) == 0
    wide = x if exact else op.cast(x, ir.DataType.DOUBLE)
    return op.cast(op.DFT(wide, None, op.i64(axis), **attributes), dtype)


def _real_transformed(op: Emitter, x: ir.Value, axis: int, onesided: bool, has_dft: bool) -> ir.Value:
    length = op.dim(x, axis)
    factors = None if has_dft or _small(length) else _factors(length)
    if length is not None and factors is not None:
        pairs = _in_two_stages(op, x, axis, factors, True, True)
        return op.Slice(pairs, [0], [length // 2 + 1], [axis]) if onesided else pairs
    if _small(op.dim(x, axis)) or not has_dft:
        if op.dim(x, axis) is None:
            raise op.cannot("a transform along an axis of free size needs DFT, from opset 17 on")
        return _to_pairs_by_product(op, x, axis, onesided)
    return _dft(op, op.Unsqueeze(x, [op.rank(x)]), axis, onesided=int(onesided))


def _pairs_transformed(op: Emitter, x: ir.Value, axis: int, forward: bool, has_dft: bool) -> ir.Value:
    length = op.dim(x, axis)
    factors = None if has_dft or _small(length) else _factors(length)
    if factors is not None:
        return _in_two_stages(op, x, axis, factors, False, forward)
    if _small(op.dim(x, axis)) or not has_dft:
        if op.dim(x, axis) is None:
            raise op.cannot("a transform along an axis of free size needs DFT, from opset 17 on")
        return _pairs_by_product(op, x, axis, forward)
    if forward:
        return _dft(op, x, axis)
    # ONNX's inverse divides by the length, PyTorch's leaves that to the normalisation.
    count = op.cast(op.scalar(op.size(x, axis)), x.dtype or ir.DataType.FLOAT)
    return op.Mul(_dft(op, x, axis, inverse=1), count)


def _to_real(op: Emitter, x: ir.Value, axis: int, length: int, has_dft: bool) -> ir.Value:
    known = op.dim(x, axis) is not None
    if known and (_small(length) or (not has_dft and _factors(length) is None)):
        return _to_real_by_product(op, x, axis, length)
    if not has_dft and not known:
        raise op.cannot("a transform along an axis of free size needs DFT, from opset 17 on")
    # The other half of the spectrum is the conjugate of this one, backwards.
    half = op.Slice(x, [0], [length // 2 + 1], [axis])
    mirror = op.Slice(half, [-1 if length % 2 else -2], [0], [axis], [-1])
    whole = op.Concat(half, op.Mul(mirror, op.const_like([1.0, -1.0], x)), axis=axis)
    pairs = _pairs_transformed(op, whole, axis, False, has_dft)
    return op.Squeeze(op.Slice(pairs, [0], [1], [op.rank(pairs) - 1]), [op.rank(pairs) - 1])


def _to_real_of_running_length(op: Emitter, x: ir.Value, axis: int, length: ir.Value) -> ir.Value:
    """Multiply by a matrix that is made at run time: half of the spectrum, cut or filled up, to `length` numbers."""
    dtype = x.dtype or ir.DataType.FLOAT
    wide = ir.DataType.DOUBLE
    rank = op.rank(x)
    size = op.scalar(length)
    wanted = op.Add(op.Div(size, op.i64(2)), op.i64(1))
    last = moved(op, x, [axis], [rank - 2])
    have = op.scalar(op.size(last, rank - 2))
    count = op.Min(wanted, have)
    last = op.Slice(last, [0], op.vector(count), [rank - 2])
    bins = op.Range(op.i64(0), count, op.i64(1))
    places = op.Range(op.i64(0), size, op.i64(1))
    # The product is reduced first, so that the angles of long transforms stay exact.
    turns = op.Mod(op.Mul(op.Unsqueeze(bins, [1]), places), size)
    angles = op.Div(op.Mul(op.cast(turns, wide), op.const(2 * math.pi, wide)), op.cast(size, wide))
    # The first and, of an even length, the middle stand for themselves, the others for their conjugates too.
    alone = op.Equal(op.Mod(op.Mul(bins, op.i64(2)), size), op.i64(0))
    weights = op.Unsqueeze(op.Where(alone, op.const(1.0, dtype), op.const(2.0, dtype)), [1])
    real, imaginary = (op.Gather(last, op.i64(index), axis=rank - 1) for index in (0, 1))
    cos = op.Mul(op.cast(op.Cos(angles), dtype), weights)
    sin = op.Mul(op.cast(op.Sin(angles), dtype), weights)
    return moved(op, op.Sub(op.MatMul(real, cos), op.MatMul(imaginary, sin)), [-1], [axis])


def _register(since: int, has_dft: bool) -> None:
    @lowers("complex/aten::_fft_r2c", since=since)
    def real_to_complex(
        op: Emitter, x: ir.Value, *, dim: Sequence[int], normalization: int, onesided: bool
    ) -> ir.Value:
        rank = op.rank(x)
        axes = [axis % rank for axis in dim]
        sizes = [op.size(x, axis) for axis in axes] if normalization else []
        pairs = _real_transformed(op, x, axes[-1], onesided, has_dft)
        for axis in reversed(axes[:-1]):
            pairs = _pairs_transformed(op, pairs, axis, True, has_dft)
        return _scaled(op, pairs, sizes, normalization)

    @lowers("complex/aten::_fft_c2c", since=since)
    def complex_to_complex(
        op: Emitter, x: ir.Value, *, dim: Sequence[int], normalization: int, forward: bool
    ) -> ir.Value:
        rank = op.rank(x) - 1
        axes = [axis % rank for axis in dim]
        sizes = [op.size(x, axis) for axis in axes] if normalization else []
        for axis in axes:
            x = _pairs_transformed(op, x, axis, forward, has_dft)
        return _scaled(op, x, sizes, normalization)

    @lowers("complex/aten::_fft_c2r", since=since)
    def complex_to_real(
        op: Emitter, x: ir.Value, *, dim: Sequence[int], normalization: int, last_dim_size: int | ir.Value
    ) -> ir.Value:
        rank = op.rank(x) - 1
        axes = [axis % rank for axis in dim]
        sizes = [*(op.size(x, axis) for axis in axes[:-1]), last_dim_size] if normalization else []
        for axis in axes[:-1]:
            x = _pairs_transformed(op, x, axis, False, has_dft)
        if isinstance(last_dim_size, ir.Value):
            return _scaled(op, _to_real_of_running_length(op, x, axes[-1], last_dim_size), sizes, normalization)
        return _scaled(op, _to_real(op, x, axes[-1], last_dim_size, has_dft), sizes, normalization)


_register(17, True)
_register(7, False)
