# SPDX-License-Identifier: Apache-2.0
"""Losses, in every reduction that PyTorch knows."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .arithmetic import is_float
from .creation import positions
from .reductions import reduce, vector_norm

_NONE, _MEAN, _SUM = range(3)


def reduced(op: Emitter, loss: ir.Value, reduction: int) -> ir.Value:
    """Reduce a loss over everything: not at all, to its mean or to its sum."""
    if reduction == _NONE:
        return loss
    return reduce(op, "ReduceMean" if reduction == _MEAN else "ReduceSum", loss, None, False)


# ---- distances -------------------------------------------------------------------------------------------------------


@lowers("aten::mse_loss")
def mse_loss(op: Emitter, x: ir.Value, target: ir.Value, *, reduction: int = _MEAN) -> ir.Value:
    """The squared difference."""
    a, b = op.promote(x, target)
    away = op.Sub(a, b)
    return reduced(op, op.Mul(away, away), reduction)


@lowers("aten::l1_loss")
def l1_loss(op: Emitter, x: ir.Value, target: ir.Value, *, reduction: int = _MEAN) -> ir.Value:
    """The absolute difference."""
    a, b = op.promote(x, target)
    return reduced(op, op.Abs(op.Sub(a, b)), reduction)


def _huber(op: Emitter, x: ir.Value, target: ir.Value, delta: float) -> ir.Value:
    a, b = op.promote(x, target)
    away = op.Abs(op.Sub(a, b))
    near = op.Clip(away, None, delta)
    return op.Mul(near, op.Sub(away, op.Mul(near, 0.5)))


@lowers("aten::huber_loss")
def huber_loss(op: Emitter, x: ir.Value, target: ir.Value, *, reduction: int = _MEAN, delta: float = 1.0) -> ir.Value:
    """Half the square within ``delta`` and a line beyond: with ``m = min(|d|, delta)`` that is ``m (|d| - m / 2)``."""
    return reduced(op, _huber(op, x, target, delta), reduction)


@lowers("aten::smooth_l1_loss")
def smooth_l1_loss(
    op: Emitter, x: ir.Value, target: ir.Value, *, reduction: int = _MEAN, beta: float = 1.0
) -> ir.Value:
    """The Huber loss over ``beta``."""
    if beta == 0:
        return l1_loss(op, x, target, reduction=reduction)
    loss = _huber(op, x, target, beta)
    return reduced(op, loss if beta == 1 else op.Div(loss, beta), reduction)


@lowers("aten::pairwise_distance")
def pairwise_distance(
    op: Emitter, x1: ir.Value, x2: ir.Value, *, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> ir.Value:
    """The norm of the difference along the last dimension."""
    a, b = op.promote(x1, x2)
    return vector_norm(op, op.Add(op.Sub(a, b), eps), p, -1, keepdim)


@lowers("aten::triplet_margin_loss")
def triplet_margin_loss(
    op: Emitter,
    anchor: ir.Value,
    positive: ir.Value,
    negative: ir.Value,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = _MEAN,
) -> ir.Value:
    """By how much the positive is not nearer than the negative by a margin."""
    near = pairwise_distance(op, anchor, positive, p=p, eps=eps)
    far = pairwise_distance(op, anchor, negative, p=p, eps=eps)
    if swap:
        far = op.Min(far, pairwise_distance(op, positive, negative, p=p, eps=eps))
    return reduced(op, op.Relu(op.Add(op.Sub(near, far), margin)), reduction)


# ---- similarity ------------------------------------------------------------------------------------------------------


@lowers("aten::cosine_similarity")
def cosine_similarity(op: Emitter, x1: ir.Value, x2: ir.Value, *, dim: int = 1, eps: float = 1e-8) -> ir.Value:
    """The cosine of the angle between two vectors, whose norms are at least ``eps``."""
    a, b = op.promote_float(x1, x2)
    rank = max(op.rank(a), op.rank(b))
    axis = dim % rank - rank
    if any(op.rank(value) < -axis for value in (a, b)):
        a, b = (op.call("aten::expand", value, size=_broadcast(op, a, b)) for value in (a, b))
    one_of_two = [value for value in (a, b) if op.dim(value, axis) == 1 and op.dim(b if value is a else a, axis) != 1]
    if one_of_two:
        a, b = (op.Expand(value, op.sizes(b if value is a else a)) for value in (a, b))
    product = op.ReduceSum(op.Mul(a, b), [axis], keepdims=0)
    lengths = [op.Clip(op.ReduceL2(value, [axis], keepdims=0), eps, None) for value in (a, b)]
    return op.Div(product, op.Mul(*lengths))


def _broadcast(op: Emitter, a: ir.Value, b: ir.Value) -> list[int]:
    sizes = [size for size in (op.sizes(value) for value in (a, b)) if isinstance(size, list)]
    if len(sizes) < 2:
        raise op.cannot("vectors of different ranks and unknown sizes cannot be compared")
    longest = max(sizes, key=len)
    other = min(sizes, key=len)
    padded = [1] * (len(longest) - len(other)) + list(other)
    return [max(left, right) for left, right in zip(longest, padded, strict=True)]


@lowers("aten::cosine_embedding_loss")
def cosine_embedding_loss(
    op: Emitter, x1: ir.Value, x2: ir.Value, target: ir.Value, *, margin: float = 0.0, reduction: int = _MEAN
) -> ir.Value:
    """One minus the cosine for pairs (target 1), the cosine above a margin for others (target -1)."""
    a, b = op.promote_float(x1, x2)
    product = op.ReduceSum(op.Mul(a, b), [-1], keepdims=0)
    squares = [op.Add(op.ReduceSumSquare(value, [-1], keepdims=0), 1e-12) for value in (a, b)]
    cosine = op.Div(product, op.Sqrt(op.Mul(*squares)))
    apart = op.Where(op.Equal(target, -1), op.Relu(op.Sub(cosine, margin)), 0.0)
    return reduced(op, op.Where(op.Equal(target, 1), op.Sub(1.0, cosine), apart), reduction)


# ---- margins ---------------------------------------------------------------------------------------------------------


@lowers("aten::margin_ranking_loss")
def margin_ranking_loss(
    op: Emitter, x1: ir.Value, x2: ir.Value, target: ir.Value, *, margin: float = 0.0, reduction: int = _MEAN
) -> ir.Value:
    """By how much the order of two inputs misses a margin."""
    a, b, t = op.promote(x1, x2, target)
    gap = op.Mul(t, op.Sub(b, a))
    return reduced(op, op.Relu(gap if margin == 0 else op.Add(gap, margin)), reduction)


@lowers("aten::hinge_embedding_loss")
def hinge_embedding_loss(
    op: Emitter, x: ir.Value, target: ir.Value, *, margin: float = 1.0, reduction: int = _MEAN
) -> ir.Value:
    """The input where the target is not -1, plus the distance to the margin where it is not 1."""
    apart = op.Where(op.Equal(target, 1), 0.0, op.Relu(op.Sub(margin, x)))
    together = op.Where(op.Equal(target, -1), 0.0, x)
    return reduced(op, op.Add(apart, together), reduction)


@lowers("aten::soft_margin_loss")
def soft_margin_loss(op: Emitter, x: ir.Value, target: ir.Value, *, reduction: int = _MEAN) -> ir.Value:
    """``log(1 + exp(-target * x))``."""
    a, b = op.promote(x, target)
    return reduced(op, op.Softplus(op.Neg(op.Mul(a, b))), reduction)


def _classes(op: Emitter, x: ir.Value) -> ir.Value:
    return positions(op, op.size(x, -1))


@lowers("aten::multi_margin_loss")
def multi_margin_loss(
    op: Emitter,
    x: ir.Value,
    target: ir.Value,
    weight: ir.Value | None,
    *,
    p: Operand = 1,
    margin: Operand = 1,
    reduction: int = _MEAN,
) -> ir.Value:
    """The mean over the other classes of how far they come within a margin of the right one."""
    if op.rank(x) == 0:
        x = op.Reshape(x, [1])
    chosen = op.Equal(op.Unsqueeze(target, [-1]) if op.rank(target) < op.rank(x) else target, _classes(op, x))
    right = op.ReduceSum(op.Where(chosen, x, 0.0), [-1], keepdims=1)
    short = op.Relu(op.Add(op.Sub(x, right), margin))
    if p == 2:
        short = op.Mul(short, short)
    if weight is not None:
        short = op.Mul(short, op.ReduceSum(op.Where(chosen, weight, 0.0), [-1], keepdims=1))
    loss = op.ReduceMean(op.Where(chosen, 0.0, short), [-1], keepdims=0)
    wanted = op.result().shape
    if wanted is not None and len(wanted) == op.rank(loss) + 1 and reduction == _NONE:
        loss = op.Unsqueeze(loss, [0])
    return reduced(op, loss, reduction)


@lowers("aten::multilabel_margin_loss_forward")
def multilabel_margin_loss_forward(
    op: Emitter, x: ir.Value, target: ir.Value, *, reduction: int
) -> tuple[ir.Value, ir.Value]:
    """How far other classes come within one of the right classes, which end at the first negative index."""
    if op.rank(x) == 0:
        x, target = op.Reshape(x, [1]), op.Reshape(target, [1])
        loss, is_target = _multilabel(op, x, target)
        return loss, op.Reshape(is_target, [])
    loss, is_target = _multilabel(op, x, target)
    return reduced(op, loss, reduction), is_target


def _multilabel(op: Emitter, x: ir.Value, target: ir.Value) -> tuple[ir.Value, ir.Value]:
    ends = op.CumSum(op.cast(op.Less(target, 0), ir.DataType.INT64), op.i64(-1))
    valid = op.Equal(ends, 0)
    labels = op.Where(valid, target, -1)
    # [..., label, class]: whether the label names the class.
    names = op.Equal(op.Unsqueeze(labels, [-1]), _classes(op, x))
    dtype = x.dtype or ir.DataType.FLOAT
    counts = op.cast(names, dtype)
    is_target = op.Clip(op.ReduceSum(counts, [-2], keepdims=0), None, 1.0)
    of_label = op.ReduceSum(op.Mul(counts, op.Unsqueeze(x, [-2])), [-1], keepdims=1)
    short = op.Relu(op.Add(op.Sub(op.Unsqueeze(x, [-2]), of_label), 1.0))
    counted = op.Mul(op.cast(op.Unsqueeze(valid, [-1]), dtype), op.Unsqueeze(op.Sub(1.0, is_target), [-2]))
    loss = op.ReduceSum(op.ReduceMean(op.Mul(short, counted), [-1], keepdims=0), [-1], keepdims=0)
    return loss, is_target


@lowers("aten::multilabel_margin_loss")
def multilabel_margin_loss(op: Emitter, x: ir.Value, target: ir.Value, *, reduction: int = _MEAN) -> ir.Value:
    """How far other classes come within one of the right classes."""
    return multilabel_margin_loss_forward(op, x, target, reduction=reduction)[0]


# ---- likelihoods -----------------------------------------------------------------------------------------------------


@lowers("aten::binary_cross_entropy")
def binary_cross_entropy(
    op: Emitter, x: ir.Value, target: ir.Value, weight: ir.Value | None = None, *, reduction: int = _MEAN
) -> ir.Value:
    """``-(t log x + (1 - t) log(1 - x))``, the logarithms kept above -100."""
    right = op.Mul(target, op.Clip(op.Log(x), -100.0, None))
    wrong = op.Mul(op.Sub(1.0, target), op.Clip(op.Log(op.Sub(1.0, x)), -100.0, None))
    loss = op.Neg(op.Add(right, wrong))
    return reduced(op, loss if weight is None else op.Mul(loss, weight), reduction)


@lowers("aten::binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    op: Emitter,
    x: ir.Value,
    target: ir.Value,
    weight: ir.Value | None = None,
    pos_weight: ir.Value | None = None,
    *,
    reduction: int = _MEAN,
) -> ir.Value:
    """``(1 - t) x + softplus(-x)``, which cannot overflow."""
    a, t = op.promote(x, target)
    smooth = op.Softplus(op.Neg(a))
    if pos_weight is not None:
        smooth = op.Mul(op.Add(op.Mul(op.Sub(pos_weight, 1.0), t), 1.0), smooth)
    loss = op.Add(op.Mul(op.Sub(1.0, t), a), smooth)
    return reduced(op, loss if weight is None else op.Mul(loss, weight), reduction)


@lowers("aten::kl_div")
def kl_div(op: Emitter, x: ir.Value, target: ir.Value, *, reduction: int = _MEAN, log_target: bool = False) -> ir.Value:
    """``t (log t - x)``, zero where ``t`` is."""
    a, t = op.promote(x, target)
    loss = op.Mul(op.Exp(t), op.Sub(t, a)) if log_target else op.Sub(op.call("aten::xlogy.Tensor", t, t), op.Mul(t, a))
    return reduced(op, loss, reduction)


@lowers("aten::poisson_nll_loss")
def poisson_nll_loss(
    op: Emitter, x: ir.Value, target: ir.Value, *, log_input: bool, full: bool, eps: float, reduction: int
) -> ir.Value:
    """The negative log-likelihood of Poisson counts; ``full`` adds Stirling's term."""
    a, t = op.promote(x, target)
    loss = op.Sub(op.Exp(a), op.Mul(t, a)) if log_input else op.Sub(a, op.Mul(t, op.Log(op.Add(a, eps))))
    if full:
        stirling = op.Add(op.Sub(op.Mul(t, op.Log(t)), t), op.Mul(op.Log(op.Mul(t, 2 * math.pi)), 0.5))
        loss = op.Add(loss, op.Where(op.Greater(t, 1.0), stirling, 0.0))
    return reduced(op, loss, reduction)


