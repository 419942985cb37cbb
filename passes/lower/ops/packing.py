# SPDX-License-Identifier: Apache-2.0
"""Packed sequences: the rows of padded sequences without the padding, time step by time step.

Sequences are sorted by falling length, so step ``t`` holds the first ``batch_sizes[t]`` of them
(https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html).  ONNX has no such form: its
recurrent operators take padded sequences with their lengths.  A packed value therefore remembers the padded one that
it came from; where the two meet again, nothing is packed at all and the nodes that would have packed are dead.
"""

from __future__ import annotations

from typing import Any

import attrs
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers

_PACKED = "lading.packed"


@attrs.frozen
class Packed:
    """Padded sequences (time x batch x ...), how long each is, and which places are real (time x batch)."""

    padded: ir.Value
    lengths: ir.Value
    real: ir.Value


def _counter(op: Emitter, count: Any) -> ir.Value:
    return op.Range(op.i64(0), op.scalar(count), op.i64(1))


def real_places(op: Emitter, lengths: ir.Value, steps: Any) -> ir.Value:
    """Return which steps each sequence has (time x batch), for int64 lengths."""
    return op.Less(op.Unsqueeze(_counter(op, steps), [1]), op.Unsqueeze(lengths, [0]))


def unpacked(op: Emitter, data: ir.Value, batch_sizes: ir.Value) -> Packed:
    """Return the padded sequences of packed ones: those they came from, or else gathered anew."""
    known = data.meta.get(_PACKED)
    if known is not None:
        return known
    batch_sizes = op.cast(batch_sizes, ir.DataType.INT64)
    batch = op.Slice(batch_sizes, op.i64([0]), op.i64([1]), op.i64([0]))
    row = _counter(op, batch)
    real = op.Less(op.Unsqueeze(row, [0]), op.Unsqueeze(batch_sizes, [1]))
    lengths = op.ReduceSum(op.cast(real, ir.DataType.INT64), op.i64([0]), keepdims=0)
    starts = op.CumSum(batch_sizes, op.i64(0), exclusive=1)
    places = op.Add(op.Unsqueeze(starts, [1]), op.Unsqueeze(row, [0]))
    places = op.Where(real, places, op.i64(0))
    return Packed(op.Gather(data, places, axis=0), lengths, real)


def packed_like(op: Emitter, packed: Packed, padded: ir.Value) -> ir.Value:
    """Pack padded sequences (time x batch x features) as others are."""
    rows = op.Reshape(padded, op.i64([-1, *_trailing(op, padded)]))
    data = op.Compress(rows, op.Reshape(packed.real, op.i64([-1])), axis=0)
    data.meta[_PACKED] = attrs.evolve(packed, padded=padded)
    return data


def _trailing(op: Emitter, x: ir.Value) -> list[int]:
    sizes = [op.dim(x, axis) for axis in range(2, op.rank(x))]
    if None in sizes:
        raise op.cannot("the features of packed sequences are only known at run time")
    return [size for size in sizes if size is not None]


@lowers("aten::_pack_padded_sequence")
def pack_padded_sequence(
    op: Emitter, x: ir.Value, lengths: ir.Value, *, batch_first: bool
) -> tuple[ir.Value, ir.Value]:
    """Lower the packing of padded sequences, which are cut to the longest length."""
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, *range(2, op.rank(x))])
    lengths = op.cast(lengths, ir.DataType.INT64)
    steps = op.ReduceMax(lengths, op.i64([0]), keepdims=1)
    x = op.Slice(x, op.i64([0]), steps, op.i64([0]))
    real = real_places(op, lengths, steps)
    batch_sizes = op.ReduceSum(op.cast(real, ir.DataType.INT64), op.i64([1]), keepdims=0)
    return packed_like(op, Packed(x, lengths, real), x), batch_sizes


@lowers("aten::_pad_packed_sequence")
def pad_packed_sequence(
    op: Emitter, data: ir.Value, batch_sizes: ir.Value, *, batch_first: bool, padding_value: Any, total_length: Any
) -> tuple[ir.Value, ir.Value]:
    """Lower the unpacking of packed sequences."""
    packed = unpacked(op, data, batch_sizes)
    rank = op.rank(packed.padded)
    real = op.Unsqueeze(packed.real, op.i64(list(range(2, rank)))) if rank > 2 else packed.real
    padded = op.Where(real, packed.padded, op.scalar(padding_value, data.dtype))
    if not isinstance(total_length, int) or total_length > 0:
        missing = op.Sub(op.vector(total_length), op.Shape(padded, start=0, end=1))
        pads = op.int_vector([*([0] * rank), missing, *([0] * (rank - 1))])
        padded = op.Pad(padded, pads, op.scalar(padding_value, data.dtype))
    if batch_first:
        padded = op.Transpose(padded, perm=[1, 0, *range(2, rank)])
    return padded, packed.lengths
