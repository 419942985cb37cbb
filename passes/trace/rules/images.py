# SPDX-License-Identifier: Apache-2.0
"""Padding, resampling and sampling grids."""

from __future__ import annotations

from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule, same
from lading.passes.trace.rules.sizes import as_size

_aten = torch.ops.aten
_NN = torch_private.nn_functions


@rule(_NN.pad)
def _pad(rec: Recorder, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    pads = rec.amounts(pad)
    if len(pads) % 2 or len(pads) > 2 * input.dim():
        return NOT_KEPT
    shape = list(input.shape)
    for index in range(len(pads) // 2):
        shape[-1 - index] = shape[-1 - index] + pads[2 * index] + pads[2 * index + 1]
        if type(shape[-1 - index]) is int and shape[-1 - index] < 0:
            return NOT_KEPT
    if mode != "constant" and (value is not None and value != 0.0):
        return NOT_KEPT
    return rec.keep(_aten.pad.default, (input, pads, mode, value), (shape, input.dtype))


def _upsample_rule(name: str, rank: int, corners: bool) -> None:
    overload = getattr(_aten, name).vec

    def upsample(rec: Recorder, input: Any, *rest: Any) -> Any:
        if len(rest) != (3 if corners else 2) or input.dim() != rank + 2:
            return NOT_KEPT  # the overloads with one scale for each dimension
        size, scales = rest[0], rest[-1]
        if isinstance(scales, (int, float)) or (size is None) == (scales is None):
            return NOT_KEPT
        if size is not None:
            spatial = as_size(list(size))
            rest = (spatial, *rest[1:])
        else:
            spatial = [_scaled(length, factor) for length, factor in zip(input.shape[2:], scales, strict=True)]
        return rec.keep(overload, (input, *rest), ((*input.shape[:2], *spatial), input.dtype))

    rule(getattr(_NN, name))(upsample)


def _scaled(length: Any, factor: float) -> Any:
    if float(factor).is_integer():
        return length * int(factor)
    return torch.sym_int(length * factor)


for _name, _rank, _corners in (
    ("upsample_nearest1d", 1, False),
    ("upsample_nearest2d", 2, False),
    ("upsample_nearest3d", 3, False),
    ("_upsample_nearest_exact1d", 1, False),
    ("_upsample_nearest_exact2d", 2, False),
    ("_upsample_nearest_exact3d", 3, False),
    ("upsample_linear1d", 1, True),
    ("upsample_bilinear2d", 2, True),
    ("upsample_trilinear3d", 3, True),
    ("upsample_bicubic2d", 2, True),
    ("_upsample_bilinear2d_aa", 2, True),
    ("_upsample_bicubic2d_aa", 2, True),
):
    _upsample_rule(_name, _rank, _corners)


@rule(torch.affine_grid_generator)
def _affine_grid(rec: Recorder, theta: Any, size: Any, align_corners: bool) -> Any:
    sizes = list(size)
    if len(sizes) not in (4, 5) or theta.dim() != 3:
        return NOT_KEPT
    shape = (sizes[0], *sizes[2:], len(sizes) - 2)
    args = (theta, sizes, align_corners)
    return rec.keep(_aten.affine_grid_generator.default, args, (shape, theta.dtype))


@rule(torch.grid_sampler)
def _grid_sampler(rec: Recorder, input: Any, grid: Any, *how: Any) -> Any:
    overload = {4: _aten.grid_sampler_2d.default, 5: _aten.grid_sampler_3d.default}.get(input.dim())
    fits = overload is not None and grid.dim() == input.dim() and len(how) == 3
    if not fits or input.dtype != grid.dtype or not same(input.shape[0], grid.shape[0]):
        return NOT_KEPT
    return rec.keep(overload, (input, grid, *how), ((*input.shape[:2], *grid.shape[1:-1]), input.dtype))