def _likelihood(
    op: Emitter, log_probability: ir.Value, target: ir.Value, weight: ir.Value | None, ignore_index: int
) -> tuple[ir.Value, ir.Value]:
    """The weighted loss of each target, zero for ignored ones, and the weight of each."""
    axis = 1 if op.rank(log_probability) > 1 else 0
    dtype = log_probability.dtype or ir.DataType.FLOAT
    index = op.cast(target, ir.DataType.INT64)
    kept = op.Not(op.Equal(index, ignore_index))
    index = op.Where(kept, index, 0)
    picked = op.GatherElements(log_probability, op.Unsqueeze(index, [axis]), axis=axis)
    loss = op.Neg(op.Squeeze(picked, [axis]))
    if weight is None:
        weights = op.cast(kept, dtype)
        return op.Where(kept, loss, 0.0), weights
    weights = op.Where(kept, op.Gather(weight, index, axis=0), 0.0)
    return op.Where(kept, op.Mul(loss, weights), 0.0), weights


def _weighted_mean(op: Emitter, loss: ir.Value, weights: ir.Value) -> ir.Value:
    if op.rank(loss) == 0:
        return op.Div(loss, weights)
    return op.Div(op.ReduceSum(loss, None, keepdims=0), op.ReduceSum(weights, None, keepdims=0))


