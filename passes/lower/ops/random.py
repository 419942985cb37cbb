# SPDX-License-Identifier: Apache-2.0
"""Random numbers.  The seed is left to the runtime: the values differ from PyTorch's, their distribution does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch

from ..emitter import Emitter, Operand
from ..registry import lowers
from .creation import filled

_GENERATED = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16)


def _generated_dtype(dtype: ir.DataType) -> ir.DataType:
    return dtype if dtype in _GENERATED else ir.DataType.FLOAT


def uniform_numbers(
    op: Emitter, size: Sequence[Any] | ir.Value, dtype: ir.DataType, low: float, high: float
) -> ir.Value:
    """Numbers between two bounds, the upper one excluded."""
    shape = op.int_vector(size)
    bounds = {"low": float(low), "high": float(high), "dtype": dtype}
    if isinstance(shape, list):
        return op.RandomUniform(shape=shape, **bounds) if shape else _single(op, "RandomUniform", bounds)
    return op.RandomUniformLike(filled(op, shape, 0, dtype), **bounds)


def normal_numbers(
    op: Emitter, size: Sequence[Any] | ir.Value, dtype: ir.DataType, mean: float, std: float
) -> ir.Value:
    """Numbers of a normal distribution."""
    shape = op.int_vector(size)
    moments = {"mean": float(mean), "scale": float(std), "dtype": dtype}
    if isinstance(shape, list):
        return op.RandomNormal(shape=shape, **moments) if shape else _single(op, "RandomNormal", moments)
    return op.RandomNormalLike(filled(op, shape, 0, dtype), **moments)


def uniform_like(op: Emitter, x: ir.Value, low: float | None = None, high: float | None = None) -> ir.Value:
    """Numbers between two bounds, by default 0 and 1, of another value's shape and floating dtype."""
    if op.rank(x) == 0:
        # onnx's reference evaluator, which has to do where onnxruntime lacks the operator, fails on such a template.
        return _single(op, "RandomUniform", {"low": low, "high": high, "dtype": x.dtype})
    return op.RandomUniformLike(x, low=low, high=high)


def _single(op: Emitter, kind: str, attributes: dict[str, Any]) -> ir.Value:
    return op.Squeeze(getattr(op, kind)(shape=[1], **attributes), [0])


@lowers("aten::rand", "aten::rand.generator")
def rand(op: Emitter, *, size: Sequence[Any], dtype: torch.dtype | None = None) -> ir.Value:
    """Uniform in [0, 1)."""
    return uniform_numbers(op, size, _generated_dtype(op.result().dtype), 0, 1)


@lowers("aten::rand_like", "aten::rand_like.generator")
def rand_like(op: Emitter, x: ir.Value, *, dtype: torch.dtype | None = None) -> ir.Value:
    """Uniform in [0, 1), of another tensor's shape."""
    return uniform_numbers(op, op.sizes(x), _generated_dtype(op.result().dtype), 0, 1)


@lowers("aten::uniform")
def uniform(op: Emitter, x: ir.Value, *, from_: float = 0.0, to: float = 1.0) -> ir.Value:
    """Uniform between two bounds."""
    return uniform_numbers(op, op.sizes(x), _generated_dtype(op.result().dtype), from_, to)


@lowers("aten::randn", "aten::randn.generator")
def randn(op: Emitter, *, size: Sequence[Any], dtype: torch.dtype | None = None) -> ir.Value:
    """Of the standard normal distribution."""
    return normal_numbers(op, size, _generated_dtype(op.result().dtype), 0, 1)


@lowers("aten::randn_like", "aten::randn_like.generator")
def randn_like(op: Emitter, x: ir.Value, *, dtype: torch.dtype | None = None) -> ir.Value:
    """Of the standard normal distribution, of another tensor's shape."""
    return normal_numbers(op, op.sizes(x), _generated_dtype(op.result().dtype), 0, 1)


@lowers("aten::normal_functional")
def normal_functional(op: Emitter, x: ir.Value, *, mean: float = 0.0, std: float = 1.0) -> ir.Value:
    """Of a normal distribution, of another tensor's shape."""
    return normal_numbers(op, op.sizes(x), _generated_dtype(op.result().dtype), mean, std)


