# SPDX-License-Identifier: Apache-2.0
"""Losses whose Python asks for values: what it checks of them is left to the caller, as it is in a file."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule, same


@rule(F.gaussian_nll_loss)
def _gaussian_nll_loss(
    rec: Recorder,
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """``(log var + (input - target)^2 / var) / 2``, without the check that no variance is negative.

    Source of the formula: https://pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html.
    """
    if not isinstance(var, torch.Tensor) or reduction not in ("none", "mean", "sum"):
        return NOT_KEPT
    if var.dim() == input.dim() - 1 and all(same(a, b) for a, b in zip(var.shape, input.shape, strict=False)):
        # One variance for all of the last axis.
        var = var.unsqueeze(-1)
    var = var.clamp(min=eps)
    loss = 0.5 * (torch.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return {"none": lambda: loss, "mean": loss.mean, "sum": loss.sum}[reduction]()
