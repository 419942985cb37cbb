# SPDX-License-Identifier: Apache-2.0
"""Batch normalization in every form that PyTorch has: with running statistics, with the batch's own, with updates.

In training PyTorch normalizes by the biased variance but moves the running one by the unbiased one
(https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html), while ONNX uses the biased one for both.  So
where updated statistics are used they are computed beside the operator.
"""

from __future__ import annotations

import attrs
import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .spatial import product, wanted


@attrs.frozen
class Normalized:
    """A batch in training mode: the result, mean and biased variance of each channel."""

    y: ir.Value
    mean: ir.Value
    variance: ir.Value


def _channel_vector(op: Emitter, x: ir.Value, value: float, dtype: ir.DataType) -> ir.Value:
    channels = op.size(x, 1)
    if isinstance(channels, int):
        return op.const(np.full([channels], value), dtype)
    return op.Expand(op.const(value, dtype), channels)


def _parameters(
    op: Emitter, x: ir.Value, weight: ir.Value | None, bias: ir.Value | None, dtype: ir.DataType
) -> tuple[ir.Value, ir.Value]:
    scale = _channel_vector(op, x, 1.0, dtype) if weight is None else op.cast(weight, dtype)
    shift = _channel_vector(op, x, 0.0, dtype) if bias is None else op.cast(bias, dtype)
    return scale, shift


def _inference(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value,
    running_var: ir.Value,
    eps: float,
) -> ir.Value:
    dtype = running_mean.dtype
    scale, shift = _parameters(op, x, weight, bias, dtype)
    y = op.BatchNormalization(op.cast(x, dtype), scale, shift, running_mean, running_var, epsilon=eps)
    return op.cast(y, x.dtype)


def _statistics_dtype(x: ir.Value, weight: ir.Value | None, running_mean: ir.Value | None) -> ir.DataType:
    # Half-precision batches have float32 statistics.
    for like in (running_mean, weight):
        if like is not None and like.dtype is not None:
            return like.dtype
    return ir.DataType.FLOAT if x.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) else x.dtype


_MERGED = 8
"""The number of elements up to which onnxruntime merges equal constants."""


def _may_be_merged(op: Emitter, channels: int | None, parameters: list[ir.Value | None]) -> bool:
    """Whether a runtime would store two of these as one.

    onnxruntime merges equal constants, and its training mode then writes the moved statistics over the one that is also
    the scale or the shift.  A model fresh from its constructor has such parameters; in a function they are not known.
    """
    if channels is not None and channels > _MERGED:
        return False
    if op.may_repeat:
        return True
    arrays = [value.const_value.numpy() for value in parameters if value is not None and value.const_value is not None]
    return any(np.array_equal(a, b) for index, a in enumerate(arrays) for b in arrays[:index])


def _free_statistics(op: Emitter, x: ir.Value, channels: int | None, dtype: ir.DataType) -> list[ir.Value]:
    """Return running statistics on which nothing depends, and that a runtime may write over.

    No parameter has these values, nor has another normalization: onnxruntime writes the outputs over these inputs, and
    equal ones may have become one.  Where small constants would be there once more for each call of a function, they
    are computed from the batch instead, whatever numbers are in it.
    """
    if op.may_repeat and (channels is None or channels <= _MERGED):
        others = [axis for axis in range(op.rank(x)) if axis != 1]
        odd = op.IsNaN(op.cast(op.ReduceSum(x, others, keepdims=0), ir.DataType.FLOAT))
        return [op.Where(odd, op.const(low, dtype), op.const(low + 0.5, dtype)) for low in (0.25, 1.25)]
    serial = op.constants_made
    return [_channel_vector(op, x, serial + 0.25, dtype), _channel_vector(op, x, serial + 0.75, dtype)]


def _training(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    momentum: float,
    eps: float,
    statistics: bool,
) -> Normalized:
    """Normalize by the operator's training mode.

    Its running outputs are ``running * momentum + batch * (1 - momentum)``; where the batch's own statistics are used
    (``statistics``) its momentum is zero, which makes the outputs just these.
    """
    dtype = _statistics_dtype(x, weight, running_mean)
    scale, shift = _parameters(op, x, weight, bias, dtype)
    kept = 0.0 if statistics else 1.0 - momentum
    given = [running_mean, running_var]
    channels = op.dim(x, 1)
    if statistics or None in given or _may_be_merged(op, channels, [scale, shift, *given]):
        given = list(_free_statistics(op, x, channels, dtype))
    y, mean, variance = op.BatchNormalization(
        op.cast(x, dtype),
        scale,
        shift,
        *given,
        epsilon=eps,
        momentum=kept,
        training_mode=1,
        outputs=3,
    )
    return Normalized(op.cast(y, x.dtype), mean, variance)


def _inverse_deviation(op: Emitter, variance: ir.Value, eps: float) -> ir.Value:
    return op.Reciprocal(op.Sqrt(op.Add(variance, eps)))


def _updated(
    op: Emitter, x: ir.Value, batch: Normalized, running_mean: ir.Value, running_var: ir.Value, momentum: float
) -> tuple[ir.Value, ir.Value]:
    """Move the running statistics towards the batch's, by the unbiased variance."""
    count = product(op, [op.size(x, axis) for axis in range(op.rank(x)) if axis != 1])
    if isinstance(count, int):
        unbiased = op.Mul(batch.variance, momentum * count / max(count - 1, 1))
    else:
        elements = op.cast(count, batch.variance.dtype)
        unbiased = op.Mul(op.Div(op.Mul(batch.variance, elements), op.Sub(elements, 1.0)), momentum)
    return (
        op.Add(op.Mul(running_mean, 1.0 - momentum), op.Mul(batch.mean, momentum)),
        op.Add(op.Mul(running_var, 1.0 - momentum), unbiased),
    )


