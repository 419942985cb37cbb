# SPDX-License-Identifier: Apache-2.0
"""torchvision's operators, with its schemas registered here and small references in its place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from support.calls import operators, tensor
from support.operator_check import NEWEST, check

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
    "roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width) "
    "-> (Tensor, Tensor)",
    "ps_roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio) -> (Tensor, Tensor)",
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, "
    "SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, "
    "SymInt offset_groups, bool use_mask) -> Tensor",
)


def _overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    sides = torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])
    shared = float(sides.clamp(min=0).prod())
    return shared / (float((a[2:] - a[:2]).prod()) + float((b[2:] - b[:2]).prod()) - shared)


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        if all(_overlap(boxes[index], boxes[other]) <= iou_threshold for other in kept):
            kept.append(index)
    return torch.tensor(kept)


def _at(image: torch.Tensor, y: float, x: float) -> torch.Tensor:
    """Interpolate channels x height x width at a point; more than a pixel outside it is zero."""
    height, width = image.shape[-2:]
    if y < -1 or y > height or x < -1 or x > width:
        return torch.zeros(image.shape[0])
    y, x = max(y, 0.0), max(x, 0.0)
    top, left = min(int(y), height - 1), min(int(x), width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    y, x = (float(top) if top == height - 1 else y), (float(left) if left == width - 1 else x)
    v, u = y - top, x - left
    upper = image[:, top, left] * (1 - u) + image[:, top, right] * u
    return upper * (1 - v) + (image[:, bottom, left] * (1 - u) + image[:, bottom, right] * u) * v


def _bins(image: torch.Tensor, box: list[float], h: int, w: int, samples: int, minimum: float) -> torch.Tensor:
    left, top, right, bottom = box
    bin_h, bin_w = max(bottom - top, minimum) / h, max(right - left, minimum) / w
    steps = [(s + 0.5) / samples for s in range(samples)]
    result = torch.zeros(image.shape[0], h, w)
    for i in range(h):
        for j in range(w):
            points = [_at(image, top + (i + a) * bin_h, left + (j + b) * bin_w) for a in steps for b in steps]
            result[:, i, j] = torch.stack(points).mean(dim=0)
    return result


def roi_align(x, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned):
    shift, minimum = (0.5, 0.0) if aligned else (0.0, 1.0)
    pooled = [
        _bins(
            x[int(roi[0])],
            [float(side) * spatial_scale - shift for side in roi[1:]],
            pooled_height,
            pooled_width,
            sampling_ratio,
            minimum,
        )
        for roi in rois
    ]
    return torch.stack(pooled)


def roi_pool(x, rois, spatial_scale, pooled_height, pooled_width):
    result = torch.zeros(len(rois), x.shape[1], pooled_height, pooled_width)
    for number, roi in enumerate(rois):
        left, top, right, bottom = (int(np.floor(float(side) * spatial_scale + 0.5)) for side in roi[1:])
        height, width = max(bottom - top + 1, 1) / pooled_height, max(right - left + 1, 1) / pooled_width
        for i in range(pooled_height):
            for j in range(pooled_width):
                rows = slice(top + int(np.floor(i * height)), top + int(np.ceil((i + 1) * height)))
                columns = slice(left + int(np.floor(j * width)), left + int(np.ceil((j + 1) * width)))
                result[number, :, i, j] = x[int(roi[0]), :, rows, columns].amax(dim=(1, 2))
    return result, torch.zeros_like(result, dtype=torch.int32)


def ps_roi_align(x, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio):
    every = roi_align(x, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, True)
    every = every.unflatten(1, (-1, pooled_height, pooled_width))
    own = torch.einsum("kcijij->kcij", every).contiguous()
    return own, torch.zeros_like(own, dtype=torch.int32)


def deform_conv2d(x, weight, offset, mask, bias, sh, sw, ph, pw, dh, dw, groups, offset_groups, use_mask):
    batch, (out_h, out_w), (kh, kw) = x.shape[0], offset.shape[-2:], weight.shape[-2:]
    y = torch.zeros(batch, weight.shape[0], out_h, out_w)
    for n in range(batch):
        for i in range(out_h):
            for j in range(out_w):
                for tap in range(kh * kw):
                    row = i * sh - ph + tap // kw * dh + float(offset[n, 2 * tap, i, j])
                    column = j * sw - pw + tap % kw * dw + float(offset[n, 2 * tap + 1, i, j])
                    taken = _zero_padded(x[n], row, column) * (mask[n, tap, i, j] if use_mask else 1.0)
                    y[n, :, i, j] += weight[:, :, tap // kw, tap % kw] @ taken
    return y + bias[:, None, None]


def _zero_padded(image: torch.Tensor, y: float, x: float) -> torch.Tensor:
    total = torch.zeros(image.shape[0])
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                total += image[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


@pytest.fixture(scope="module", autouse=True)
def _torchvision() -> Iterator[None]:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        name = schema.partition("(")[0]
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
            library.impl(name, globals()[name], "CPU")
    yield
    library._destroy()


IMAGES = tensor(2, 8, 9, 10)
ROIS = torch.tensor([[0.0, 1.0, 1.5, 7.0, 6.0], [1.0, 0.0, 0.0, 9.0, 8.5], [1.0, 3.0, 2.0, 4.0, 7.0]])
BOXES = torch.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0], [6.0, 6.0, 9.0, 9.0], [0.0, 0.0, 4.0, 4.5]])
SCORES = torch.tensor([0.7, 0.9, 0.3, 0.8])


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("opset", [10, 11, 13, NEWEST])
@pytest.mark.parametrize("threshold", [0.3, 0.65])
def test_nms(opset: int, free: bool, threshold: float) -> None:
    check(torch.ops.torchvision.nms.default, BOXES, SCORES, threshold, opset=opset, free=free)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize(("opset", "aligned"), [(10, False), (13, False), (16, True), (NEWEST, False), (NEWEST, True)])
def test_roi_align(opset: int, aligned: bool, free: bool) -> None:
    overload = torch.ops.torchvision.roi_align.default
    check(overload, IMAGES, ROIS, 0.8, 3, 2, 2, aligned, opset=opset, free=free)


@pytest.mark.parametrize("opset", [7, 13, NEWEST])
def test_roi_pool(opset: int) -> None:
    check(torch.ops.torchvision.roi_pool.default, IMAGES, ROIS, 1.0, 3, 2, opset=opset, results=1)


@pytest.mark.parametrize("opset", [16, NEWEST])
def test_ps_roi_align(opset: int) -> None:
    check(torch.ops.torchvision.ps_roi_align.default, IMAGES, ROIS, 0.8, 2, 2, 2, opset=opset, results=1)


@pytest.mark.parametrize("use_mask", [False, True])
@pytest.mark.parametrize("opset", [19, NEWEST])
def test_deform_conv2d(opset: int, use_mask: bool) -> None:
    weight, bias = tensor(3, 8, 3, 2), tensor(3)
    offset, mask = tensor(2, 12, 5, 5, seed=1), tensor(2, 6, 5, 5, seed=2)
    numbers = (2, 2, 1, 1, 1, 2, 1, 1, use_mask)
    overload = torch.ops.torchvision.deform_conv2d.default
    check(overload, IMAGES, weight, offset, mask, bias, *numbers, opset=opset, rtol=1e-3, atol=1e-4)


def test_nms_is_one_operator_and_a_column() -> None:
    proto = check(torch.ops.torchvision.nms.default, BOXES, SCORES, 0.5)
    assert ["Unsqueeze", "Unsqueeze", "NonMaxSuppression", "Gather"] == operators(proto)
