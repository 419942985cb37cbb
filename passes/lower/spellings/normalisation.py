# SPDX-License-Identifier: Apache-2.0
"""Softmax and its kin, and the normalisations by mean and variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from ..registry import spells
from .axes import moved_back, moved_to_the_end
from .forms import alike, as_is, dtype_of

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

_SMALL_FLOATS = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _register_softmax(op_type: str) -> None:
    as_is(op_type, since=13)

    @spells(op_type, since=7)
    def of_the_last_axis(op: Emitter, input: Operand, *, axis: int = -1) -> ir.Value:
        # Before 13 the axes from `axis` on are one; on the last axis both mean the same.
        (x,) = alike(op, input)
        moved, order = moved_to_the_end(op, x, axis)
        return moved_back(op, op.raw(op_type, moved, axis=max(op.rank(x) - 1, 0)), order)


for _op_type in ("Softmax", "LogSoftmax", "Hardmax"):
    _register_softmax(_op_type)


def _deviations(op: Emitter, x: ir.Value, axes: Sequence[int], epsilon: float) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Return the mean, the differences from it, and one over the standard deviation."""
    mean = op.ReduceMean(x, list(axes))
    centred = op.Sub(x, mean)
    variance = op.ReduceMean(op.Mul(centred, centred), list(axes))
    return mean, centred, op.Reciprocal(op.Sqrt(op.Add(variance, epsilon)))


def _stashed(op: Emitter, x: ir.Value, stash_type: int) -> ir.Value:
    """Widen what the operator computes in 32 bits; a double is not narrowed."""
    return op.cast(x, ir.DataType.FLOAT) if stash_type == 1 and dtype_of(x) in _SMALL_FLOATS else x


@spells("LayerNormalization", since=17)
def layer_normalization(
    op: Emitter, X: Operand, Scale: Operand, B: Operand = None, *, outputs: int | None = None, **attributes: Any
) -> Any:
    """LayerNormalization 17; the moments have the dtype of the computation."""
    (x,) = alike(op, X)
    made = op.raw("LayerNormalization", x, Scale, B, outputs=outputs, **attributes)
    if isinstance(made, tuple):
        first = attributes.get("axis", -1) % op.rank(x)
        for moment in made[1:]:
            moment.dtype = ir.DataType(attributes.get("stash_type", 1))
            moment.shape = ir.Shape([dim if axis < first else 1 for axis, dim in enumerate(x.shape or ())])
    return made


@spells("LayerNormalization")
def layer_normalization_by_moments(
    op: Emitter,
    X: Operand,
    Scale: Operand,
    B: Operand = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    outputs: int | None = None,
) -> Any:
    """Before LayerNormalization: the function body of its ONNX page."""
    x, scale = alike(op, X, Scale)
    rank = op.rank(x)
    wide = _stashed(op, x, stash_type)
    mean, centred, inverse = _deviations(op, wide, range(axis % rank, rank), epsilon)
    result = op.Mul(op.cast(op.Mul(centred, inverse), dtype_of(x)), scale)
    if B is not None:
        result = op.Add(result, B)
    return result if outputs in (None, 1) else (result, mean, inverse)[:outputs]


as_is("RMSNormalization", since=23)


@spells("RMSNormalization")
def rms_normalization_by_squares(
    op: Emitter, X: Operand, scale: Operand, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> ir.Value:
    """Before RMSNormalization: the function body of its ONNX page."""
    x, factor = alike(op, X, scale)
    rank = op.rank(x)
    wide = _stashed(op, x, stash_type)
    power = op.ReduceMean(op.Mul(wide, wide), list(range(axis % rank, rank)))
    normal = op.Div(wide, op.Sqrt(op.Add(power, epsilon)))
    return op.Mul(op.cast(normal, dtype_of(x)), factor)


as_is("GroupNormalization", since=21)


@spells("GroupNormalization")
def group_normalization_by_moments(
    op: Emitter,
    X: Operand,
    scale: Operand,
    bias: Operand,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> ir.Value:
    """Before GroupNormalization 21 (18 scales groups, not channels): the function body of its ONNX page."""
    x, factor, offset = alike(op, X, scale, bias)
    rank = op.rank(x)
    wide = _stashed(op, x, stash_type)
    grouped = op.Reshape(wide, [0, num_groups, -1])
    _, centred, inverse = _deviations(op, grouped, [2], epsilon)
    normal = op.cast(op.Reshape(op.Mul(centred, inverse), op.sizes(x)), dtype_of(x))
    return op.Add(op.Mul(normal, _per_channel(op, factor, rank)), _per_channel(op, offset, rank))


def _per_channel(op: Emitter, x: ir.Value, rank: int) -> ir.Value:
    return op.Unsqueeze(x, list(range(1, rank - 1))) if rank > 2 else x


as_is("Dropout", since=12)


@spells("Dropout")
def dropout_before_12(
    op: Emitter,
    data: Operand,
    ratio: Operand = None,
    training_mode: Operand = None,
    *,
    seed: int | None = None,
    outputs: int | None = None,
) -> Any:
    """Dropout 7 and 10 only infer, which is the identity; training draws its mask from uniform numbers."""
    (x,) = alike(op, data)
    rate = 0.5 if ratio is None else op.static_number(ratio, "Dropout's ratio")
    training = training_mode is not None and op.static_number(training_mode, "Dropout's training_mode")
    if training and rate:
        # A seed of ONNX's random operators is a float.
        uniform = op.RandomUniformLike(x, seed=None if seed is None else float(seed))
        mask = op.Not(op.Less(uniform, op.const_like(rate, uniform)))
        scale = op.const_like(1 / (1 - rate) if rate < 1 else 0, x)
        result = op.Mul(op.Mul(x, op.cast(mask, dtype_of(x))), scale)
    else:
        result = op.raw("Dropout", x, ratio=rate, outputs=1)
        mask = None
    if outputs in (None, 1):
        return result
    if mask is None:
        mask = op.Expand(op.const(True, ir.DataType.BOOL), op.sizes(x))
    return result, mask
