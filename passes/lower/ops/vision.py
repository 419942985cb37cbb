# SPDX-License-Identifier: Apache-2.0
"""torchvision's operators: box suppression, pooling of regions, deformable convolution.

They are registered by name; torchvision itself is not needed to lower them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .spatial import stated, static_dims, wanted


@lowers("torchvision::nms")
def nms(op: Emitter, boxes: ir.Value, scores: ir.Value, *, iou_threshold: float) -> ir.Value:
    """Lower non-maximum suppression; boxes are given by two corners."""
    selected = op.NonMaxSuppression(
        op.cast(op.Unsqueeze(boxes, [0]), ir.DataType.FLOAT),
        op.cast(op.Unsqueeze(scores, op.i64([0, 1])), ir.DataType.FLOAT),
        op.i64([2**31 - 1]),
        op.const([iou_threshold], ir.DataType.FLOAT),
    )
    # Rows of batch, class and box.
    return op.Gather(selected, op.i64(2), axis=1)


def _regions(op: Emitter, rois: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Split rows of image number and box."""
    image = op.cast(op.Gather(rois, op.i64(0), axis=1), ir.DataType.INT64)
    return op.Slice(rois, op.i64([1]), op.i64([5]), op.i64([1])), image


def _aligned(
    op: Emitter,
    x: ir.Value,
    rois: ir.Value,
    spatial_scale: float,
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
) -> ir.Value:
    boxes, image = _regions(op, rois)
    return op.RoiAlign(
        x,
        boxes,
        image,
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
        mode="avg",
        output_height=height,
        output_width=width,
        sampling_ratio=max(sampling_ratio, 0),
        spatial_scale=spatial_scale,
    )


@lowers("torchvision::roi_align")
def roi_align(
    op: Emitter,
    x: ir.Value,
    rois: ir.Value,
    *,
    spatial_scale: float,
    pooled_height: Any,
    pooled_width: Any,
    sampling_ratio: int,
    aligned: bool,
) -> ir.Value:
    """Lower averages of regions at interpolated points."""
    height = op.static_number(pooled_height, "the height of the pooled regions")
    width = op.static_number(pooled_width, "the width of the pooled regions")
    return _aligned(op, x, rois, spatial_scale, height, width, sampling_ratio, aligned)


@lowers("torchvision::roi_pool")
def roi_pool(
    op: Emitter, x: ir.Value, rois: ir.Value, *, spatial_scale: float, pooled_height: Any, pooled_width: Any
) -> tuple[ir.Value]:
    """Lower maxima of regions; their positions have no counterpart."""
    height = op.static_number(pooled_height, "the height of the pooled regions")
    width = op.static_number(pooled_width, "the width of the pooled regions")
    return (op.MaxRoiPool(x, rois, pooled_shape=[height, width], spatial_scale=spatial_scale),)


def _within_bins(op: Emitter, first: ir.Value, last: ir.Value, bins: int, size: Any) -> ir.Value:
    """Return which positions of an axis belong to each bin of each region: regions x bins x positions."""
    extent = op.Max(op.Add(op.Sub(last, first), 1.0), op.const(1, first.dtype))
    width = op.Unsqueeze(op.Div(extent, float(bins)), [1])
    bin_number = op.const(np.arange(bins), first.dtype)
    origin = op.Unsqueeze(first, [1])
    starts = op.Add(op.Floor(op.Mul(bin_number, width)), origin)
    ends = op.Add(op.Ceil(op.Mul(op.Add(bin_number, 1.0), width)), origin)
    place = op.cast(op.Range(op.i64(0), op.scalar(size), op.i64(1)), first.dtype)
    return op.And(op.GreaterOrEqual(place, op.Unsqueeze(starts, [2])), op.Less(place, op.Unsqueeze(ends, [2])))


@lowers("torchvision::roi_pool", since=22)
def roi_pool_by_parts(
    op: Emitter, x: ir.Value, rois: ir.Value, *, spatial_scale: float, pooled_height: Any, pooled_width: Any
) -> tuple[ir.Value]:
    """Lower maxima of regions axis by axis: onnxruntime has no kernel of MaxRoiPool from 22 on."""
    height = op.static_number(pooled_height, "the height of the pooled regions")
    width = op.static_number(pooled_width, "the width of the pooled regions")
    boxes, image = _regions(op, rois)
    sides = op.Floor(op.Add(op.Mul(boxes, spatial_scale), 0.5))
    left, top, right, bottom = (op.Gather(sides, op.i64(index), axis=1) for index in range(4))
    rows = _within_bins(op, top, bottom, height, op.size(x, 2))
    columns = _within_bins(op, left, right, width, op.size(x, 3))
    lowest = op.const(-np.inf, x.dtype)
    pictures = op.Unsqueeze(op.Gather(x, image, axis=0), [2])
    pooled = op.Where(op.Unsqueeze(rows, op.i64([1, 4])), pictures, lowest)
    pooled = op.Unsqueeze(op.ReduceMax(pooled, op.i64([3]), keepdims=0), [3])
    pooled = op.Where(op.Unsqueeze(columns, op.i64([1, 2])), pooled, lowest)
    pooled = op.ReduceMax(pooled, op.i64([4]), keepdims=0)
    # A bin outside of the image is zero.
    return (op.Where(op.Equal(pooled, lowest), op.const(0, x.dtype), pooled),)


@lowers("torchvision::ps_roi_align")
def ps_roi_align(
    op: Emitter,
    x: ir.Value,
    rois: ir.Value,
    *,
    spatial_scale: float,
    pooled_height: Any,
    pooled_width: Any,
    sampling_ratio: int,
) -> tuple[ir.Value, ir.Value | None]:
    """Lower averages of regions in which every bin has channels of its own: bin (i, j) keeps its (i, j)-th of each."""
    height = op.static_number(pooled_height, "the height of the pooled regions")
    width = op.static_number(pooled_width, "the width of the pooled regions")
    if wanted(op, 1):
        raise op.cannot("the channel mapping of ps_roi_align has no counterpart")
    bins = height * width
    pooled = _aligned(op, x, rois, spatial_scale, height, width, sampling_ratio, True)
    pooled = op.Reshape(pooled, op.i64([0, -1, bins, bins]))
    own = op.ReduceSum(op.Mul(pooled, op.const(np.eye(bins), x.dtype)), op.i64([-1]), keepdims=0)
    return op.Reshape(own, op.i64([0, 0, height, width])), None


@lowers("torchvision::deform_conv2d", since=19)
def deform_conv2d(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    offset: ir.Value,
    mask: ir.Value,
    bias: ir.Value,
    *,
    stride_h: Any,
    stride_w: Any,
    pad_h: Any,
    pad_w: Any,
    dilation_h: Any,
    dilation_w: Any,
    groups: Any,
    offset_groups: Any,
    use_mask: bool,
) -> ir.Value:
    """Lower a convolution whose taps are moved by offsets."""
    numbers = [op.static_number(n) for n in (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)]
    return op.DeformConv(
        x,
        weight,
        offset,
        bias,
        mask if use_mask else None,
        kernel_shape=static_dims(op, weight, 2),
        strides=stated(numbers[:2], 1),
        pads=stated(numbers[2:4] * 2, 0),
        dilations=stated(numbers[4:], 1),
        group=op.static_number(groups),
        offset_group=op.static_number(offset_groups),
    )