def _settle(op: Emitter, loss: ir.Value, weights: ir.Value, reduction: int) -> ir.Value:
    return _weighted_mean(op, loss, weights) if reduction == _MEAN else reduced(op, loss, reduction)


@lowers("aten::nll_loss", "aten::nll_loss2d", "aten::nll_loss_nd")
def nll_loss(
    op: Emitter,
    x: ir.Value,
    target: ir.Value,
    weight: ir.Value | None = None,
    *,
    reduction: int = _MEAN,
    ignore_index: int = -100,
) -> ir.Value:
    """Minus the log-probability of the right class."""
    return _settle(op, *_likelihood(op, x, target, weight, ignore_index), reduction)


@lowers("aten::nll_loss_forward", "aten::nll_loss2d_forward")
def nll_loss_forward(
    op: Emitter, x: ir.Value, target: ir.Value, weight: ir.Value | None, *, reduction: int, ignore_index: int
) -> tuple[ir.Value, ir.Value]:
    """``nll_loss`` with the sum of the weights, which is zero where nothing is reduced."""
    loss, weights = _likelihood(op, x, target, weight, ignore_index)
    if reduction == _NONE and op.rank(x) > 1:
        total = op.const(0, x.dtype or ir.DataType.FLOAT)
    else:
        total = weights if op.rank(weights) == 0 else op.ReduceSum(weights, None, keepdims=0)
    return _settle(op, loss, weights, reduction), total


