# SPDX-License-Identifier: Apache-2.0
"""The loss of connectionist temporal classification, by the forward recursion in a Loop over time.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006, section 4.1, in logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .elimination import body_of, dtype_of, loop
from .expanding import expand_like
from .views import flat

_INT64 = ir.DataType.INT64


def _log_sum(op: Emitter, *parts: ir.Value) -> ir.Value:
    """Add up numbers that are given by their logarithms, minus infinity included."""
    largest = parts[0]
    for part in parts[1:]:
        largest = op.Max(largest, part)
    shift = op.Where(op.Equal(largest, -math.inf), 0.0, largest)
    total = op.Exp(op.Sub(parts[0], shift))
    for part in parts[1:]:
        total = op.Add(total, op.Exp(op.Sub(part, shift)))
    return op.Add(op.Log(total), shift)


def _moved_on(op: Emitter, x: ir.Value, count: int) -> ir.Value:
    """Move columns to the right; minus infinity comes in."""
    padded = op.Pad(x, op.i64([0, count, 0, 0]), op.const(-math.inf, dtype_of(x)))
    return op.Slice(padded, [0], [-count], [1])


def _padded(op: Emitter, targets: ir.Value, lengths: ir.Value, batch: int) -> ir.Value:
    """Return targets that follow on each other as rows of the length of the longest."""
    if batch == 1:
        return op.Unsqueeze(targets, [0])
    begins = op.Sub(op.CumSum(lengths, op.i64(0)), lengths)
    longest = op.ReduceMax(lengths, [0], keepdims=0)
    places = op.Add(op.Unsqueeze(begins, [1]), op.Range(op.i64(0), longest, op.i64(1)))
    last = op.Sub(op.scalar(op.size(targets, 0)), op.i64(1))
    return op.Gather(targets, op.Min(places, last), axis=0)


def _with_blanks(op: Emitter, targets: ir.Value, blank: int) -> ir.Value:
    """Put a blank before each label of each row, and one behind the last."""
    label = op.Unsqueeze(targets, [2])
    blanks = expand_like(op, op.i64([[[blank]]]), label)
    pairs = op.Reshape(op.Concat(blanks, label, axis=2), op.i64([0, -1]))
    return op.Pad(pairs, op.i64([0, 0, 0, 1]), op.i64(blank))


def losses(
    op: Emitter, scores: ir.Value, targets: ir.Value, times: ir.Value, lengths: ir.Value, blank: int
) -> ir.Value:
    """Return the loss of each sequence.

    Args:
        op: the emitter.
        scores: logarithms of probabilities, ``(time, batch, class)``.
        targets: labels, ``(batch, length)``, or one row after the other.
        times: how many steps of each sequence count, ``(batch,)``.
        lengths: how many labels of each row count, ``(batch,)``.
        blank: the class that stands for no label.
    """
    dtype = dtype_of(scores)
    if op.rank(targets) == 1:
        batch = op.dim(scores, 1)
        targets = _padded(op, targets, lengths, 0 if batch is None else batch)
    # What lies behind a row's own labels is any number.
    classes = op.Sub(op.scalar(op.size(scores, 2)), op.i64(1))
    labels = _with_blanks(op, op.Max(op.Min(targets, classes), op.i64(0)), blank)
    width = op.size(labels, 1)
    index = op.i64(np.arange(width)) if isinstance(width, int) else op.Range(op.i64(0), op.scalar(width), op.i64(1))
    # A label may follow directly on the one before it, unless the two are the same.
    before = op.Slice(op.Pad(labels, op.i64([0, 2, 0, 0]), op.i64(blank)), [0], [-2], [1])
    skips = op.And(op.Not(op.Equal(labels, blank)), op.Not(op.Equal(labels, before)))
    skips = op.And(skips, op.Greater(index, 1))
    column = op.Unsqueeze(lengths, [1])
    never = op.const(-math.inf, dtype)
    first = op.GatherElements(op.Gather(scores, op.i64(0), axis=0), labels, axis=1)
    may_begin = op.Or(op.Equal(index, 0), op.And(op.Equal(index, 1), op.Greater(column, 0)))
    begun = op.Where(may_begin, first, never)
    body = body_of(op, [begun])
    turn, _, now = body.inputs
    time = body.Add(turn, op.i64(1))
    score = body.GatherElements(body.Gather(scores, time, axis=0), labels, axis=1)
    reached = _log_sum(body, now, _moved_on(body, now, 1), body.Where(skips, _moved_on(body, now, 2), never))
    counts = body.Less(time, op.Unsqueeze(times, [1]))
    following = body.Where(counts, body.Add(reached, score), now)
    steps = op.size(scores, 0)
    rounds = op.i64(steps - 1) if isinstance(steps, int) else op.Sub(op.scalar(steps), op.i64(1))
    (done,) = loop(op, rounds, [begun], body, [following])
    ends = op.Mul(column, 2)
    at_end = op.Where(op.Equal(index, ends), done, never)
    at_label = op.Where(op.Equal(index, op.Sub(ends, 1)), done, never)
    best = [op.ReduceMax(part, [1], keepdims=0) for part in (at_end, at_label)]
    return op.Neg(_log_sum(op, *best))


def _lengths(op: Emitter, given: ir.Value | Sequence[Any]) -> ir.Value:
    if isinstance(given, ir.Value):
        return op.cast(flat(op, given), _INT64)
    return op.i64(op.int_vector(given))


def _reduced(op: Emitter, found: ir.Value, lengths: ir.Value, reduction: int, zero_infinity: bool) -> ir.Value:
    if zero_infinity:
        found = op.Where(op.Equal(found, math.inf), 0.0, found)
    if reduction == 2:
        return op.ReduceSum(found, [0], keepdims=0)
    if reduction == 1:
        shares = op.Div(found, op.cast(op.Max(lengths, op.i64(1)), dtype_of(found)))
        return op.ReduceMean(shares, [0], keepdims=0)
    return found


@lowers("aten::ctc_loss.IntList")
def ctc_loss(
    op: Emitter,
    scores: ir.Value,
    targets: ir.Value,
    *,
    input_lengths: Sequence[Any],
    target_lengths: Sequence[Any],
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> ir.Value:
    """The loss of sequences whose lengths are known."""
    return _ctc_loss(op, scores, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)


@lowers("aten::ctc_loss.Tensor")
def ctc_loss_of_tensors(
    op: Emitter,
    scores: ir.Value,
    targets: ir.Value,
    input_lengths: ir.Value,
    target_lengths: ir.Value,
    *,
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> ir.Value:
    """The loss of sequences whose lengths are tensors."""
    return _ctc_loss(op, scores, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)


def _ctc_loss(
    op: Emitter,
    scores: ir.Value,
    targets: ir.Value,
    times: ir.Value | Sequence[Any],
    lengths: ir.Value | Sequence[Any],
    blank: int,
    reduction: int,
    zero_infinity: bool,
) -> ir.Value:
    single = op.rank(scores) == 2
    if single:
        scores = op.Unsqueeze(scores, [1])
    steps, labels = _lengths(op, times), _lengths(op, lengths)
    found = losses(op, scores, op.cast(targets, _INT64), steps, labels, blank)
    result = _reduced(op, found, labels, reduction, zero_infinity)
    return op.Squeeze(result, [0]) if single and reduction == 0 else result