# ---- the operators ---------------------------------------------------------------------------------------------------


@lowers("aten::batch_norm")
def batch_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    *,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> ir.Value:
    """Lower the composite form, by the running statistics or by the batch's own."""
    if not training and running_mean is not None and running_var is not None:
        return _inference(op, x, weight, bias, running_mean, running_var, eps)
    return _training(op, x, weight, bias, running_mean, running_var, momentum, eps, False).y


def _with_statistics(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    training: bool,
    momentum: float,
    eps: float,
    reserved: int,
    updates: bool,
) -> list[ir.Value | None]:
    """Return the result, the statistics it was made with, ``reserved`` empty outputs, and the moved statistics.

    The two statistics outputs are mean and reciprocal deviation of the batch; at inference they are empty.
    """
    statistics_dtype = op.result(1).dtype
    if not training and running_mean is not None and running_var is not None:
        y = _inference(op, x, weight, bias, running_mean, running_var, eps)
        empty = op.const(np.zeros([0]), statistics_dtype)
        results: list[ir.Value | None] = [y, empty, empty]
        moved: list[ir.Value | None] = [running_mean, running_var]
    else:
        first_update = 3 + reserved
        used = [wanted(op, index) for index in (1, 2, first_update, first_update + 1)]
        batch = _training(op, x, weight, bias, running_mean, running_var, momentum, eps, any(used))
        results = [batch.y, batch.mean if used[0] else None, None]
        if used[1]:
            results[2] = op.Reciprocal(op.Sqrt(op.Add(batch.variance, eps)))
        moved = [None, None]
        if any(used[2:]) and running_mean is not None and running_var is not None:
            moved = list(_updated(op, x, batch, running_mean, running_var, momentum))
    results += [op.const(np.zeros([0]), ir.DataType.UINT8) if wanted(op, 3 + i) else None for i in range(reserved)]
    return [*results, *(moved if updates else [])]


@lowers("aten::native_batch_norm", "aten::_native_batch_norm_legit")
def native_batch_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> list[ir.Value | None]:
    """Lower the core form; what it writes into the running statistics is not among its outputs."""
    return _with_statistics(op, x, weight, bias, running_mean, running_var, training, momentum, eps, 0, False)


@lowers("aten::_native_batch_norm_legit.no_stats")
def native_batch_norm_without_running_statistics(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> list[ir.Value | None]:
    """Lower the form that has no running statistics, and so always takes the batch's own."""
    return _with_statistics(op, x, weight, bias, None, None, True, momentum, eps, 0, False)


@lowers("aten::_native_batch_norm_legit_no_training")
def native_batch_norm_at_inference(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value,
    running_var: ir.Value,
    *,
    momentum: float,
    eps: float,
) -> list[ir.Value | None]:
    """Lower the form for inference."""
    return _with_statistics(op, x, weight, bias, running_mean, running_var, False, momentum, eps, 0, False)


@lowers("aten::_native_batch_norm_legit_functional")
def native_batch_norm_functional(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value,
    running_var: ir.Value,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> list[ir.Value | None]:
    """Lower the form that returns the moved running statistics in place of writing them."""
    return _with_statistics(op, x, weight, bias, running_mean, running_var, training, momentum, eps, 0, True)


@lowers("aten::_batch_norm_with_update")
def batch_norm_with_update(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value,
    running_var: ir.Value,
    *,
    momentum: float,
    eps: float,
) -> list[ir.Value | None]:
    """Lower the training form of ``torch.export``, whose fourth output is a buffer of cuDNN's."""
    return _with_statistics(op, x, weight, bias, running_mean, running_var, True, momentum, eps, 1, False)


@lowers("aten::_batch_norm_with_update_functional")
def batch_norm_with_update_functional(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value,
    running_var: ir.Value,
    *,
    momentum: float,
    eps: float,
) -> list[ir.Value | None]:
    """Lower the functional training form of ``torch.export``."""
    return _with_statistics(op, x, weight, bias, running_mean, running_var, True, momentum, eps, 1, True)


@lowers("aten::_batch_norm_no_update")
def batch_norm_no_update(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    *,
    momentum: float,
    eps: float,
) -> list[ir.Value | None]:
    """Lower the inference form of ``torch.export``."""
    return _with_statistics(op, x, weight, bias, running_mean, running_var, False, momentum, eps, 1, False)


@lowers("aten::cudnn_batch_norm")
def cudnn_batch_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    *,
    training: bool,
    exponential_average_factor: float,
    epsilon: float,
) -> list[ir.Value | None]:
    """Lower the form that PyTorch records on CUDA."""
    momentum = exponential_average_factor
    return _with_statistics(op, x, weight, bias, running_mean, running_var, training, momentum, epsilon, 1, False)


@lowers("aten::miopen_batch_norm")
def miopen_batch_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    *,
    training: bool,
    exponential_average_factor: float,
    epsilon: float,
) -> list[ir.Value | None]:
    """Lower the form that PyTorch records on AMD devices."""
    momentum = exponential_average_factor
    return _with_statistics(op, x, weight, bias, running_mean, running_var, training, momentum, epsilon, 0, False)