@lowers("aten::cross_entropy_loss")
def cross_entropy_loss(
    op: Emitter,
    x: ir.Value,
    target: ir.Value,
    weight: ir.Value | None = None,
    *,
    reduction: int = _MEAN,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> ir.Value:
    """The likelihood of classes under softmax; targets are classes, or probabilities of all of them."""
    axis = 1 if op.rank(x) > 1 else 0
    log_probability = op.LogSoftmax(x, axis=axis)
    if is_float(target):
        return _soft_cross_entropy(op, log_probability, target, weight, axis, reduction, label_smoothing)
    loss, weights = _likelihood(op, log_probability, target, weight, ignore_index)
    if label_smoothing == 0:
        return _settle(op, loss, weights, reduction)
    every_class = _weighted(op, log_probability, weight, axis)
    kept = op.Not(op.Equal(target, ignore_index))
    even = op.Where(kept, op.Neg(op.ReduceSum(every_class, [axis], keepdims=0)), 0.0)
    share = op.Div(label_smoothing, _class_count(op, x, axis))
    smoothed = op.Add(op.Mul(loss, 1 - label_smoothing), op.Mul(even, share))
    return _settle(op, smoothed, weights, reduction)


def _weighted(op: Emitter, x: ir.Value, weight: ir.Value | None, axis: int) -> ir.Value:
    if weight is None:
        return x
    trailing = op.rank(x) - axis - 1
    column = op.Unsqueeze(weight, list(range(1, trailing + 1))) if trailing else weight
    return op.Mul(x, column)


def _class_count(op: Emitter, x: ir.Value, axis: int) -> ir.Value:
    return op.scalar(op.size(x, axis), x.dtype or ir.DataType.FLOAT)


def _soft_cross_entropy(
    op: Emitter,
    log_probability: ir.Value,
    target: ir.Value,
    weight: ir.Value | None,
    axis: int,
    reduction: int,
    label_smoothing: float,
) -> ir.Value:
    if label_smoothing:
        share = op.Div(label_smoothing, _class_count(op, target, axis))
        target = op.Add(op.Mul(target, 1 - label_smoothing), share)
    product = _weighted(op, op.Mul(log_probability, target), weight, axis)
    loss = op.Neg(op.ReduceSum(product, [axis], keepdims=0))
    return reduced(op, loss, reduction)
