# SPDX-License-Identifier: Apache-2.0
"""Maxima over windows that begin at pseudo-random places.

Source: B. Graham, "Fractional Max-Pooling", 2014; the places are computed from the random numbers as PyTorch does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .elimination import dtype_of
from .expanding import expand_to
from .spatial import per_axis, product
from .views import sizes_of

_INT64 = ir.DataType.INT64


def _begins(op: Emitter, sample: ir.Value, size: int | ir.Value, kernel: int, count: int) -> ir.Value:
    """Return where the windows along an axis begin, ``(batch, channel, window)``."""
    dtype = dtype_of(sample)
    room = op.cast(op.Sub(op.scalar(size), op.i64(kernel)), dtype)
    last = op.cast(room, _INT64)
    column = op.Unsqueeze(sample, [2])
    ends = op.Add(op.Mul(op.cast(column, _INT64), op.i64(0)), last)
    if count == 1:
        return ends
    step = op.Div(room, op.const(count - 1, dtype))
    steps = op.const(np.arange(count - 1), dtype)
    inner = op.cast(op.Mul(op.Add(column, steps), step), _INT64)
    return op.Concat(op.Sub(inner, op.cast(op.Mul(column, step), _INT64)), ends, axis=2)


def _fractional_max_pool(
    op: Emitter, x: ir.Value, samples: ir.Value, kernel_size: Any, output_size: Any, order: Sequence[int]
) -> tuple[ir.Value, ir.Value]:
    axes = len(order)
    kernel = per_axis(op, kernel_size, axes, "the kernel size")
    counts = per_axis(op, output_size, axes, "the output size")
    single = op.rank(x) == axes + 1
    if single:
        x = op.Unsqueeze(x, [0])
    sizes = [op.size(x, 2 + axis) for axis in range(axes)]
    # One place after the other: position in the plane, built up axis by axis as (batch, channel, windows, elements).
    position: ir.Value | None = None
    for axis in range(axes):
        sample = op.Gather(samples, op.i64(order[axis]), axis=2)
        begins = op.Unsqueeze(_begins(op, sample, sizes[axis], kernel[axis], counts[axis]), [3])
        own = op.Add(begins, op.i64(np.arange(kernel[axis])))
        if position is None:
            position = own
            continue
        widened = op.Mul(position, op.scalar(sizes[axis]))
        joined = op.Add(op.Unsqueeze(widened, [3, 5]), op.Unsqueeze(own, [2, 4]))
        position = op.Reshape(
            joined, op.i64([0, 0, int(np.prod(counts[: axis + 1])), int(np.prod(kernel[: axis + 1]))])
        )
    assert position is not None
    windows, elements = int(np.prod(counts)), int(np.prod(kernel))
    plane = op.Reshape(x, op.int_vector([0, 0, product(op, sizes)]))
    batch = sizes_of(op, x, 0, 2)
    flat = op.Reshape(expand_to(op, position, [*batch, windows, elements]), op.i64([0, 0, windows * elements]))
    values = op.Reshape(op.GatherElements(plane, flat, axis=2), op.i64([0, 0, windows, elements]))
    found = op.ArgMax(values, axis=3, keepdims=1)
    indices = op.GatherElements(op.Reshape(flat, op.i64([0, 0, windows, elements])), found, axis=3)
    results = [op.Reshape(part, op.i64([0, 0, *counts])) for part in (op.ReduceMax(values, [3], keepdims=0), indices)]
    if single:
        results = [op.Squeeze(part, [0]) for part in results]
    return results[0], results[1]


@lowers("aten::fractional_max_pool2d")
def fractional_max_pool2d(
    op: Emitter, x: ir.Value, samples: ir.Value, *, kernel_size: Any, output_size: Any
) -> tuple[ir.Value, ir.Value]:
    """Lower maxima over windows at random places of planes; the numbers for columns come first."""
    return _fractional_max_pool(op, x, samples, kernel_size, output_size, (1, 0))


@lowers("aten::fractional_max_pool3d")
def fractional_max_pool3d(
    op: Emitter, x: ir.Value, samples: ir.Value, *, kernel_size: Any, output_size: Any
) -> tuple[ir.Value, ir.Value]:
    """Lower maxima over windows at random places of volumes."""
    return _fractional_max_pool(op, x, samples, kernel_size, output_size, (0, 1, 2))
