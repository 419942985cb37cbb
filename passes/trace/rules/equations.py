# SPDX-License-Identifier: Apache-2.0
"""Least squares: PyTorch's own shape rule asks for values."""

from __future__ import annotations

from typing import Any

import torch
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import broadcast, rule

_aten = torch.ops.aten
_RANKED, _VALUED = ("gelsy", "gelsd", "gelss"), ("gelsd", "gelss")


@rule(torch.linalg.lstsq)
def _lstsq(rec: Recorder, A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """Keep the call whole; residuals are there where PyTorch gives them for a matrix of full rank."""
    driver = driver or "gelsy"
    if A.dim() < 2 or driver not in ("gels", *_RANKED) or not all(type(size) is int for size in A.shape[-2:]):
        return NOT_KEPT
    rows, columns = A.shape[-2:]
    is_vector = A.dim() - 1 == B.dim() and tuple(A.shape[:-1]) == tuple(B.shape)
    right = (*B.shape, 1) if is_vector else tuple(B.shape)
    batch = broadcast(list(A.shape[:-2]), list(right[:-2]))
    if batch is None or len(right) < 2:
        return NOT_KEPT
    nothing = ([0], A.dtype)
    solution = [*batch, columns] if is_vector else [*batch, columns, right[-1]]
    residuals = ([*batch, right[-1]], A.dtype) if rows > columns and driver != "gelsy" else nothing
    ranks = (list(A.shape[:-2]) if driver in _RANKED else [0], torch.int64)
    values = ([*A.shape[:-2], min(rows, columns)], A.dtype) if driver in _VALUED else nothing
    arguments = (A, B, rcond, driver)
    made = rec.keep(_aten.linalg_lstsq.default, arguments, (solution, A.dtype), residuals, ranks, values)
    kinds: Any = torch.return_types
    return kinds.linalg_lstsq(made)
