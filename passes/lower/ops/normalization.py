# SPDX-License-Identifier: Apache-2.0
"""Normalizations over parts of one sample: layer, root-mean-square, group, instance and local response."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .spatial import static_dims, wanted

_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _widened(op: Emitter, x: ir.Value) -> ir.Value:
    """Return the input in the type that PyTorch computes moments in: float32 for the half types."""
    return op.cast(x, ir.DataType.FLOAT) if x.dtype in _HALVES else x


def _affine(op: Emitter, y: ir.Value, weight: ir.Value | None, bias: ir.Value | None) -> ir.Value:
    if weight is not None:
        y = op.Mul(y, op.cast(weight, y.dtype))
    return y if bias is None else op.Add(y, op.cast(bias, y.dtype))


def standardized(op: Emitter, x: ir.Value, axes: Sequence[int], eps: float) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Subtract the mean over axes and divide by the standard deviation; returns result, mean and its reciprocal."""
    over = op.i64(list(axes))
    mean = op.ReduceMean(x, over, keepdims=1)
    centred = op.Sub(x, mean)
    variance = op.ReduceMean(op.Mul(centred, centred), over, keepdims=1)
    deviation = op.Sqrt(op.Add(variance, eps))
    return op.Div(centred, deviation), mean, deviation


# ---- layer normalization ---------------------------------------------------------------------------------------------


def _filled(op: Emitter, value: float, sizes: Sequence[Any], dtype: ir.DataType) -> ir.Value:
    """Return a tensor of one value: a constant where its sizes are static."""
    shape = op.int_vector(sizes)
    if isinstance(shape, list):
        return op.const(np.full(shape, value), dtype)
    return op.Expand(op.const(value, dtype), shape)


def _layer_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    normalized_shape: Sequence[Any],
    eps: float,
    statistics: bool,
) -> tuple[ir.Value, ir.Value | None, ir.Value | None]:
    if weight is None:
        weight = _filled(op, 1.0, normalized_shape, x.dtype)
    axis = -len(normalized_shape)
    wide = x if weight.dtype == x.dtype else op.cast(x, weight.dtype)
    bias = None if bias is None else op.cast(bias, weight.dtype)
    if not statistics:
        return op.LayerNormalization(wide, weight, bias, axis=axis, epsilon=eps), None, None
    y, mean, inverse = op.LayerNormalization(wide, weight, bias, axis=axis, epsilon=eps, outputs=3)
    return y, mean, inverse


def _layer_norm_by_parts(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    normalized_shape: Sequence[Any],
    eps: float,
    statistics: bool,
) -> tuple[ir.Value, ir.Value | None, ir.Value | None]:
    axes = list(range(-len(normalized_shape), 0))
    wide = _widened(op, x)
    y, mean, deviation = standardized(op, wide, axes, eps)
    y = op.cast(_affine(op, y, weight, bias), x.dtype)
    return y, mean if statistics else None, op.Reciprocal(deviation) if statistics else None


@lowers("aten::layer_norm", since=17)
def layer_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    *,
    normalized_shape: Sequence[Any],
    eps: float,
    cudnn_enable: bool = True,
) -> ir.Value:
    """Lower layer normalization to the operator of that name."""
    return _layer_norm(op, x, weight, bias, normalized_shape, eps, False)[0]


@lowers("aten::layer_norm")
def layer_norm_by_parts(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    *,
    normalized_shape: Sequence[Any],
    eps: float,
    cudnn_enable: bool = True,
) -> ir.Value:
    """Lower layer normalization to moments."""
    return _layer_norm_by_parts(op, x, weight, bias, normalized_shape, eps, False)[0]


@lowers("aten::native_layer_norm", since=17)
def native_layer_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    *,
    normalized_shape: Sequence[Any],
    eps: float,
) -> tuple[ir.Value | None, ...]:
    """Lower layer normalization with its mean and reciprocal deviation."""
    statistics = wanted(op, 1) or wanted(op, 2)
    if statistics and x.dtype == ir.DataType.DOUBLE:
        # The operator computes its statistics in float32.
        return _layer_norm_by_parts(op, x, weight, bias, normalized_shape, eps, True)
    return _layer_norm(op, x, weight, bias, normalized_shape, eps, statistics)


@lowers("aten::native_layer_norm")
def native_layer_norm_by_parts(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    *,
    normalized_shape: Sequence[Any],
    eps: float,
) -> tuple[ir.Value | None, ...]:
    """Lower layer normalization and its statistics to moments."""
    return _layer_norm_by_parts(op, x, weight, bias, normalized_shape, eps, wanted(op, 1) or wanted(op, 2))


# ---- root-mean-square normalization ----------------------------------------------------------------------------------


def _default_epsilon(dtype: ir.DataType) -> float:
    # torch.finfo(input.dtype).eps, https://pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html
    return float(ml_dtypes.finfo(dtype.numpy()).eps)


