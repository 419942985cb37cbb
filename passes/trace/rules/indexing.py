# SPDX-License-Identifier: Apache-2.0
"""Classes as indices, and indices along a dimension."""

from __future__ import annotations

from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule, same

_aten = torch.ops.aten
_NN = torch_private.nn_functions


@rule(_NN.one_hot)
def _one_hot(rec: Recorder, input: Any, num_classes: int = -1) -> Any:
    if num_classes == -1:
        return NOT_KEPT
    return rec.keep(_aten.one_hot.default, (input, num_classes), ((*input.shape, num_classes), torch.int64))


@rule(torch.take_along_dim, torch.Tensor.take_along_dim)
def _take_along_dim(rec: Recorder, input: Any, indices: Any, dim: Any = None, *, out: Any = None) -> Any:
    if dim is None or out is not None or input.dim() != indices.dim():
        return NOT_KEPT
    axis = dim % input.dim()
    others = [index for index in range(input.dim()) if index != axis]
    if not all(same(input.shape[index], indices.shape[index]) for index in others):
        return NOT_KEPT
    return input.gather(dim, indices)
