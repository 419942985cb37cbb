# SPDX-License-Identifier: Apache-2.0
"""Operators that move pixels without mixing them: DepthToSpace, SpaceToDepth, Col2Im and GridSample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..registry import spells
from .forms import alike, as_is, dtype_of

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("DepthToSpace", since=11)
as_is("SpaceToDepth", since=28)


@spells("DepthToSpace")
def depth_to_space_before_11(op: Emitter, input: Operand, *, blocksize: int, mode: str = "DCR") -> ir.Value:
    """DepthToSpace 1 has the block before the channels; the other order is a transposition."""
    (x,) = alike(op, input)
    if mode == "DCR":
        return op.raw("DepthToSpace", x, blocksize=blocksize)
    channels, rows, columns = (op.size(x, axis) for axis in (1, 2, 3))
    block = [blocksize, blocksize]
    apart = op.Reshape(x, op.int_vector([0, -1, *block, rows, columns]))
    together = op.Transpose(apart, perm=[0, 1, 4, 2, 5, 3])
    sizes = [
        0,
        channels // blocksize**2 if isinstance(channels, int) else -1,
        *(_scaled(op, size, blocksize) for size in (rows, columns)),
    ]
    return op.Reshape(together, op.int_vector(sizes))


def _scaled(op: Emitter, size: Any, factor: int) -> Any:
    return size * factor if isinstance(size, int) else op.Mul(size, [factor])


@spells("SpaceToDepth")
def space_to_depth_before_28(op: Emitter, input: Operand, *, blocksize: int, mode: str = "DCR") -> ir.Value:
    """SpaceToDepth 1 puts the block before the channels; the other order is a transposition."""
    (x,) = alike(op, input)
    if mode == "DCR":
        return op.raw("SpaceToDepth", x, blocksize=blocksize)
    channels, rows, columns = (op.size(x, axis) for axis in (1, 2, 3))
    small = [size // blocksize if isinstance(size, int) else op.Div(size, [blocksize]) for size in (rows, columns)]
    apart = op.Reshape(x, op.int_vector([-1, channels, small[0], blocksize, small[1], blocksize]))
    together = op.Transpose(apart, perm=[0, 1, 3, 5, 2, 4])
    return op.Reshape(together, op.int_vector([-1, _scaled(op, channels, blocksize**2), *small]))


as_is("Col2Im", since=18)


@spells("Col2Im")
def col2im_by_transposed_convolution(
    op: Emitter,
    input: Operand,
    image_shape: Operand,
    block_shape: Operand,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> ir.Value:
    """Before Col2Im: a transposed convolution whose kernel puts each row of a column at its place in the block."""
    (x,) = alike(op, input)
    image = op.static_ints(image_shape, "Col2Im's image_shape")
    block = op.static_ints(block_shape, "Col2Im's block_shape")
    count = len(image)
    rows = op.dim(x, 1)
    if rows is None:
        raise op.cannot("Col2Im of an unknown number of channels needs opset 18")
    area = int(np.prod(block))
    ends = list(pads) if pads else [0] * (2 * count)
    steps = list(strides) if strides else [1] * count
    reach = [(size - 1) * step + 1 for size, step in zip(block, dilations or [1] * count, strict=True)]
    padded = [size + ends[axis] + ends[axis + count] for axis, size in enumerate(image)]
    grid = [(size - wide) // step + 1 for size, wide, step in zip(padded, reach, steps, strict=True)]
    rest = [(size - wide) % step for size, wide, step in zip(padded, reach, steps, strict=True)]
    kernel = np.tile(np.eye(area).reshape(area, 1, *block), (rows // area, *[1] * (count + 1)))
    columns = op.Reshape(x, op.int_vector([op.size(x, 0), rows, *grid]))
    return op.ConvTranspose(
        columns,
        op.const(kernel, dtype_of(x)),
        group=rows // area,
        kernel_shape=block,
        dilations=dilations,
        strides=steps,
        pads=ends,
        output_padding=rest if any(rest) else None,
    )


as_is("GridSample", since=20)


@spells("GridSample", since=16)
def grid_sample_of_images(
    op: Emitter, X: Operand, grid: Operand, *, mode: str = "linear", **attributes: Any
) -> ir.Value:
    """GridSample 16 names its modes for images, and takes nothing else."""
    (x,) = alike(op, X)
    if op.rank(x) != 4:
        raise op.cannot("GridSample of volumes needs opset 20")
    names = {"linear": "bilinear", "cubic": "bicubic"}
    return op.raw("GridSample", x, grid, mode=names.get(mode, mode), **attributes)