def _rms_norm_by_parts(
    op: Emitter, x: ir.Value, weight: ir.Value | None, normalized_shape: Sequence[Any], eps: float | None
) -> tuple[ir.Value, ir.Value]:
    wide = _widened(op, x)
    axes = op.i64(list(range(-len(normalized_shape), 0)))
    square = op.ReduceMean(op.Mul(wide, wide), axes, keepdims=1)
    root = op.Sqrt(op.Add(square, _default_epsilon(wide.dtype) if eps is None else eps))
    y = _affine(op, op.Div(wide, root), weight, None)
    return op.cast(y, x.dtype), root


def _rms_norm(
    op: Emitter, x: ir.Value, weight: ir.Value | None, normalized_shape: Sequence[Any], eps: float | None
) -> ir.Value:
    if weight is None:
        weight = _filled(op, 1.0, normalized_shape, x.dtype)
    if eps is None:
        eps = _default_epsilon(ir.DataType.FLOAT if x.dtype in _HALVES else x.dtype)
    return op.RMSNormalization(x, op.cast(weight, x.dtype), axis=-len(normalized_shape), epsilon=eps)


@lowers("aten::rms_norm", since=23)
def rms_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    *,
    normalized_shape: Sequence[Any],
    eps: float | None = None,
) -> ir.Value:
    """Lower root-mean-square normalization to the operator of that name."""
    return _rms_norm(op, x, weight, normalized_shape, eps)


@lowers("aten::rms_norm")
def rms_norm_by_parts(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    *,
    normalized_shape: Sequence[Any],
    eps: float | None = None,
) -> ir.Value:
    """Lower root-mean-square normalization to its definition."""
    return _rms_norm_by_parts(op, x, weight, normalized_shape, eps)[0]


