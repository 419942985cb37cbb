# SPDX-License-Identifier: Apache-2.0
"""Rearrangements between space, channels and patches: unfold and fold, pixel and channel shuffles."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .patches import patch_places
from .spatial import product, with_batch, without_batch


@lowers("aten::im2col")
def im2col(op: Emitter, x: ir.Value, *, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> ir.Value:
    """Lower ``torch.nn.functional.unfold``: the patches of an image as columns."""
    x, added = with_batch(op, x, 2)
    if any(padding):
        x = op.Pad(x, op.i64([0, 0, *padding, 0, 0, *padding]), op.const(0, x.dtype))
    rows = patch_places(op, op.size(x, 2), kernel_size[0], dilation[0], stride[0])
    columns = patch_places(op, op.size(x, 3), kernel_size[1], dilation[1], stride[1])
    channels, places = op.size(x, 1), [op.dim(rows, 1), op.dim(columns, 1)]
    count = -1 if None in places else product(op, [place for place in places if place is not None])
    cut = op.Gather(op.Gather(x, rows, axis=2), columns, axis=4)
    cut = op.Transpose(cut, perm=[0, 1, 2, 4, 3, 5])
    depth = product(op, [channels, kernel_size[0] * kernel_size[1]])
    return without_batch(op, op.Reshape(cut, op.i64(op.int_vector([0, depth, count]))), added)


@lowers("aten::col2im")
def col2im(
    op: Emitter, x: ir.Value, *, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> ir.Value:
    """Lower ``torch.nn.functional.fold``: columns summed into the image whose patches they are."""
    x, added = with_batch(op, x, 1)
    y = op.Col2Im(
        x,
        op.i64(op.int_vector(output_size)),
        op.i64(list(kernel_size)),
        dilations=list(dilation),
        pads=[*padding, *padding],
        strides=list(stride),
    )
    return without_batch(op, y, added)


def _as_images(op: Emitter, x: ir.Value) -> tuple[ir.Value, list[Any] | None]:
    """Fold all axes before channels, height and width into one; returns them where they are not one already."""
    rank = op.rank(x)
    if rank == 4:
        return x, None
    lead = [op.size(x, axis) for axis in range(rank - 3)]
    tail = [op.size(x, axis) for axis in range(rank - 3, rank)]
    if rank == 3:
        return op.Unsqueeze(x, [0]), lead
    return op.Reshape(x, op.i64(op.int_vector([-1, *tail]))), lead


def _unfolded(op: Emitter, y: ir.Value, lead: list[Any] | None) -> ir.Value:
    if lead is None:
        return y
    if not lead:
        return op.Squeeze(y, [0])
    tail = [op.size(y, axis) for axis in range(1, 4)]
    return op.Reshape(y, op.i64(op.int_vector([*lead, *tail])))


@lowers("aten::pixel_shuffle")
def pixel_shuffle(op: Emitter, x: ir.Value, *, upscale_factor: int) -> ir.Value:
    """Lower channels laid out as finer pixels."""
    if upscale_factor == 1:
        return x
    images, lead = _as_images(op, x)
    return _unfolded(op, op.DepthToSpace(images, blocksize=upscale_factor, mode="CRD"), lead)


@lowers("aten::pixel_unshuffle")
def pixel_unshuffle(op: Emitter, x: ir.Value, *, downscale_factor: int) -> ir.Value:
    """Lower pixels stacked as channels."""
    if downscale_factor == 1:
        return x
    images, lead = _as_images(op, x)
    return _unfolded(op, op.SpaceToDepth(images, blocksize=downscale_factor, mode="CRD"), lead)


@lowers("aten::channel_shuffle", "aten::native_channel_shuffle")
def channel_shuffle(op: Emitter, x: ir.Value, *, groups: Any) -> ir.Value:
    """Lower channels dealt out to groups in turn."""
    groups = op.static_number(groups, "the number of groups")
    channels = op.size(x, 1)
    each = channels // groups if isinstance(channels, int) else op.Div(op.vector(channels), [groups])
    grouped = op.Reshape(x, op.i64(op.int_vector([0, groups, each, -1])))
    return op.Reshape(op.Transpose(grouped, perm=[0, 2, 1, 3]), op.i64(op.sizes(x)))
