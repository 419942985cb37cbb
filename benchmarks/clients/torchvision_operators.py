# SPDX-License-Identifier: Apache-2.0
"""The operators of torchvision's C++ library, declared in Python, for a PyTorch that its wheels were not built for.

The wheels of torchvision on PyPI need PyTorch's build for GPUs. Beside that for CPUs their library does not load, and
neither do torchvision and what imports it. The kernels here are plain and slow, and serve eager alone: an exported file
has operators of ONNX in their place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
    "roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width) "
    "-> (Tensor, Tensor)",
    "ps_roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio) -> (Tensor, Tensor)",
    "ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width) "
    "-> (Tensor, Tensor)",
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, "
    "SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, "
    "SymInt offset_groups, bool use_mask) -> Tensor",
    "_roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "SymInt batch_size, SymInt channels, SymInt height, SymInt width, int sampling_ratio, bool aligned) -> Tensor",
    "_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale, "
    "SymInt pooled_height, SymInt pooled_width, int sampling_ratio, SymInt batch_size, SymInt channels, SymInt height, "
    "SymInt width) -> Tensor",
    "_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width) -> Tensor",
    "_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale, "
    "SymInt pooled_height, SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width) "
    "-> Tensor",
    "_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qroi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
    "_cuda_version() -> int",
)
_MARK = "import torchvision_operators"
_library: Any = None


def declare() -> None:
    """Declare the operators; those that detection models run have kernels."""
    global _library
    if _library is None:
        _library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            _library.define(schema)
        _library.impl("nms", nms, "CPU")
        _library.impl("roi_align", roi_align, "CPU")
        _library.impl("_cuda_version", lambda: -1, "CompositeExplicitAutograd")


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Keep each box that overlaps no better one by more than the threshold, the best first."""
    left, top, right, bottom = boxes.double().unbind(1)
    areas = (right - left) * (bottom - top)
    order = scores.sort(stable=True, descending=True).indices
    kept = []
    while order.numel():
        best, order = order[0], order[1:]
        kept.append(best)
        width = (right[order].minimum(right[best]) - left[order].maximum(left[best])).clamp(min=0)
        height = (bottom[order].minimum(bottom[best]) - top[order].maximum(top[best])).clamp(min=0)
        shared = width * height
        order = order[shared / (areas[order] + areas[best] - shared) <= iou_threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


def roi_align(
    x: torch.Tensor,
    rois: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """Average regions at interpolated points, as torchvision does itself where its library is missing."""
    from torchvision.ops.roi_align import _roi_align

    return _roi_align(x, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned)


def mend(site_packages: Path) -> None:
    """Let the torchvision that is installed in a folder declare its operators by this module when it is imported."""
    extension = site_packages / "torchvision" / "extension.py"
    text = extension.read_text(encoding="utf-8")
    if _MARK not in text:
        here = Path(__file__).parent
        (site_packages / "torchvision_operators.pth").write_text(f"{here}\n", encoding="utf-8")
        added = f"\n\n{_MARK}\n\ntorchvision_operators.declare()\n\n\ndef _has_ops():\n    return True\n"
        extension.write_text(text + added, encoding="utf-8")