@lowers("aten::_fused_rms_norm", since=23)
def fused_rms_norm(
    op: Emitter, x: ir.Value, weight: ir.Value | None, *, normalized_shape: Sequence[Any], eps: float | None
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the core form, which also returns the reciprocal root."""
    if not wanted(op, 1):
        return _rms_norm(op, x, weight, normalized_shape, eps), None
    return fused_rms_norm_by_parts(op, x, weight, normalized_shape=normalized_shape, eps=eps)


@lowers("aten::_fused_rms_norm")
def fused_rms_norm_by_parts(
    op: Emitter, x: ir.Value, weight: ir.Value | None, *, normalized_shape: Sequence[Any], eps: float | None
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the core form to its definition."""
    y, root = _rms_norm_by_parts(op, x, weight, normalized_shape, eps)
    return y, op.Reciprocal(root) if wanted(op, 1) else None


# ---- group normalization ---------------------------------------------------------------------------------------------


def _channelwise(op: Emitter, parameter: ir.Value, rank: int) -> ir.Value:
    """Lay a vector of one number a channel along axis 1 of a tensor of some rank."""
    return parameter if rank == 2 else op.Unsqueeze(parameter, op.i64(list(range(1, rank - 1))))


def _group_norm_by_parts(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    groups: int,
    eps: float,
    statistics: bool = False,
) -> tuple[ir.Value, ir.Value | None, ir.Value | None]:
    """Fold the groups into the channels of an instance normalization."""
    rank = op.rank(x)
    sizes = op.i64(op.sizes(x))
    dims = static_dims(op, x, 1)
    folded = op.Reshape(x, op.i64([0, groups, -1 if dims is None else math.prod(dims) // groups]))
    mean = inverse = None
    if statistics or x.dtype == ir.DataType.DOUBLE:
        # onnxruntime's instance normalization is a float32 kernel, which would lose half of a double's digits.
        y, mean, deviation = standardized(op, _widened(op, folded), [-1], eps)
        if statistics:
            mean = op.Squeeze(mean, [-1])
            inverse = op.Squeeze(op.Reciprocal(deviation), [-1])
    else:
        ones, zeros = _filled(op, 1.0, [groups], x.dtype), _filled(op, 0.0, [groups], x.dtype)
        y = op.InstanceNormalization(folded, ones, zeros, epsilon=eps)
    y = op.Reshape(y, sizes)
    weight = None if weight is None else _channelwise(op, weight, rank)
    bias = None if bias is None else _channelwise(op, bias, rank)
    return op.cast(_affine(op, y, weight, bias), x.dtype), mean, inverse


def _group_norm(
    op: Emitter, x: ir.Value, weight: ir.Value | None, bias: ir.Value | None, groups: int, eps: float
) -> ir.Value:
    channels = [op.size(x, 1)]
    dtype = x.dtype if weight is None else weight.dtype
    if weight is None:
        weight = _filled(op, 1.0, channels, dtype)
    bias = _filled(op, 0.0, channels, dtype) if bias is None else op.cast(bias, dtype)
    return op.GroupNormalization(op.cast(x, dtype), weight, bias, num_groups=groups, epsilon=eps)


@lowers("aten::group_norm", since=21)
def group_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    *,
    num_groups: int,
    eps: float,
    cudnn_enabled: bool = True,
) -> ir.Value:
    """Lower group normalization to the operator of that name, which has parameters by channel from 21 on."""
    if x.dtype == ir.DataType.DOUBLE or op.rank(x) < 3:
        return _group_norm_by_parts(op, x, weight, bias, num_groups, eps)[0]
    return _group_norm(op, x, weight, bias, num_groups, eps)


@lowers("aten::group_norm")
def group_norm_by_parts(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    *,
    num_groups: int,
    eps: float,
    cudnn_enabled: bool = True,
) -> ir.Value:
    """Lower group normalization by way of instance normalization."""
    return _group_norm_by_parts(op, x, weight, bias, num_groups, eps)[0]


@lowers("aten::native_group_norm", since=21)
def native_group_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    *,
    N: Any,
    C: Any,
    HxW: Any,
    group: int,
    eps: float,
) -> tuple[ir.Value | None, ...]:
    """Lower the core form, which also returns mean and reciprocal deviation of each group."""
    if wanted(op, 1) or wanted(op, 2) or x.dtype == ir.DataType.DOUBLE or op.rank(x) < 3:
        return native_group_norm_by_parts(op, x, weight, bias, N=N, C=C, HxW=HxW, group=group, eps=eps)
    return _group_norm(op, x, weight, bias, group, eps), None, None


@lowers("aten::native_group_norm")
def native_group_norm_by_parts(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    *,
    N: Any,
    C: Any,
    HxW: Any,
    group: int,
    eps: float,
) -> tuple[ir.Value | None, ...]:
    """Lower the core form by way of instance normalization; the sizes it repeats are those of the input."""
    return _group_norm_by_parts(op, x, weight, bias, group, eps, wanted(op, 1) or wanted(op, 2))


# ---- instance normalization and others -------------------------------------------------------------------------------


@lowers("aten::instance_norm")
def instance_norm(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    *,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> ir.Value:
    """Lower instance normalization; with running statistics it is a batch normalization at inference."""
    if not use_input_stats:
        return op.call(
            "aten::batch_norm",
            x,
            weight,
            bias,
            running_mean,
            running_var,
            training=False,
            momentum=momentum,
            eps=eps,
            cudnn_enabled=False,
        )
    if x.dtype == ir.DataType.DOUBLE:
        y, _, _ = standardized(op, x, list(range(2, op.rank(x))), eps)
        rank = op.rank(x)
        weight = None if weight is None else _channelwise(op, weight, rank)
        return _affine(op, y, weight, None if bias is None else _channelwise(op, bias, rank))
    channels = [op.size(x, 1)]
    dtype = x.dtype if weight is None else weight.dtype
    if weight is None:
        weight = _filled(op, 1.0, channels, dtype)
    bias = _filled(op, 0.0, channels, dtype) if bias is None else op.cast(bias, dtype)
    return op.InstanceNormalization(op.cast(x, dtype), weight, bias, epsilon=eps)


@lowers("aten::norm_except_dim")
def norm_except_dim(op: Emitter, v: ir.Value, *, pow: int = 2, dim: int = 0) -> ir.Value:
    """Lower the norm over every axis but one (all axes where ``dim`` is -1), those axes kept at size one."""
    rank = op.rank(v)
    axes = [axis for axis in range(rank) if dim == -1 or axis != dim % rank]
    if pow == 2:
        norm = op.ReduceL2(v, op.i64(axes), keepdims=1)
    elif pow == 1:
        norm = op.ReduceL1(v, op.i64(axes), keepdims=1)
    else:
        total = op.ReduceSum(op.Pow(op.Abs(v), float(pow)), op.i64(axes), keepdims=1)
        norm = op.Pow(total, 1.0 / pow)
    return norm if dim != -1 else op.Reshape(norm, op.i64([]))


def _weight_norm(op: Emitter, v: ir.Value, g: ir.Value, dim: int) -> tuple[ir.Value, ir.Value]:
    norm = norm_except_dim(op, v, dim=dim)
    return op.Mul(v, op.Div(g, norm)), norm


@lowers("aten::_weight_norm")
def weight_norm(op: Emitter, v: ir.Value, g: ir.Value, *, dim: int = 0) -> ir.Value:
    """Lower a weight given by direction and length; where both are initializers, constant folding leaves a weight."""
    return _weight_norm(op, v, g, dim)[0]


@lowers("aten::_weight_norm_interface")
def weight_norm_interface(op: Emitter, v: ir.Value, g: ir.Value, *, dim: int = 0) -> tuple[ir.Value, ir.Value]:
    """Lower the core form, which also returns the norms."""
    return _weight_norm(op, v, g, dim)
