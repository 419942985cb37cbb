# SPDX-License-Identifier: Apache-2.0
"""Values of tensors that the model's Python reads."""

from __future__ import annotations

from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.failures import left_pytorch
from lading.passes.trace.for_statements import looping_frame
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule, same


@rule(torch.Tensor.tolist)
def _to_list(rec: Recorder, input: Any) -> Any:
    known = rec.known(input)
    if known is not None:
        with torch_private.beneath_modes():
            values = known.tolist()
        rec.note_value(values)
        return values
    if input.dim() == 0:
        return input.item()
    return [_to_list(rec, input[index]) for index in range(input.shape[0])]


@rule(torch.Tensor.numpy, torch.Tensor.__array__)
def _to_numpy(rec: Recorder, input: Any, *args: Any, **kwargs: Any) -> Any:
    known = rec.known(input)
    if known is None and rec.shadow is not None:
        known = rec.shadow.read(rec, input)
    elif known is not None:
        rec.note_value(f"array of shape {tuple(known.shape)}")
    if known is None:
        raise left_pytorch(rec.places.line())
    with torch_private.beneath_modes():
        return known.detach().numpy().copy()


@rule(torch.Tensor.__iter__)
def _iterated(rec: Recorder, input: Any) -> Any:
    members = _members(rec, input)
    return members if members is NOT_KEPT else iter(members)


@rule(torch.Tensor.unbind, torch.unbind)
def _members(rec: Recorder, input: Any, dim: int = 0) -> Any:
    """Take a tensor of a length that only the run knows apart: PyTorch asks for that number too late to be told it."""
    size = input.shape[dim] if input.dim() else 1
    if not isinstance(size, torch.SymInt) or size.node.has_hint():
        return NOT_KEPT
    frame = looping_frame()
    if frame is not None and dim == 0 and rec.rows is not None:
        return rec.rows(input, frame)
    return tuple(input.select(dim, index) for index in range(int(size)))


@rule(torch.Tensor.data_ptr, torch.Tensor.__dlpack__)
def _address(rec: Recorder, input: Any, *args: Any, **kwargs: Any) -> Any:
    raise left_pytorch(rec.places.line())


@rule(torch.Tensor.__deepcopy__)
def _deep_copy(rec: Recorder, input: Any, memo: Any) -> Any:
    return input.clone()


@rule(torch.equal, torch.Tensor.equal)
def _equal(rec: Recorder, input: Any, other: Any) -> Any:
    """Settle by shapes, and for a tensor and itself; what is left depends on the values.

    A tensor differs from itself where it holds NaN: that it equals itself is noted as an answer that was baked in.
    """
    if input.dtype != other.dtype:
        return NOT_KEPT
    if input.dim() != other.dim() or not all(map(same, input.shape, other.shape)):
        return False
    if rec.known(input) is not None and rec.known(other) is not None:
        return NOT_KEPT
    if rec.is_one(input, other):
        rec.note_value(True)
        return True
    return torch.eq(input, other).all().item()
