# SPDX-License-Identifier: Apache-2.0
"""Packed sequences: their sizes depend on the lengths, which PyTorch reads from memory.

Sequences packed from `lengths` hold `sum(lengths)` rows in `max(lengths)` steps; the first of their batch sizes is the
number of sequences (https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html).
"""

from __future__ import annotations

from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule

_aten = torch.ops.aten
_VF = torch_private.variable_functions


@rule(_VF._pack_padded_sequence)
def _pack_padded_sequence(rec: Recorder, input: Any, lengths: Any, batch_first: bool) -> Any:
    batch, longest = (input.shape[0], input.shape[1]) if batch_first else (input.shape[1], input.shape[0])
    known = rec.known(lengths)
    if known is not None and type(batch) is int:
        with torch_private.beneath_modes():
            rows: Any = int(known.sum())
            steps: Any = int(known.max())
        rec.note_value(f"lengths of {batch} sequences")
    else:
        rows, steps = (torch_private.unbacked_integer(rec.axes, size=True) for _ in range(2))
        torch._check(steps <= longest)
    data, batch_sizes = rec.keep(
        _aten._pack_padded_sequence.default,
        (input, lengths, batch_first),
        ((rows, *input.shape[2:]), input.dtype),
        ((steps,), torch.int64),
    )
    rec.know_members(batch_sizes, {0: batch})
    return data, batch_sizes


@rule(_VF._pad_packed_sequence)
def _pad_packed_sequence(
    rec: Recorder, data: Any, batch_sizes: Any, batch_first: bool, padding_value: Any, total_length: Any
) -> Any:
    batch = rec.known_member(batch_sizes, 0)
    if batch is None:  # a packed sequence that the model has put together by itself
        batch = batch_sizes[0].item()
    length = batch_sizes.shape[0]
    leading = (batch, total_length) if batch_first else (total_length, batch)
    asked = -1 if total_length is length or _same(total_length, length) else total_length
    return rec.keep(
        _aten._pad_packed_sequence.default,
        (data, batch_sizes, batch_first, padding_value, asked),
        ((*leading, *data.shape[1:]), data.dtype),
        ((batch,), torch.int64),
    )


def _same(left: Any, right: Any) -> bool:
    """Whether two sizes are one symbol: TorchScript hands on another object for it."""
    return (
        isinstance(left, torch.SymInt) and isinstance(right, torch.SymInt) and bool(left.node.expr == right.node.expr)
    )
