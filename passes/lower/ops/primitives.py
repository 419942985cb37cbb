# SPDX-License-Identifier: Apache-2.0
"""PyTorch's primitives (``prims``) that are called otherwise than the ATen operators that they equal.

Decomposing an exported program leaves them.  Those with the arguments of an ATen operator are registered with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from ..complex_pairs import PREFIX
from ..emitter import Emitter, Operand
from ..registry import lowers
from .creation import filled
from .expanding import expand_to
from .reductions import Dims, reduce
from .views import Size, permuted, reshape_to, sizes_of

# ---- shapes ----------------------------------------------------------------------------------------------------------


@lowers("prims::broadcast_in_dim")
def broadcast_in_dim(
    op: Emitter, a: ir.Value, *, shape: Sequence[Size], broadcast_dimensions: Sequence[int]
) -> ir.Value:
    """Put the axes of a tensor at the places that are named, and broadcast it over the others."""
    new = [axis for axis in range(len(shape)) if axis not in broadcast_dimensions]
    wide = op.Unsqueeze(a, new) if new else a
    return expand_to(op, wide, shape, op.result().shape)


@lowers("prims::transpose")
def transpose(op: Emitter, a: ir.Value, *, permutation: Sequence[int]) -> ir.Value:
    """Put the axes in another order."""
    return permuted(op, a, permutation)


@lowers("prims::reshape")
def reshape(op: Emitter, a: ir.Value, *, shape: Sequence[Size]) -> ir.Value:
    """Give a tensor another shape."""
    return reshape_to(op, a, shape, op.result().shape)


@lowers("prims::squeeze")
def squeeze(op: Emitter, a: ir.Value, *, dimensions: Sequence[int]) -> ir.Value:
    """Take axes of size one away."""
    return op.Squeeze(a, list(dimensions)) if dimensions else a


@lowers("prims::collapse", "prims::collapse_view")
def collapse(op: Emitter, a: ir.Value, *, start: int, end: int) -> ir.Value:
    """Merge the axes from one to another, both included."""
    if op.rank(a) == 0:
        return op.Unsqueeze(a, [0])
    result = op.result().shape
    return reshape_to(op, a, [*sizes_of(op, a, 0, start), -1, *sizes_of(op, a, end + 1)], result)


@lowers("prims::split_dim")
def split_dim(op: Emitter, a: ir.Value, *, dim: int, outer_length: Size) -> ir.Value:
    """Split an axis in two, of which the length of the first is given."""
    sizes = [*sizes_of(op, a, 0, dim), outer_length, -1, *sizes_of(op, a, dim + 1)]
    return reshape_to(op, a, sizes, op.result().shape)


@lowers("prims::rev")
def rev(op: Emitter, a: ir.Value, *, dims: Sequence[int]) -> ir.Value:
    """Turn axes round."""
    return op.call("aten::flip", a, dims=dims)


# ---- numbers ---------------------------------------------------------------------------------------------------------


@lowers("prims::cbrt")
def cbrt(op: Emitter, x: ir.Value) -> ir.Value:
    """The cube root, which a negative number has too."""
    return op.Mul(op.Sign(x), op.Pow(op.Abs(x), op.const_like(1 / 3, x)))


@lowers("prims::prod")
def prod(op: Emitter, inp: ir.Value, *, dims: Dims, output_dtype: Any = None) -> ir.Value:
    """The product over axes."""
    return reduce(op, "ReduceProd", op.cast(inp, op.result().dtype), dims, False)


# ---- tensors that are made -------------------------------------------------------------------------------------------


@lowers("prims::empty")
def empty(op: Emitter, *, shape: Sequence[Any], dtype: Any, requires_grad: bool) -> ir.Value:
    """A tensor whose contents nobody may rely on; here they are zeros."""
    return filled(op, shape, 0, op.result().dtype)


@lowers("prims::fill")
def fill(op: Emitter, x: ir.Value, *, value: Operand) -> ir.Value:
    """A tensor of another's shape that holds one number."""
    return filled(op, op.sizes(x), value, op.result().dtype)


@lowers("prims::uniform")
def uniform(
    op: Emitter, *, shape: Sequence[Any], low: Operand, high: Operand, dtype: Any, stride: Sequence[Any]
) -> ir.Value:
    """Uniform between two bounds."""
    zeros = filled(op, shape, 0, op.result().dtype)
    return op.call("aten::uniform", zeros, **{"from": low, "to": high})


# ---- Fourier transforms ----------------------------------------------------------------------------------------------


@lowers(f"{PREFIX}prims::fft_r2c")
def fft_r2c(op: Emitter, x: ir.Value, *, dim: Sequence[int], onesided: bool) -> ir.Value:
    """The transform of real numbers, without normalisation."""
    return op.call(f"{PREFIX}aten::_fft_r2c", x, dim=dim, normalization=0, onesided=onesided)


@lowers(f"{PREFIX}prims::fft_c2c")
def fft_c2c(op: Emitter, x: ir.Value, *, dim: Sequence[int], forward: bool) -> ir.Value:
    """The transform of complex numbers, without normalisation."""
    return op.call(f"{PREFIX}aten::_fft_c2c", x, dim=dim, normalization=0, forward=forward)


@lowers(f"{PREFIX}prims::fft_c2r")
def fft_c2r(op: Emitter, x: ir.Value, *, dim: Sequence[int], last_dim_size: Any) -> ir.Value:
    """The transform back to real numbers, without normalisation."""
    return op.call(f"{PREFIX}aten::_fft_c2r", x, dim=dim, normalization=0, last_dim_size=last_dim_size)
