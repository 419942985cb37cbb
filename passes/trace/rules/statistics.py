# SPDX-License-Identifier: Apache-2.0
"""Functions that PyTorch computes by way of plain numbers, written out as operators on tensors."""

from __future__ import annotations

from typing import Any

import torch
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule


@rule(torch.cov, torch.Tensor.cov)
def _cov(rec: Recorder, input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Write a covariance as https://pytorch.org/docs/stable/generated/torch.cov.html defines it.

    PyTorch reads the sum of the weights from memory, to warn of too few observations.
    """
    if input.dim() > 2 or input.dtype is torch.bool:
        return NOT_KEPT
    x = input if input.dim() == 2 else input.reshape(1, -1)
    x = x if x.is_floating_point() or x.is_complex() else x.to(torch.get_default_dtype())
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    if weights is None:
        count: Any = x.shape[1]
        average = x.mean(1)
    else:
        count = weights.sum()
        average = (x * weights).sum(1) / count
    if correction == 0:
        norm = count
    elif aweights is None:
        norm = count - correction
    else:
        norm = count - correction * (weights * aweights).sum() / count
    norm = torch.clamp(norm, min=0) if isinstance(norm, torch.Tensor) else torch.sym_max(norm, 0)
    centred = x - average.unsqueeze(1)
    weighted = centred if weights is None else centred * weights
    result = torch.mm(centred, weighted.t().conj()) / norm
    return result.squeeze()


@rule(torch.corrcoef, torch.Tensor.corrcoef)
def _corrcoef(rec: Recorder, input: Any) -> Any:
    covariance = _cov(rec, input)
    if covariance is NOT_KEPT or input.is_complex():
        return NOT_KEPT
    if covariance.dim() == 0:
        return covariance / covariance
    deviation = covariance.diagonal().sqrt()
    return (covariance / deviation.unsqueeze(1) / deviation.unsqueeze(0)).clamp(-1, 1)


@rule(torch.vander)
def _vander(rec: Recorder, x: Any, N: int | None = None, increasing: bool = False) -> Any:
    if x.dim() != 1 or N in (0, 1):
        return NOT_KEPT
    powers = torch.linalg.vander(x) if N is None else torch.linalg.vander(x, N=N)
    return powers if increasing else powers.flip(1)


@rule(torch.Tensor.fill_diagonal_)
def _fill_diagonal(rec: Recorder, input: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Fill by a mask: PyTorch would stride over memory, whose layout a graph does not have."""
    if input.dim() < 2:
        return NOT_KEPT
    counters = [
        torch.arange(size).reshape([-1 if axis == other else 1 for other in range(input.dim())])
        for axis, size in enumerate(input.shape)
    ]
    if input.dim() == 2 and wrap:
        columns = input.shape[1]
        mask = (counters[0] * columns + counters[1]) % (columns + 1) == 0
    else:
        mask = counters[0] == counters[1]
        for counter in counters[2:]:
            mask = mask & (counter == counters[0])
    return input.masked_fill_(mask, fill_value)
