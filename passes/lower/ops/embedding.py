# SPDX-License-Identifier: Apache-2.0
"""Embeddings: rows of a table by index, one at a time or reduced by bags."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .spatial import wanted


@lowers("aten::embedding")
def embedding(
    op: Emitter,
    weight: ir.Value,
    indices: ir.Value,
    *,
    padding_idx: Any = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> ir.Value:
    """Lower a table look-up; the other arguments only shape the gradient."""
    return op.Gather(weight, indices, axis=0)