@lowers("aten::normal.float_float", "prims::normal")
def normal(
    op: Emitter,
    *,
    mean: float,
    std: float,
    size: Sequence[Any] | None = None,
    shape: Sequence[Any] | None = None,
    dtype: torch.dtype | None = None,
    requires_grad: bool = False,
) -> ir.Value:
    """Of a normal distribution."""
    dims = size if shape is None else shape
    return normal_numbers(op, dims or [], _generated_dtype(op.result().dtype), mean, std)


@lowers("aten::normal.Tensor_float", "aten::normal.float_Tensor", "aten::normal.Tensor_Tensor")
def normal_around(
    op: Emitter, x: ir.Value, y: ir.Value | None = None, *, mean: Operand = None, std: Operand = None
) -> ir.Value:
    """Of normal distributions whose means and deviations are tensors."""
    center = x if mean is None else mean
    spread = (y if y is not None else x) if std is None else std
    like = x if y is None else op.Add(x, y)
    noise = normal_numbers(op, op.sizes(like), _generated_dtype(op.result().dtype), 0, 1)
    return op.Add(op.Mul(noise, spread), center)


@lowers("aten::exponential")
def exponential(op: Emitter, x: ir.Value, *, lambd: float = 1.0) -> ir.Value:
    """Of an exponential distribution, by its inverse."""
    numbers = uniform_numbers(op, op.sizes(x), _generated_dtype(op.result().dtype), 0, 1)
    return op.Div(op.Log(op.Sub(1.0, numbers)), -lambd)


@lowers("aten::cauchy")
def cauchy(op: Emitter, x: ir.Value, *, median: float = 0.0, sigma: float = 1.0) -> ir.Value:
    """Of a Cauchy distribution, by its inverse."""
    numbers = uniform_numbers(op, op.sizes(x), _generated_dtype(op.result().dtype), -0.5, 0.5)
    return op.Add(op.Mul(op.Tan(op.Mul(numbers, math.pi)), sigma), median)


@lowers("aten::log_normal")
def log_normal(op: Emitter, x: ir.Value, *, mean: float = 1.0, std: float = 2.0) -> ir.Value:
    """Of numbers whose logarithms are normal."""
    return op.Exp(normal_numbers(op, op.sizes(x), _generated_dtype(op.result().dtype), mean, std))


@lowers("aten::geometric")
def geometric(op: Emitter, x: ir.Value, *, p: float) -> ir.Value:
    """How many trials it takes to the first success, by the inverse of the distribution."""
    numbers = uniform_numbers(op, op.sizes(x), ir.DataType.FLOAT, 1e-30, 1)
    return op.Ceil(op.Div(op.Log(numbers), math.log1p(-p)))


# ---- whole numbers ---------------------------------------------------------------------------------------------------


def _integers(op: Emitter, size: Sequence[Any] | ir.Value, low: Operand, high: Operand) -> ir.Value:
    # In double precision the upper bound is never reached by rounding.
    if isinstance(low, ir.Value) or isinstance(high, ir.Value):
        bounds = [op.scalar(bound, ir.DataType.DOUBLE) for bound in (low, high)]
        numbers = uniform_numbers(op, size, ir.DataType.DOUBLE, 0, 1)
        return op.cast(op.Floor(op.Add(op.Mul(numbers, op.Sub(bounds[1], bounds[0])), bounds[0])), ir.DataType.INT64)
    return op.cast(op.Floor(uniform_numbers(op, size, ir.DataType.DOUBLE, low, high)), ir.DataType.INT64)


@lowers("aten::randint", "aten::randint.generator", "aten::randint.low", "aten::randint.low_generator")
def randint(
    op: Emitter, *, low: Operand = 0, high: Operand, size: Sequence[Any], dtype: torch.dtype | None = None
) -> ir.Value:
    """Integers from ``low`` to before ``high``."""
    return _integers(op, size, low, high)


@lowers(
    "aten::randint_like",
    "aten::randint_like.generator",
    "aten::randint_like.low_dtype",
    "aten::randint_like.low_generator_dtype",
)
def randint_like(
    op: Emitter, x: ir.Value, *, low: Operand = 0, high: Operand, dtype: torch.dtype | None = None
) -> ir.Value:
    """Integers from ``low`` to before ``high``, of another tensor's shape."""
    return _integers(op, op.sizes(x), low, high)


