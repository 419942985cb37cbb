# SPDX-License-Identifier: Apache-2.0
"""Complex numbers as pairs: arithmetic, parts and polar form, and the views that leave the pairs alone.

Everything here is registered under ``complex/`` and gets and gives pairs (see :mod:`..complex_pairs`).  An operator
that only moves elements is that of real numbers, with its axes counted from the front and its shapes ended by two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..complex_pairs import PREFIX, is_complex
from ..emitter import Emitter
from ..registry import lowers
from .expanding import expand_like
from .reductions import vector_norm
from .views import reshape_to, sizes_of


def _dtype(x: ir.Value) -> ir.DataType:
    return x.dtype or ir.DataType.FLOAT


def part(op: Emitter, x: ir.Value, index: int) -> ir.Value:
    """Return the real (0) or the imaginary (1) parts of pairs."""
    return op.Gather(x, op.i64(index), axis=op.rank(x) - 1)


def paired(op: Emitter, real: ir.Value, imaginary: ir.Value) -> ir.Value:
    """Return real and imaginary parts as pairs."""
    rank = op.rank(real)
    return op.Concat(op.Unsqueeze(real, [rank]), op.Unsqueeze(imaginary, [rank]), axis=rank)


def _wide(op: Emitter, x: ir.Value) -> ir.Value:
    return op.Unsqueeze(x, [op.rank(x)])


def _number(op: Emitter, value: complex | float, dtype: ir.DataType) -> ir.Value:
    return op.const([complex(value).real, complex(value).imag], dtype)


def as_pairs(op: Emitter, x: Any, dtype: ir.DataType) -> ir.Value:
    """Return an operand, real or complex, tensor or number, as pairs of a dtype."""
    if not isinstance(x, ir.Value):
        return _number(op, x, dtype)
    if is_complex(x):
        return op.cast(x, dtype)
    real = _wide(op, op.cast(x, dtype))
    # Padded and not multiplied by (1, 0): zero times infinity is not zero.
    return op.Pad(real, [0] * (2 * op.rank(real) - 1) + [1], op.const(0, dtype))


def _result_dtype(op: Emitter) -> ir.DataType:
    return op.result().dtype


def product(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """Multiply pairs: ``(a + bi)(c + di) = (ac - bd) + (ad + bc)i``."""
    turned = op.Mul(op.Gather(x, op.i64([1, 0]), axis=op.rank(x) - 1), op.const([-1, 1], _dtype(x)))
    real, imaginary = (op.Gather(y, op.i64([i]), axis=op.rank(y) - 1) for i in (0, 1))
    return op.Add(op.Mul(x, real), op.Mul(turned, imaginary))


def conjugate(op: Emitter, x: ir.Value) -> ir.Value:
    """Turn the sign of the imaginary parts of pairs."""
    return op.Mul(x, op.const([1, -1], _dtype(x)))


def reciprocal(op: Emitter, x: ir.Value) -> ir.Value:
    """Return one over pairs."""
    square = op.ReduceSum(op.Mul(x, x), [op.rank(x) - 1], keepdims=1)
    return op.Div(conjugate(op, x), square)


def _operands(x: ir.Value, y: ir.Value | None, other: Any) -> tuple[ir.Value, Any]:
    return x, other if y is None else y


# ---- between complex and real ----------------------------------------------------------------------------------------


@lowers("complex/aten::view_as_real", "complex/aten::view_as_complex", "complex/aten::view_as_real_copy")
def view_as(op: Emitter, x: ir.Value) -> ir.Value:
    """Read pairs as numbers, or numbers as pairs: they are the same; the node keeps the two apart."""
    return op.Identity(x)


@lowers("complex/aten::real", "complex/prims::real")
def real(op: Emitter, x: ir.Value) -> ir.Value:
    """Take the real parts."""
    return part(op, x, 0)


@lowers("complex/aten::imag", "complex/prims::imag")
def imag(op: Emitter, x: ir.Value) -> ir.Value:
    """Take the imaginary parts."""
    return part(op, x, 1)


@lowers("complex/aten::complex")
def complex_of(op: Emitter, real: ir.Value, imaginary: ir.Value) -> ir.Value:
    """Make complex numbers of their parts."""
    dtype = _result_dtype(op)
    real, imaginary = op.cast(real, dtype), op.cast(imaginary, dtype)
    return paired(op, expand_like(op, real, imaginary), expand_like(op, imaginary, real))


@lowers("complex/aten::polar")
def polar(op: Emitter, size: ir.Value, angle: ir.Value) -> ir.Value:
    """Make complex numbers of size and angle."""
    return op.Mul(_wide(op, size), paired(op, op.Cos(angle), op.Sin(angle)))


@lowers("complex/aten::abs")
def absolute(op: Emitter, x: ir.Value) -> ir.Value:
    """Take the absolute values."""
    return op.ReduceL2(x, [op.rank(x) - 1], keepdims=0)


@lowers("complex/aten::linalg_vector_norm")
def linalg_vector_norm(
    op: Emitter, x: ir.Value, *, ord: float = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> ir.Value:
    """The norm of the absolute values along dimensions."""
    del dtype  # the result's, which the emitter gives it
    return vector_norm(op, absolute(op, x), ord, dim, keepdim)


@lowers("complex/aten::angle")
def angle(op: Emitter, x: ir.Value) -> ir.Value:
    """Take the angles, from -pi to pi."""
    return op.call("aten::atan2", part(op, x, 1), part(op, x, 0))


@lowers(
    "complex/aten::_conj",
    "complex/aten::conj",
    "complex/aten::conj_physical",
    "complex/aten::_conj_physical",
    "complex/prims::conj",
    "complex/prims::conj_physical",
)
def conj(op: Emitter, x: ir.Value) -> ir.Value:
    """Conjugate."""
    return conjugate(op, x)


@lowers(
    "complex/aten::clone",
    "complex/aten::alias",
    "complex/aten::detach",
    "complex/aten::resolve_conj",
    "complex/aten::resolve_neg",
    "complex/aten::lift_fresh_copy",
    "complex/aten::contiguous",
)
def same(op: Emitter, x: ir.Value) -> ir.Value:
    """Hand on."""
    del op
    return x


@lowers("complex/aten::_to_copy", "complex/aten::to.dtype")
def to_copy(op: Emitter, x: ir.Value, *, dtype: Any = None, copy: bool = False) -> ir.Value:
    """Convert between real and complex, or between widths; a complex number that becomes real loses its other part."""
    del dtype, copy
    wanted = op.result()
    rank = len(wanted.shape) if wanted.shape is not None else op.rank(x)
    if not is_complex(x):
        return as_pairs(op, x, wanted.dtype)
    return op.cast(x if rank == op.rank(x) else part(op, x, 0), wanted.dtype)


@lowers("complex/aten::copy")
def copy(op: Emitter, x: ir.Value, source: ir.Value, *, non_blocking: bool = False) -> ir.Value:
    """Overwrite ``x`` with ``source``: its numbers, at the dtype and shape of ``x``."""
    del non_blocking
    return op.Expand(as_pairs(op, source, _dtype(x)), op.i64(op.sizes(x)))


# ---- arithmetic ------------------------------------------------------------------------------------------------------


@lowers("complex/aten::add.Tensor", "complex/aten::add.Scalar")
def add(op: Emitter, x: ir.Value, y: ir.Value | None = None, *, other: Any = None, alpha: Any = 1) -> ir.Value:
    """Add."""
    return _added(op, x, y, other, alpha)


@lowers("complex/aten::sub.Tensor", "complex/aten::sub.Scalar")
def sub(op: Emitter, x: ir.Value, y: ir.Value | None = None, *, other: Any = None, alpha: Any = 1) -> ir.Value:
    """Subtract."""
    return _added(op, x, y, other, -alpha)


def _added(op: Emitter, x: ir.Value, y: ir.Value | None, other: Any, alpha: Any) -> ir.Value:
    dtype = _result_dtype(op)
    left, right = (as_pairs(op, value, dtype) for value in _operands(x, y, other))
    if alpha == -1:
        return op.Sub(left, right)
    if alpha != 1:
        right = (
            product(op, right, _number(op, alpha, dtype))
            if isinstance(alpha, complex)
            else op.Mul(right, op.const(alpha, dtype))
        )
    return op.Add(left, right)


@lowers("complex/aten::mul.Tensor", "complex/aten::mul.Scalar")
def mul(op: Emitter, x: ir.Value, y: ir.Value | None = None, *, other: Any = None) -> ir.Value:
    """Multiply; by real numbers in one node."""
    dtype = _result_dtype(op)
    left, right = _operands(x, y, other)
    if not is_complex(left):
        left, right = right, left
    if not isinstance(right, ir.Value):
        if isinstance(right, complex) and right.imag:
            return product(op, as_pairs(op, left, dtype), _number(op, right, dtype))
        return op.Mul(as_pairs(op, left, dtype), op.const(complex(right).real, dtype))
    if not is_complex(right):
        return op.Mul(as_pairs(op, left, dtype), _wide(op, op.cast(right, dtype)))
    return product(op, op.cast(left, dtype), op.cast(right, dtype))


@lowers("complex/aten::div.Tensor", "complex/aten::div.Scalar")
def div(op: Emitter, x: ir.Value, y: ir.Value | None = None, *, other: Any = None) -> ir.Value:
    """Divide; by real numbers in one node."""
    dtype = _result_dtype(op)
    left, right = _operands(x, y, other)
    numerator = as_pairs(op, left, dtype)
    if not isinstance(right, ir.Value):
        if isinstance(right, complex) and right.imag:
            return product(op, numerator, _number(op, 1 / right, dtype))
        return op.Div(numerator, op.const(complex(right).real, dtype))
    if not is_complex(right):
        return op.Div(numerator, _wide(op, op.cast(right, dtype)))
    return product(op, numerator, reciprocal(op, op.cast(right, dtype)))


@lowers("complex/aten::reciprocal")
def one_over(op: Emitter, x: ir.Value) -> ir.Value:
    """Divide one by each number."""
    return reciprocal(op, x)


@lowers("complex/aten::neg")
def neg(op: Emitter, x: ir.Value) -> ir.Value:
    """Negate."""
    return op.Neg(x)


@lowers("complex/aten::exp")
def exp(op: Emitter, x: ir.Value) -> ir.Value:
    """Take the exponential: size ``exp(real)``, angle the imaginary part."""
    return polar(op, op.Exp(part(op, x, 0)), part(op, x, 1))


@lowers("complex/aten::log")
def log(op: Emitter, x: ir.Value) -> ir.Value:
    """Take the principal logarithm."""
    return paired(op, op.Log(absolute(op, x)), angle(op, x))


def whole_power(op: Emitter, x: ir.Value, exponent: int) -> ir.Value:
    """Raise to a whole number above zero by squaring."""
    result: ir.Value | None = None
    while exponent:
        if exponent % 2:
            result = x if result is None else product(op, result, x)
        exponent //= 2
        if exponent:
            x = product(op, x, x)
    assert result is not None
    return result


@lowers("complex/aten::mm", "complex/aten::bmm", "complex/aten::matmul", "complex/aten::mv", "complex/aten::dot")
def matmul(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """Multiply matrices: four products of their parts, or two where one side is real."""
    dtype = _result_dtype(op)
    if not is_complex(x):
        x = op.cast(x, dtype)
        return paired(op, op.MatMul(x, part(op, y, 0)), op.MatMul(x, part(op, y, 1)))
    if not is_complex(y):
        y = op.cast(y, dtype)
        return paired(op, op.MatMul(part(op, x, 0), y), op.MatMul(part(op, x, 1), y))
    a, b, c, d = part(op, x, 0), part(op, x, 1), part(op, y, 0), part(op, y, 1)
    first = op.Sub(op.MatMul(a, c), op.MatMul(b, d))
    return paired(op, first, op.Add(op.MatMul(a, d), op.MatMul(b, c)))


def over_parts(op: Emitter, flags: ir.Value, reduce: Callable[..., ir.Value]) -> ir.Value:
    """Make one flag of those of the two parts: all of them by ReduceMin, any by ReduceMax."""
    counted = op.cast(flags, ir.DataType.INT64)
    return op.cast(reduce(counted, [op.rank(counted) - 1], keepdims=0), ir.DataType.BOOL)


@lowers("complex/aten::eq.Tensor")
def equal(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """Compare."""
    dtype = _dtype(x if is_complex(x) else y)
    alike = op.Equal(as_pairs(op, x, dtype), as_pairs(op, y, dtype))
    return over_parts(op, alike, op.ReduceMin)


@lowers("complex/aten::where.self")
def where(op: Emitter, condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """Choose."""
    dtype = _result_dtype(op)
    return op.Where(_wide(op, condition), as_pairs(op, x, dtype), as_pairs(op, y, dtype))


@lowers("complex/aten::masked_fill.Scalar")
def masked_fill(op: Emitter, x: ir.Value, mask: ir.Value, *, value: Any) -> ir.Value:
    """Fill where a mask is true."""
    return op.Where(_wide(op, mask), _number(op, value, _dtype(x)), x)


@lowers("complex/aten::sum")
def total(op: Emitter, x: ir.Value, *, dtype: Any = None) -> ir.Value:
    """Sum all elements."""
    del dtype
    flat = reshape_to(op, x, [-1, 2])
    return op.ReduceSum(flat, [0], keepdims=0)


@lowers("complex/aten::sum.dim_IntList")
def sum_over(
    op: Emitter, x: ir.Value, *, dim: Sequence[int] | None, keepdim: bool = False, dtype: Any = None
) -> ir.Value:
    """Sum over axes."""
    del dtype
    return op.ReduceSum(x, _reduced_axes(op, x, dim), keepdims=int(keepdim))


@lowers("complex/aten::mean.dim")
def mean_over(
    op: Emitter, x: ir.Value, *, dim: Sequence[int] | None, keepdim: bool = False, dtype: Any = None
) -> ir.Value:
    """Take the mean over axes."""
    del dtype
    return op.ReduceMean(x, _reduced_axes(op, x, dim), keepdims=int(keepdim))


def _reduced_axes(op: Emitter, x: ir.Value, dim: Sequence[int] | None) -> list[int]:
    rank = op.rank(x) - 1
    return sorted(axis % rank for axis in dim) if dim else list(range(rank))


# ---- moving elements -------------------------------------------------------------------------------------------------

Arguments = Mapping[str, Any]
Rewrite = Callable[[int, Any], Any]
"""Rewrites one argument, given the number of axes of the complex tensor."""


def _axis(rank: int, value: int) -> int:
    return value % rank if rank else 0


def _new_axis(rank: int, value: int) -> int:
    return value % (rank + 1)


def _axes(rank: int, value: Sequence[int]) -> list[int]:
    return [axis % rank for axis in value]


def _order(rank: int, value: Sequence[int]) -> list[int]:
    return [*_axes(rank, value), rank]


def _sizes(rank: int, value: Sequence[Any]) -> list[Any]:
    return [*value, 2]


def _repeats(rank: int, value: Sequence[Any]) -> list[Any]:
    return [*value, 1]


_MOVING: dict[str, dict[str, Rewrite]] = {
    "view": {"size": _sizes},
    "_unsafe_view": {"size": _sizes},
    "reshape": {"shape": _sizes},
    "expand": {"size": _sizes},
    "repeat": {"repeats": _repeats},
    "permute": {"dims": _order},
    "transpose.int": {"dim0": _axis, "dim1": _axis},
    "unsqueeze": {"dim": _new_axis},
    "squeeze.dim": {"dim": _axis},
    "squeeze.dims": {"dim": _axes},
    "flatten.using_ints": {"start_dim": _axis, "end_dim": _axis},
    "select.int": {"dim": _axis},
    "slice.Tensor": {"dim": _axis},
    "unbind.int": {"dim": _axis},
    "split.Tensor": {"dim": _axis},
    "split_with_sizes": {"dim": _axis},
    "chunk": {"dim": _axis},
    "narrow": {"dim": _axis},
    "flip": {"dims": _axes},
    "cat": {"dim": _axis},
    "stack": {"dim": _new_axis},
    "index.Tensor": {},
    "index_select": {"dim": _axis},
    "slice_scatter": {"dim": _axis},
    "select_scatter": {"dim": _axis},
    "cumsum": {"dim": _axis},
    "index_put": {},
}


def _register_moving(name: str, rewrites: Mapping[str, Rewrite]) -> None:
    @lowers(f"{PREFIX}aten::{name}")
    def moving(op: Emitter, *tensors: Any, **arguments: Any) -> Any:
        first = tensors[0]
        sample = first[0] if isinstance(first, list) else first
        rank = op.rank(sample) - 1
        if isinstance(first, list):
            dtype = _result_dtype(op)
            tensors = ([as_pairs(op, x, dtype) for x in first], *tensors[1:])
            rank = op.rank(tensors[0][0]) - 1
        for argument, rewrite in rewrites.items():
            arguments[argument] = rewrite(rank, arguments[argument])
        return op.call(f"aten::{name}", *tensors, **arguments)


for _name, _rewrites in _MOVING.items():
    _register_moving(_name, _rewrites)


@lowers("complex/aten::t")
def t(op: Emitter, x: ir.Value) -> ir.Value:
    """Transpose a matrix."""
    return x if op.rank(x) < 3 else op.Transpose(x, perm=[1, 0, 2])


@lowers("complex/aten::roll")
def roll(op: Emitter, x: ir.Value, *, shifts: Sequence[Any], dims: Sequence[int] = ()) -> ir.Value:
    """Move elements along axes."""
    rank = op.rank(x) - 1
    if not dims:
        rolled = op.call("aten::roll", reshape_to(op, x, [-1, 2]), shifts=list(shifts), dims=[0])
        return reshape_to(op, rolled, sizes_of(op, x))
    return op.call("aten::roll", x, shifts=list(shifts), dims=_axes(rank, dims))


@lowers("complex/aten::constant_pad_nd")
def constant_pad(op: Emitter, x: ir.Value, *, pad: Sequence[Any], value: Any = 0) -> ir.Value:
    """Pad with a real number of zero."""
    if value != 0:
        raise op.cannot("complex numbers are padded with zeros only")
    return op.call("aten::constant_pad_nd", x, pad=[0, 0, *pad], value=0)


@lowers("complex/aten::full", "complex/aten::scalar_tensor")
def full(
    op: Emitter, *, size: Sequence[Any] = (), fill_value: Any = None, s: Any = None, dtype: Any = None
) -> ir.Value:
    """Make a tensor of one complex number."""
    del dtype
    number = _number(op, s if fill_value is None else fill_value, _result_dtype(op))
    return op.Expand(number, op.int_vector([*size, 2])) if size else number


@lowers("complex/aten::zeros")
def zeros(op: Emitter, *, size: Sequence[Any], dtype: Any = None) -> ir.Value:
    """Make a tensor of zeros."""
    del dtype
    return op.Expand(op.const(np.zeros(2), _result_dtype(op)), op.int_vector([*size, 2]))


@lowers("complex/aten::zeros_like")
def zeros_like(op: Emitter, x: ir.Value, *, dtype: Any = None) -> ir.Value:
    """Make zeros of the shape of another tensor."""
    del dtype
    return op.Expand(op.const(0, _result_dtype(op)), op.Shape(x))
