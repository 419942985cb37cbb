# SPDX-License-Identifier: Apache-2.0
"""The gradients of resampling: the transposed products with the weights that resampling itself takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from ..spellings.resampling import Manner
from .axis_products import product_along
from .resampling import CUBIC, LANCZOS, LINEAR, Filter, antialiasing_matrix, nearest_places

Weights = Callable[[int, int, float | None], np.ndarray]
"""From the size of the input, that of the result and the factor that the caller gave (or None) to input x result."""


def _nearest(exact: bool) -> Weights:
    def weights(size: int, length: int, factor: float | None) -> np.ndarray:
        places = nearest_places(size, length, factor, 0.5 if exact else 0.0)
        return (np.arange(size)[:, None] == places).astype(np.float64)

    return weights


def _interpolated(mode: str, align_corners: bool) -> Weights:
    coordinates = "align_corners" if align_corners else "half_pixel"
    manner = Manner(mode=mode, coordinate_transformation_mode=coordinates)

    def weights(size: int, length: int, factor: float | None) -> np.ndarray:
        return manner.weights(size, length, length / size if factor is None else factor)

    return weights


def _antialiased(kind: Filter, align_corners: bool) -> Weights:
    def weights(size: int, length: int, factor: float | None) -> np.ndarray:
        return antialiasing_matrix(size, length, factor, align_corners, kind).T

    return weights


def _back(op: Emitter, g: ir.Value, input_size: Any, scales: Sequence[Any], weights: Weights) -> ir.Value:
    """Multiply each axis by its weights, which are constants.

    Raises:
        Inexpressible: a size of the planes, or a factor, is only known at run time.
    """
    for index, factor in enumerate(scales):
        axis = index - len(scales)
        size, length = input_size[axis], op.dim(g, axis)
        if isinstance(size, ir.Value) or length is None or isinstance(factor, ir.Value):
            raise op.cannot("the gradient of resampling needs sizes that are static")
        if size != length or factor not in (None, 1.0):
            g = product_along(op, g, axis, weights(size, length, factor))
    return g


def _register(name: str, axes: int, weights_of: Callable[[bool], Weights]) -> None:
    letters = ("d", "h", "w")[3 - axes :]

    @lowers(f"aten::{name}_backward")
    def backward(
        op: Emitter,
        grad_output: ir.Value,
        *,
        output_size: Any,
        input_size: Any,
        align_corners: bool = False,
        **scales: Any,
    ) -> ir.Value:
        stated = [scales.get("scales" if axes == 1 else f"scales_{letter}") for letter in letters]
        return _back(op, grad_output, input_size, stated, weights_of(align_corners))


for _axes in (1, 2, 3):
    _register(f"upsample_nearest{_axes}d", _axes, lambda align: _nearest(False))
    _register(f"_upsample_nearest_exact{_axes}d", _axes, lambda align: _nearest(True))
for _name, _axes in (("linear1d", 1), ("bilinear2d", 2), ("trilinear3d", 3)):
    _register(f"upsample_{_name}", _axes, lambda align: _interpolated("linear", align))
_register("upsample_bicubic2d", 2, lambda align: _interpolated("cubic", align))
for _name, _kind in (("bilinear", LINEAR), ("bicubic", CUBIC), ("lanczos", LANCZOS)):
    _register(f"_upsample_{_name}2d_aa", 2, lambda align, kind=_kind: _antialiased(kind, align))  # type: ignore[misc]
