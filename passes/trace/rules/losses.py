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


@rule(torch.ctc_loss)
def _ctc_loss(
    rec: Recorder,
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> Any:
    """Keep the call whole: the shape of what PyTorch keeps for gradients depends on the lengths."""
    tensors = [isinstance(lengths, torch.Tensor) for lengths in (input_lengths, target_lengths)]
    if log_probs.dim() not in (2, 3) or any(tensors) != all(tensors):
        return NOT_KEPT
    overload = torch.ops.aten.ctc_loss.Tensor if all(tensors) else torch.ops.aten.ctc_loss.IntList
    shape = [log_probs.shape[1]] if reduction == 0 and log_probs.dim() == 3 else []
    arguments = (log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
    return rec.keep(overload, arguments, (shape, log_probs.dtype))


@rule(F.linear_cross_entropy)
def _linear_cross_entropy(rec: Recorder, *args: Any, options: Any = None, **kwargs: Any) -> Any:
    """Compute in one piece what the options ask to compute in chunks: they save memory and change no number."""
    return NOT_KEPT if options is None else F.linear_cross_entropy(*args, **kwargs)
