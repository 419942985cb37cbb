# SPDX-License-Identifier: Apache-2.0
"""Products of matrices and vectors: linear, matmul, addmm and their kin.

Gemm says ``alpha * A @ B + beta * C`` for matrices in one node; the runtime has it for floating-point types only, so
that products of integers are MatMul (and Add) instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .views import Size, reshape_to, swapped

Number = Any


def _is_floating(x: ir.Value) -> bool:
    return x.dtype is not None and x.dtype.is_floating_point()


def _gemm(
    op: Emitter,
    left: ir.Value,
    right: ir.Value,
    added: ir.Value | None,
    alpha: Number = 1,
    beta: Number = 1,
    *,
    right_transposed: bool = False,
) -> ir.Value:
    options: dict[str, Any] = {}
    if alpha != 1:
        options["alpha"] = float(alpha)
    if added is not None and beta != 1:
        options["beta"] = float(beta)
    if right_transposed:
        options["transB"] = 1
    return op.Gemm(left, right, added, **options)


def _scaled(op: Emitter, x: ir.Value, factor: Number) -> ir.Value:
    return x if factor == 1 else op.Mul(x, op.const_like(factor, x))


def _product_and_sum(op: Emitter, added: ir.Value, product: ir.Value, beta: Number, alpha: Number) -> ir.Value:
    """Return ``beta * added + alpha * product``; a beta of zero drops even NaNs of what it multiplies."""
    if product.dtype is not None and product.dtype.is_integer():
        # PyTorch takes both as numbers of the result's dtype.
        alpha, beta = int(alpha), int(beta)
    product = _scaled(op, product, alpha)
    return product if beta == 0 else op.Add(product, _scaled(op, added, beta))


@lowers("aten::linear")
def linear(op: Emitter, x: ir.Value, weight: ir.Value, bias: ir.Value | None) -> ir.Value:
    """Multiply by a transposed weight and add a bias."""
    if op.rank(x) == 2 and op.rank(weight) == 2 and _is_floating(x):
        return _gemm(op, x, weight, bias, right_transposed=True)
    product = op.MatMul(x, swapped(op, weight, 0, 1) if op.rank(weight) == 2 else weight)
    return product if bias is None else op.Add(product, bias)


@lowers("aten::mm", "aten::bmm", "aten::mv", "aten::dot", "aten::vdot")
def mm(op: Emitter, left: ir.Value, right: ir.Value) -> ir.Value:
    """Multiply matrices, stacks of matrices or vectors."""
    return op.MatMul(left, right)


@lowers("aten::matmul", "aten::linalg_matmul")
def matmul(op: Emitter, left: ir.Value, right: ir.Value) -> ir.Value:
    """Multiply by numpy's rule: vectors as rows and columns, further axes broadcast."""
    return op.MatMul(left, right)


@lowers("aten::inner")
def inner(op: Emitter, left: ir.Value, right: ir.Value) -> ir.Value:
    """Sum products over the last axis of both."""
    if op.rank(left) == 0 or op.rank(right) == 0:
        return op.Mul(left, right)
    if op.rank(right) == 1:
        return op.MatMul(left, right)
    return op.call("aten::tensordot", left, right, dims_self=[-1], dims_other=[-1])


@lowers("aten::addmm")
def addmm(
    op: Emitter, added: ir.Value, left: ir.Value, right: ir.Value, *, beta: Number = 1, alpha: Number = 1
) -> ir.Value:
    """Multiply two matrices and add a third."""
    if _is_floating(left):
        # A beta of zero must drop NaNs too, so what it multiplies is left out.
        return _gemm(op, left, right, None if beta == 0 else added, alpha, beta)
    return _product_and_sum(op, added, op.MatMul(left, right), beta, alpha)


@lowers("aten::baddbmm")
def baddbmm(
    op: Emitter, added: ir.Value, left: ir.Value, right: ir.Value, *, beta: Number = 1, alpha: Number = 1
) -> ir.Value:
    """Multiply two stacks of matrices and add a third."""
    return _product_and_sum(op, added, op.MatMul(left, right), beta, alpha)


@lowers("aten::addmv")
def addmv(
    op: Emitter, added: ir.Value, matrix: ir.Value, vector: ir.Value, *, beta: Number = 1, alpha: Number = 1
) -> ir.Value:
    """Multiply a matrix by a vector and add a vector."""
    return _product_and_sum(op, added, op.MatMul(matrix, vector), beta, alpha)


