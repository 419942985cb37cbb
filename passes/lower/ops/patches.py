# SPDX-License-Identifier: Apache-2.0
"""Convolutions, sums and maxima of windows as gathered patches, where there is no operator or no kernel for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from .spatial import product


def patch_places(op: Emitter, size: int | ir.Value, kernel: int, dilation: int, stride: int) -> ir.Value:
    """Return which positions of an axis each patch takes: kernel x patches."""
    taps = np.arange(kernel, dtype=np.int64)[:, None] * dilation
    if isinstance(size, int):
        return op.i64(taps + np.arange(0, size - dilation * (kernel - 1), stride, dtype=np.int64)[None, :])
    limit = op.Sub(op.vector(size), [dilation * (kernel - 1)])
    return op.Add(op.i64(taps), op.Range(op.i64(0), op.scalar(limit), op.i64(stride)))


def padded(op: Emitter, x: ir.Value, pads: Sequence[int], value: float = 0) -> ir.Value:
    """Pad the spatial axes, before all of them and after them; a negative number cuts."""
    if not any(pads):
        return x
    spatial = len(pads) // 2
    return op.Pad(x, op.i64([0, 0, *pads[:spatial], 0, 0, *pads[spatial:]]), op.const(value, x.dtype))


def patches(
    op: Emitter,
    x: ir.Value,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> tuple[ir.Value, list[int | ir.Value]]:
    """Return the windows of an image, batch x channels x all taps x all places, and how many places each axis has.

    Args:
        op: the emitter.
        x: batch x channels x spatial axes.
        kernel: how many taps each spatial axis has.
        strides: from one place to the next.
        pads: zeros before the spatial axes, then after them.
        dilations: from one tap to the next.
    """
    spatial = len(kernel)
    cut = padded(op, x, pads)
    counts: list[int | ir.Value] = []
    for axis in range(spatial):
        places = patch_places(op, op.size(cut, 2 + 2 * axis), kernel[axis], dilations[axis], strides[axis])
        counts.append(op.size(places, 1))
        # The taps and places of the axes before stand where their axis was.
        cut = op.Gather(cut, places, axis=2 + 2 * axis)
    taps, along = [2 + 2 * axis for axis in range(spatial)], [3 + 2 * axis for axis in range(spatial)]
    cut = op.Transpose(cut, perm=[0, 1, *taps, *along])
    return op.Reshape(cut, op.i64(op.int_vector([0, 0, math.prod(kernel), product(op, counts)]))), counts


def _channels(op: Emitter, weight: ir.Value) -> tuple[int, int]:
    """Return the first two sizes of a weight."""
    first, second = op.dim(weight, 0), op.dim(weight, 1)
    if first is None or second is None:
        raise op.cannot("a convolution of 64-bit floats whose channels are only known at run time")
    return first, second


def convolved(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> ir.Value:
    """Convolve by one product of matrices for each group of channels."""
    outputs, inputs = _channels(op, weight)
    cut, counts = patches(op, x, kernel, strides, pads, dilations)
    depth, places = inputs * math.prod(kernel), product(op, counts)
    cut = op.Reshape(cut, op.i64(op.int_vector([0, groups, depth, places])))
    matrices = op.Reshape(weight, op.i64([groups, outputs // groups, depth]))
    y = op.Reshape(op.MatMul(matrices, cut), op.i64(op.int_vector([0, outputs, *counts])))
    return y if bias is None else _with_bias(op, y, bias)


def _with_bias(op: Emitter, y: ir.Value, bias: ir.Value) -> ir.Value:
    return op.Add(y, op.Unsqueeze(bias, op.i64(list(range(1, op.rank(y) - 1)))))


def _spread(op: Emitter, x: ir.Value, strides: Sequence[int]) -> ir.Value:
    """Put zeros between the elements of the spatial axes, one less than the stride."""
    for axis, stride in enumerate(strides, start=2):
        if stride == 1:
            continue
        size, rank = op.size(x, axis), op.rank(x)
        wide = op.Unsqueeze(x, [axis + 1])
        wide = op.Pad(
            wide,
            op.i64([0] * (rank + 1) + [stride - 1 if n == axis + 1 else 0 for n in range(rank + 1)]),
            op.const(0, x.dtype),
        )
        sizes = [op.size(x, n) for n in range(rank)]
        sizes[axis] = product(op, [size, stride])
        x = op.Reshape(wide, op.i64(op.int_vector(sizes)))
        x = op.Slice(x, op.i64([0]), op.i64([-(stride - 1)]), op.i64([axis]))
    return x


def convolved_transposed(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
) -> ir.Value:
    """Convolve transposed: the input, spread by the stride, with the weight turned round."""
    inputs, outputs = _channels(op, weight)
    spatial = len(kernel)
    for axis, size in enumerate(kernel, start=2):
        weight = op.Gather(weight, op.i64(list(range(size))[::-1]), axis=axis)
    weight = op.Reshape(weight, op.i64([groups, inputs // groups, outputs, *kernel]))
    weight = op.Transpose(weight, perm=[0, 2, 1, *range(3, 3 + spatial)])
    weight = op.Reshape(weight, op.i64([groups * outputs, inputs // groups, *kernel]))
    reach = [(size - 1) * step for size, step in zip(kernel, dilations, strict=True)]
    before = [far - pad for far, pad in zip(reach, pads[:spatial], strict=True)]
    after = [far - pad + more for far, pad, more in zip(reach, pads[spatial:], output_padding, strict=True)]
    spread = _spread(op, x, strides)
    return convolved(op, spread, weight, bias, kernel, [1] * spatial, [*before, *after], dilations, groups)


def window_sums(
    op: Emitter,
    x: ir.Value,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
) -> ir.Value:
    """Return the sums over windows."""
    cut, counts = patches(op, x, kernel, strides, pads, [1] * len(kernel))
    return op.Reshape(op.ReduceSum(cut, op.i64([2]), keepdims=0), op.i64(op.int_vector([0, 0, *counts])))


def window_maxima(
    op: Emitter,
    x: ir.Value,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> tuple[ir.Value, ir.Value]:
    """Return the maxima of windows, and where in their plane they are: the first of several, never in the padding."""
    spatial = len(kernel)
    none = [0] * (2 * spatial)
    dtype = x.dtype or ir.DataType.FLOAT
    lowest = np.iinfo(dtype.numpy()).min if dtype.is_integer() else -np.inf
    cut, counts = patches(op, padded(op, x, pads, lowest), kernel, strides, none, dilations)
    maxima = op.ReduceMax(cut, op.i64([2]), keepdims=1)
    hit = op.Equal(cut, maxima)
    sizes = [op.size(x, axis) for axis in range(2, 2 + spatial)]
    count = product(op, sizes)
    place = op.i64(np.arange(count)) if isinstance(count, int) else op.Range(op.i64(0), op.scalar(count), op.i64(1))
    # From one on, so that the padding is told apart.
    numbered = op.Reshape(op.Add(place, op.i64(1)), op.i64(op.int_vector([1, 1, *sizes])))
    places, _ = patches(op, padded(op, numbered, pads), kernel, strides, none, dilations)
    if any(pads):
        hit = op.And(hit, op.Greater(places, op.i64(0)))
    tap = op.ArgMax(op.cast(hit, ir.DataType.INT32), axis=2, keepdims=1)
    taps = op.i64(np.arange(math.prod(kernel))[:, None])
    chosen = op.cast(op.Equal(tap, taps), ir.DataType.INT64)
    positions = op.Sub(op.ReduceSum(op.Mul(chosen, places), op.i64([2]), keepdims=0), op.i64(1))
    shape = op.i64(op.int_vector([0, 0, *counts]))
    return op.Reshape(op.Squeeze(maxima, [2]), shape), op.Reshape(positions, shape)
