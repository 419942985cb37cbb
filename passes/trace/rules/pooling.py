# SPDX-License-Identifier: Apache-2.0
"""Pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule, sizes_of

_aten = torch.ops.aten
_NN = torch_private.nn_functions


def _pooled(size: Any, kernel: int, stride: int, padding: int, dilation: int) -> Any:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _max_pool_rule(rank: int, overload: Any, functions: Sequence[Any], plain: Callable[..., Any]) -> None:
    def max_pool(
        rec: Recorder,
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        if return_indices or input.dim() not in (rank + 1, rank + 2):
            return NOT_KEPT
        kernel = sizes_of(kernel_size, rank)
        steps = sizes_of(stride, rank) if stride is not None and stride != [] else kernel
        pads, spread = sizes_of(padding, rank), sizes_of(dilation, rank)
        if any(pad * 2 > size for pad, size in zip(pads, kernel, strict=True)):
            return NOT_KEPT
        args = (input, kernel, steps, pads, spread, ceil_mode)
        if ceil_mode:
            return rec.keep_run(overload, args, lambda: plain(input, kernel, steps, pads, spread, ceil_mode))
        spatial = [_pooled(*item) for item in zip(input.shape[-rank:], kernel, steps, pads, spread, strict=True)]
        if any(type(size) is int and size <= 0 for size in spatial):
            return NOT_KEPT
        return rec.keep(overload, args, ((*input.shape[:-rank], *spatial), input.dtype))

    rule(*functions)(max_pool)


_max_pool_rule(1, _aten.max_pool1d.default, (F.max_pool1d, torch.max_pool1d), torch.max_pool1d)
_max_pool_rule(2, _aten.max_pool2d.default, (F.max_pool2d, torch.max_pool2d), torch.max_pool2d)
_max_pool_rule(3, _aten.max_pool3d.default, (F.max_pool3d, torch.max_pool3d), torch.max_pool3d)


@rule(torch.avg_pool1d)
def _avg_pool1d(
    rec: Recorder,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    kernel = sizes_of(kernel_size, 1)
    steps = sizes_of(stride, 1) if stride is not None and stride not in ([], ()) else kernel
    args = (input, kernel, steps, sizes_of(padding, 1), ceil_mode, count_include_pad)
    return rec.keep_run(_aten.avg_pool1d.default, args, lambda: torch.avg_pool1d(*args))


def _adaptive_rule(rank: int, overload: Any, function: Any) -> None:
    def adaptive(rec: Recorder, input: Any, output_size: Any) -> Any:
        if input.dim() not in (rank + 1, rank + 2):
            return NOT_KEPT
        sizes = sizes_of(output_size, rank)
        return rec.keep(overload, (input, sizes), ((*input.shape[:-rank], *sizes), input.dtype))

    rule(function)(adaptive)


_adaptive_rule(1, _aten.adaptive_avg_pool1d.default, torch.adaptive_avg_pool1d)
_adaptive_rule(2, _aten.adaptive_avg_pool2d.default, _NN.adaptive_avg_pool2d)
_adaptive_rule(3, _aten.adaptive_avg_pool3d.default, _NN.adaptive_avg_pool3d)


@rule(torch.adaptive_max_pool1d)
def _adaptive_max_pool1d(rec: Recorder, input: Any, output_size: Any) -> Any:
    sizes = sizes_of(output_size, 1)
    shape = (*input.shape[:-1], *sizes)
    return rec.keep(_aten.adaptive_max_pool1d.default, (input, sizes), (shape, input.dtype), (shape, torch.int64))