@lowers("aten::addbmm")
def addbmm(
    op: Emitter, added: ir.Value, left: ir.Value, right: ir.Value, *, beta: Number = 1, alpha: Number = 1
) -> ir.Value:
    """Multiply two stacks of matrices, sum over the stack and add a matrix."""
    summed = op.ReduceSum(op.MatMul(left, right), [0], keepdims=0)
    return _product_and_sum(op, added, summed, beta, alpha)


@lowers("aten::addr")
def addr(
    op: Emitter, added: ir.Value, left: ir.Value, right: ir.Value, *, beta: Number = 1, alpha: Number = 1
) -> ir.Value:
    """Add the outer product of two vectors to a matrix."""
    dtype = op.result().dtype
    added, left, right = (op.cast(x, dtype) for x in (added, left, right))
    return _product_and_sum(op, added, _outer(op, left, right), beta, alpha)


def _outer(op: Emitter, left: ir.Value, right: ir.Value) -> ir.Value:
    return op.Mul(op.Unsqueeze(left, [1]), right)


@lowers("aten::outer", "aten::ger")
def outer(op: Emitter, left: ir.Value, right: ir.Value) -> ir.Value:
    """Multiply every element of one vector by every element of another."""
    left, right = op.promote(left, right)
    return _outer(op, left, right)


@lowers("aten::linalg_vecdot")
def vecdot(op: Emitter, left: ir.Value, right: ir.Value, *, dim: int = -1) -> ir.Value:
    """Sum products along one axis."""
    product = op.Mul(left, right)
    return op.ReduceSum(product, [dim % op.rank(product)], keepdims=0)


@lowers("aten::tensordot")
def tensordot(
    op: Emitter, left: ir.Value, right: ir.Value, *, dims_self: Sequence[int], dims_other: Sequence[int]
) -> ir.Value:
    """Sum products over pairs of axes."""
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    left_names = [next(letters) for _ in range(op.rank(left))]
    right_names = [next(letters) for _ in range(op.rank(right))]
    for first, second in zip(dims_self, dims_other, strict=True):
        right_names[second] = left_names[first]
    result = [name for name in (*left_names, *right_names) if (name in left_names) != (name in right_names)]
    equation = f"{''.join(left_names)},{''.join(right_names)}->{''.join(result)}"
    return op.call("aten::einsum", [left, right], equation=equation)


@lowers("aten::chain_matmul", "aten::linalg_multi_dot")
def chain_matmul(op: Emitter, xs: Sequence[ir.Value]) -> ir.Value:
    """Multiply matrices one after the other."""
    product = xs[0]
    for x in xs[1:]:
        product = op.MatMul(product, x)
    return product


@lowers("aten::bilinear")
def bilinear(op: Emitter, left: ir.Value, right: ir.Value, weight: ir.Value, bias: ir.Value | None) -> ir.Value:
    """Multiply two tensors through a weight of three axes: ``left @ weight[o] @ right`` for each output o."""
    # [..., 1, 1, i] @ [o, i, j] -> [..., o, 1, j], times right [..., 1, 1, j], summed over j.
    rank = op.rank(left)
    through = op.MatMul(op.Unsqueeze(left, [rank - 1, rank]), weight)
    product = op.Mul(through, op.Unsqueeze(right, [rank - 1, rank]))
    summed = op.ReduceSum(product, [rank, rank + 1], keepdims=0)
    return summed if bias is None else op.Add(summed, bias)


@lowers("aten::kron")
def kron(op: Emitter, left: ir.Value, right: ir.Value) -> ir.Value:
    """Multiply every element of one tensor by the whole of another."""
    left, right = op.promote(left, right)
    rank = max(op.rank(left), op.rank(right))
    left = op.Unsqueeze(left, list(range(rank - op.rank(left)))) if op.rank(left) < rank else left
    right = op.Unsqueeze(right, list(range(rank - op.rank(right)))) if op.rank(right) < rank else right
    if rank == 0:
        return op.Mul(left, right)
    apart = op.Unsqueeze(left, [2 * axis + 1 for axis in range(rank)])
    product = op.Mul(apart, op.Unsqueeze(right, [2 * axis for axis in range(rank)]))
    sizes: list[Size] = []
    for axis in range(rank):
        first, second = op.dim(left, axis), op.dim(right, axis)
        if first is not None and second is not None:
            sizes.append(first * second)
        else:
            sizes.append(op.Mul(op.vector(op.size(left, axis)), op.vector(op.size(right, axis))))
    return reshape_to(op, product, sizes, op.result().shape)