@lowers("aten::random.from", "aten::random.to")
def random_between(op: Emitter, x: ir.Value, *, from_: Operand = 0, to: Operand) -> ir.Value:
    """Integers from a bound to before another, of another tensor's shape."""
    if to is None:
        raise op.cannot("a random integer needs an upper bound")
    return _integers(op, op.sizes(x), from_, to)


@lowers("aten::randperm", "aten::randperm.generator")
def randperm(op: Emitter, *, n: Operand, dtype: torch.dtype | None = None) -> ir.Value:
    """The integers below ``n`` in random order: the order of as many random numbers."""
    numbers = uniform_numbers(op, [n], ir.DataType.FLOAT, 0, 1)
    return op.TopK(numbers, op.vector(n), axis=0)[1]


# ---- draws -----------------------------------------------------------------------------------------------------------


@lowers("aten::bernoulli")
def bernoulli(op: Emitter, x: ir.Value) -> ir.Value:
    """One with the probability that each element states.

    ONNX's Bernoulli is a function whose body runtimes have had the wrong way round; a comparison is as short.
    """
    return op.Less(uniform_like(op, x), x)


@lowers("aten::bernoulli.p", "aten::bernoulli.Tensor")
def bernoulli_of(op: Emitter, x: ir.Value, chance: ir.Value | None = None, *, p: Operand = 0.5) -> ir.Value:
    """One with a given probability, of another tensor's shape."""
    dtype = ir.DataType.FLOAT if chance is None or chance.dtype is None else _generated_dtype(chance.dtype)
    return op.Less(uniform_numbers(op, op.sizes(x), dtype, 0, 1), op.cast(p if chance is None else chance, dtype))


@lowers("aten::multinomial", since=22)
def multinomial(op: Emitter, x: ir.Value, *, num_samples: Operand, replacement: bool = False) -> ir.Value:
    """Indices drawn with the weights of each row; onnxruntime 1.32 has no kernel for this version of Multinomial.

    With replacement a uniform number is looked up in the running sum of the weights.
    """
    if not replacement or num_samples == 1:
        return _drawn_without_replacement(op, x, num_samples)
    sums = op.CumSum(x, op.i64(-1))
    dtype = _generated_dtype(x.dtype or ir.DataType.FLOAT)
    size = [op.size(x, axis) for axis in range(op.rank(x) - 1)] + [num_samples]
    total = op.ReduceSum(x, [-1], keepdims=1)
    places = op.Mul(op.cast(uniform_numbers(op, size, dtype, 0, 1), x.dtype or dtype), total)
    passed = op.LessOrEqual(op.Unsqueeze(sums, [-2]), op.Unsqueeze(places, [-1]))
    return op.ReduceSum(op.cast(passed, ir.DataType.INT64), [-1], keepdims=0)


@lowers("aten::multinomial")
def multinomial_by_operator(op: Emitter, x: ir.Value, *, num_samples: Operand, replacement: bool = False) -> ir.Value:
    """Indices drawn with the weights of each row, by ONNX's Multinomial, which always puts back."""
    if num_samples != 1 and not replacement:
        return _drawn_without_replacement(op, x, num_samples)
    if not isinstance(num_samples, int):
        raise op.cannot("a number of samples that is only known at run time has no counterpart before opset 22")
    rows = op.Unsqueeze(x, [0]) if op.rank(x) == 1 else x
    drawn = op.Multinomial(op.Log(rows), dtype=ir.DataType.INT64, sample_size=num_samples)
    return op.Squeeze(drawn, [0]) if op.rank(x) == 1 else drawn


def _drawn_without_replacement(op: Emitter, x: ir.Value, num_samples: Operand) -> ir.Value:
    """The order of ``weight / exponential noise`` is a draw without replacement."""
    dtype = x.dtype or ir.DataType.FLOAT
    noise = op.Neg(op.Log(uniform_numbers(op, op.sizes(x), _generated_dtype(dtype), 1e-30, 1)))
    return op.TopK(op.Div(x, op.cast(noise, dtype)), op.vector(num_samples), axis=-1)[1]
