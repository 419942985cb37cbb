# SPDX-License-Identifier: Apache-2.0
"""Linear maps of one axis: pooling, resampling and their gradients are a product with a matrix for each axis."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from .views import swapped


def product_along(op: Emitter, x: ir.Value, axis: int, matrix: np.ndarray | ir.Value) -> ir.Value:
    """Multiply a matrix (after x before) into one axis; the others stay where they are.

    Args:
        op: the emitter.
        x: the value.
        axis: the axis, counted from the end.
        matrix: numbers, or a value of the dtype of `x`.
    """
    if axis == -2:
        left = op.const_like(matrix, x) if isinstance(matrix, np.ndarray) else matrix
        product: ir.Value = op.MatMul(left, x)
        return product
    right = op.const_like(matrix.T, x) if isinstance(matrix, np.ndarray) else op.Transpose(matrix, perm=[1, 0])
    if axis == -1:
        return op.MatMul(x, right)
    return swapped(op, op.MatMul(swapped(op, x, axis, -1), right), axis, -1)
