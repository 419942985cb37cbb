# SPDX-License-Identifier: Apache-2.0
"""Reductions: sums, means, products, extremes, truth, spread and norms along dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch

from ...dialect import onnx_dtype
from ..emitter import Emitter, Operand
from ..registry import lowers
from .arithmetic import is_float
from .creation import filled

Dims = Sequence[int] | int | None

# What PyTorch makes of no elements at all; extremes are those of truth values, since numbers have none.
_OF_NOTHING = {
    "ReduceSum": 0,
    "ReduceProd": 1,
    "ReduceMean": math.nan,
    "ReduceLogSumExp": -math.inf,
    "ReduceL1": 0,
    "ReduceL2": 0,
    "ReduceSumSquare": 0,
    "ReduceMax": 0,
    "ReduceMin": 1,
}


def axes_of(dim: Dims) -> list[int] | None:
    """The dimensions to reduce as a list; ``None`` for all, which PyTorch also spells as an empty list."""
    if dim is None:
        return None
    return [dim] if isinstance(dim, int) else list(dim) or None


def count_of(op: Emitter, x: ir.Value, dim: Dims) -> int | ir.Value:
    """The number of elements that a reduction takes together: an int, or an int64 value of no dimensions."""
    rank = op.rank(x)
    axes = axes_of(dim)
    sizes = [op.dim(x, axis) for axis in (range(rank) if axes is None else axes)] if rank else []
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        return math.prod(known)
    if axes is None:
        return op.Size(x)
    if len(axes) == 1:
        return op.scalar(op.size(x, axes[0]))
    return op.ReduceProd(op.Gather(op.Shape(x), op.i64([axis % rank for axis in axes])), None, keepdims=0)


def reduce(op: Emitter, kind: str, x: ir.Value, dim: Dims, keepdim: bool) -> ir.Value:
    """Write one reduction; a tensor of no dimensions is its own reduction, one of no elements a constant."""
    rank = op.rank(x)
    if rank == 0:
        return x
    reduced = [axis % rank for axis in axes_of(dim) or range(rank)]
    if any(op.dim(x, axis) == 0 for axis in reduced) and kind in _OF_NOTHING:
        kept = [1 if axis in reduced else op.size(x, axis) for axis in range(rank) if keepdim or axis not in reduced]
        return filled(op, kept, _OF_NOTHING[kind], _dtype(x))
    return getattr(op, kind)(x, axes_of(dim), keepdims=int(keepdim))


def _wanted(op: Emitter, dtype: torch.dtype | None) -> ir.DataType:
    return op.result().dtype if dtype is None else onnx_dtype(dtype)


# ---- sums, means, products -------------------------------------------------------------------------------------------


@lowers("aten::sum", "aten::sum.dim_IntList")
def sum(op: Emitter, x: ir.Value, *, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> ir.Value:
    """The sum, of integers and booleans in int64."""
    return reduce(op, "ReduceSum", op.cast(x, _wanted(op, dtype)), dim, keepdim)


@lowers("aten::mean", "aten::mean.dim")
def mean(op: Emitter, x: ir.Value, *, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> ir.Value:
    """The mean."""
    return reduce(op, "ReduceMean", op.cast(x, _wanted(op, dtype)), dim, keepdim)


@lowers("aten::prod", "aten::prod.dim_int")
def prod(op: Emitter, x: ir.Value, *, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> ir.Value:
    """The product, of integers and booleans in int64."""
    return reduce(op, "ReduceProd", op.cast(x, _wanted(op, dtype)), dim, keepdim)


@lowers("aten::nansum")
def nansum(op: Emitter, x: ir.Value, *, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> ir.Value:
    """The sum of what is a number."""
    numbers = op.Where(op.IsNaN(x), 0, x) if is_float(x) else x
    return reduce(op, "ReduceSum", op.cast(numbers, _wanted(op, dtype)), dim, keepdim)


@lowers("aten::nanmean")
def nanmean(op: Emitter, x: ir.Value, *, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> ir.Value:
    """The mean of what is a number."""
    wanted = _wanted(op, dtype)
    missing = op.IsNaN(x)
    total = reduce(op, "ReduceSum", op.cast(op.Where(missing, 0, x), wanted), dim, keepdim)
    return op.Div(total, reduce(op, "ReduceSum", op.cast(op.Not(missing), wanted), dim, keepdim))


@lowers("aten::count_nonzero", "aten::count_nonzero.dim_IntList")
def count_nonzero(op: Emitter, x: ir.Value, *, dim: Dims = None) -> ir.Value:
    """How many elements are not zero."""
    return reduce(op, "ReduceSum", op.cast(op.cast(x, ir.DataType.BOOL), ir.DataType.INT64), dim, False)


@lowers("aten::logsumexp", "aten::special_logsumexp")
def logsumexp(op: Emitter, x: ir.Value, *, dim: Dims, keepdim: bool = False) -> ir.Value:
    """The logarithm of the sum of exponentials, which runtimes compute around the largest element."""
    return reduce(op, "ReduceLogSumExp", op.promote_float(x)[0], dim, keepdim)


@lowers("prims::sum")
def prims_sum(op: Emitter, x: ir.Value, *, dims: Dims, output_dtype: Any = None) -> ir.Value:
    """The sum."""
    return reduce(op, "ReduceSum", op.cast(x, _wanted(op, output_dtype)), dims, False)


# ---- extremes --------------------------------------------------------------------------------------------------------


@lowers("aten::amax")
def amax(op: Emitter, x: ir.Value, *, dim: Dims = (), keepdim: bool = False) -> ir.Value:
    """The largest element."""
    return reduce(op, "ReduceMax", x, dim, keepdim)


@lowers("aten::amin")
def amin(op: Emitter, x: ir.Value, *, dim: Dims = (), keepdim: bool = False) -> ir.Value:
    """The smallest element."""
    return reduce(op, "ReduceMin", x, dim, keepdim)


@lowers("prims::amax")
def prims_amax(op: Emitter, x: ir.Value, *, dims: Dims) -> ir.Value:
    """The largest element."""
    return reduce(op, "ReduceMax", x, dims, False)


@lowers("prims::amin")
def prims_amin(op: Emitter, x: ir.Value, *, dims: Dims) -> ir.Value:
    """The smallest element."""
    return reduce(op, "ReduceMin", x, dims, False)


@lowers("aten::max")
def max_of_all(op: Emitter, x: ir.Value) -> ir.Value:
    """The largest element of all."""
    return reduce(op, "ReduceMax", x, None, False)


@lowers("aten::min")
def min_of_all(op: Emitter, x: ir.Value) -> ir.Value:
    """The smallest element of all."""
    return reduce(op, "ReduceMin", x, None, False)


@lowers("aten::max.dim")
def max_dim(op: Emitter, x: ir.Value, *, dim: int, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    """The largest element along a dimension and its index."""
    return reduce(op, "ReduceMax", x, dim, keepdim), argmax(op, x, dim=dim, keepdim=keepdim)


@lowers("aten::min.dim")
def min_dim(op: Emitter, x: ir.Value, *, dim: int, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    """The smallest element along a dimension and its index."""
    return reduce(op, "ReduceMin", x, dim, keepdim), argmin(op, x, dim=dim, keepdim=keepdim)


@lowers("aten::aminmax", "aten::_aminmax", "aten::_aminmax.dim")
def aminmax(op: Emitter, x: ir.Value, *, dim: int | None = None, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    """The smallest and the largest element."""
    return reduce(op, "ReduceMin", x, dim, keepdim), reduce(op, "ReduceMax", x, dim, keepdim)


@lowers("aten::argmax")
def argmax(op: Emitter, x: ir.Value, *, dim: int | None = None, keepdim: bool = False) -> ir.Value:
    """The index of the largest element, the first of equals."""
    return _arg(op, "ArgMax", x, dim, keepdim)


@lowers("aten::argmin")
def argmin(op: Emitter, x: ir.Value, *, dim: int | None = None, keepdim: bool = False) -> ir.Value:
    """The index of the smallest element, the first of equals."""
    return _arg(op, "ArgMin", x, dim, keepdim)


def _arg(op: Emitter, kind: str, x: ir.Value, dim: int | None, keepdim: bool) -> ir.Value:
    rank = op.rank(x)
    if rank == 0:
        return op.i64(0)
    if dim is not None:
        return getattr(op, kind)(x, axis=dim, keepdims=int(keepdim))
    flat = x if rank == 1 else op.Reshape(x, [-1])
    index = getattr(op, kind)(flat, axis=0, keepdims=int(keepdim and rank == 1))
    return op.Reshape(index, [1] * rank) if keepdim and rank > 1 else index


# ---- truth -----------------------------------------------------------------------------------------------------------


@lowers("aten::any", "aten::any.dim", "aten::any.dims", "aten::_is_any_true")
def any_true(op: Emitter, x: ir.Value, *, dim: Dims = None, keepdim: bool = False) -> ir.Value:
    """Whether any element is not zero."""
    return reduce(op, "ReduceMax", op.cast(x, ir.DataType.BOOL), dim, keepdim)


@lowers("aten::all", "aten::all.dim", "aten::all.dims", "aten::_is_all_true")
def all_true(op: Emitter, x: ir.Value, *, dim: Dims = None, keepdim: bool = False) -> ir.Value:
    """Whether no element is zero."""
    return reduce(op, "ReduceMin", op.cast(x, ir.DataType.BOOL), dim, keepdim)


# ---- spread ----------------------------------------------------------------------------------------------------------


def _moments(op: Emitter, x: ir.Value, dim: Dims, correction: Operand, keepdim: bool) -> tuple[ir.Value, ir.Value]:
    correction = 1 if correction is None else correction
    center = reduce(op, "ReduceMean", x, dim, True)
    away = op.Sub(x, center)
    if correction == 0:
        return reduce(op, "ReduceMean", op.Mul(away, away), dim, keepdim), center
    squares = op.Mul(away, away) if op.rank(x) == 0 else reduce(op, "ReduceSumSquare", away, dim, keepdim)
    count = count_of(op, x, dim)
    if isinstance(count, int):
        return op.Div(squares, max(count - correction, 0)), center
    return op.Div(squares, op.Relu(op.Sub(op.cast(count, _dtype(x)), correction))), center


def _dtype(x: ir.Value) -> ir.DataType:
    return x.dtype or ir.DataType.FLOAT


def _without_kept(op: Emitter, x: ir.Value, center: ir.Value, dim: Dims, keepdim: bool) -> ir.Value:
    if keepdim or op.rank(x) == 0:
        return center
    return op.Squeeze(center, axes_of(dim) or list(range(op.rank(x))))


@lowers("aten::var", "aten::var.dim", "aten::var.correction", "prims::var")
def var(
    op: Emitter,
    x: ir.Value,
    *,
    dim: Dims = None,
    dims: Dims = None,
    correction: Operand = 1,
    unbiased: bool = True,
    keepdim: bool = False,
) -> ir.Value:
    """The mean square distance from the mean, with ``correction`` taken off the count."""
    return _moments(op, x, dims if dim is None else dim, correction if unbiased else 0, keepdim)[0]


@lowers("aten::std", "aten::std.dim", "aten::std.correction")
def std(
    op: Emitter,
    x: ir.Value,
    *,
    dim: Dims = None,
    correction: Operand = 1,
    unbiased: bool = True,
    keepdim: bool = False,
) -> ir.Value:
    """The square root of the variance."""
    return op.Sqrt(_moments(op, x, dim, correction if unbiased else 0, keepdim)[0])


@lowers("aten::var_mean", "aten::var_mean.dim", "aten::var_mean.correction")
def var_mean(
    op: Emitter,
    x: ir.Value,
    *,
    dim: Dims = None,
    correction: Operand = 1,
    unbiased: bool = True,
    keepdim: bool = False,
) -> tuple[ir.Value, ir.Value]:
    """Variance and mean."""
    variance, center = _moments(op, x, dim, correction if unbiased else 0, keepdim)
    return variance, _without_kept(op, x, center, dim, keepdim)


@lowers("aten::std_mean", "aten::std_mean.dim", "aten::std_mean.correction")
def std_mean(
    op: Emitter,
    x: ir.Value,
    *,
    dim: Dims = None,
    correction: Operand = 1,
    unbiased: bool = True,
    keepdim: bool = False,
) -> tuple[ir.Value, ir.Value]:
    """Standard deviation and mean."""
    variance, center = _moments(op, x, dim, correction if unbiased else 0, keepdim)
    return op.Sqrt(variance), _without_kept(op, x, center, dim, keepdim)


# ---- norms -----------------------------------------------------------------------------------------------------------


def vector_norm(op: Emitter, x: ir.Value, p: float, dim: Dims, keepdim: bool) -> ir.Value:
    """The p-norm along dimensions, of floating-point numbers."""
    if op.rank(x) == 0:
        return op.cast(op.cast(x, ir.DataType.BOOL), _dtype(x)) if p == 0 else op.Abs(x)
    if p == 2:
        return reduce(op, "ReduceL2", x, dim, keepdim)
    if p == 1:
        return reduce(op, "ReduceL1", x, dim, keepdim)
    if p == math.inf:
        return reduce(op, "ReduceMax", op.Abs(x), dim, keepdim)
    if p == -math.inf:
        return reduce(op, "ReduceMin", op.Abs(x), dim, keepdim)
    if p == 0:
        return reduce(op, "ReduceSum", op.cast(op.cast(x, ir.DataType.BOOL), _dtype(x)), dim, keepdim)
    return op.Pow(reduce(op, "ReduceSum", op.Pow(op.Abs(x), p), dim, keepdim), 1 / p)


@lowers("aten::linalg_vector_norm")
def linalg_vector_norm(
    op: Emitter, x: ir.Value, *, ord: float = 2, dim: Dims = None, keepdim: bool = False, dtype: Any = None
) -> ir.Value:
    """The norm of the elements along dimensions."""
    return vector_norm(op, op.cast(x, _wanted(op, dtype)), ord, dim, keepdim)


@lowers("aten::norm.Scalar", "aten::norm.ScalarOpt_dim", "aten::norm.ScalarOpt_dtype", "aten::norm.ScalarOpt_dim_dtype")
def norm(
    op: Emitter, x: ir.Value, *, p: float | None = 2, dim: Dims = None, keepdim: bool = False, dtype: Any = None
) -> ir.Value:
    """The norm of the elements along dimensions."""
    return vector_norm(op, op.cast(x, _wanted(op, dtype)), 2 if p is None else p, dim, keepdim)


@lowers("aten::dist")
def dist(op: Emitter, x: ir.Value, y: ir.Value, *, p: float = 2) -> ir.Value:
    """The norm of the difference of two tensors."""
    a, b = op.promote_float(x, y)
    return vector_norm(op, op.Sub(a, b), p, None, False)


@lowers("aten::linalg__powsum")
def powsum(
    op: Emitter, x: ir.Value, *, ord: float = 2, dim: Dims = None, keepdim: bool = False, dtype: Any = None
) -> ir.Value:
    """The sum of powers of absolute values: a norm before its root is taken."""
    value = op.cast(x, _wanted(op, dtype))
    return reduce(op, "ReduceSum", op.Pow(op.Abs(value), ord), dim, keepdim)


@lowers("aten::renorm")
def renorm(op: Emitter, x: ir.Value, *, p: Operand, dim: int, maxnorm: Operand) -> ir.Value:
    """Scale each slice along a dimension down to a largest norm."""
    rank = op.rank(x)
    length = vector_norm(op, x, op.static_number(p), [axis for axis in range(rank) if axis != dim % rank], True)
    # The small number is PyTorch's own, against division by zero.
    scale = op.Div(maxnorm, op.Add(length, 1e-7))
    return op.Mul(x, op.Where(op.Greater(length, maxnorm), scale, 1.0))
