# SPDX-License-Identifier: Apache-2.0
"""Properties of what older opsets compute with numbers, NaN and infinities among them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.one_operator import assert_same, fed, outcome, written

few = settings(max_examples=20, deadline=None)
any_float = st.floats(width=32, allow_subnormal=False)
vectors = arrays.arrays(np.float32, 6, elements=any_float)
bits = arrays.arrays(np.bool_, 6)


def _same_bits(expected: np.ndarray, got: np.ndarray) -> None:
    np.testing.assert_array_equal(expected, got)
    np.testing.assert_array_equal(np.signbit(expected[~np.isnan(expected)]), np.signbit(got[~np.isnan(got)]))


@few
@given(choice=bits, x=vectors, y=vectors, opset=st.sampled_from([7, 8]))
def test_where_leaves_no_trace_of_what_it_drops(choice: Any, x: Any, y: Any, opset: int) -> None:
    (got,) = outcome("Where", fed(choice, bool), fed(x), fed(y), opset=opset)
    _same_bits(np.where(choice, x, y), got)


@few
@given(
    x=vectors,
    y=vectors,
    how=st.sampled_from([("Equal", np.equal), ("LessOrEqual", np.less_equal), ("GreaterOrEqual", np.greater_equal)]),
    opset=st.sampled_from([7, 9, 10, 11, 12]),
)
def test_comparisons_know_nan(x: Any, y: Any, how: Any, opset: int) -> None:
    op_type, compare = how
    (got,) = outcome(op_type, fed(x), fed(y), opset=opset)
    np.testing.assert_array_equal(compare(x, y), got)


@few
@given(x=vectors, opset=st.sampled_from([7, 8, 10]))
def test_rounding_is_to_even(x: Any, opset: int) -> None:
    (got,) = outcome("Round", fed(x), opset=opset)
    np.testing.assert_array_equal(np.round(x), got)


@few
@given(
    a=arrays.arrays(np.int64, 6, elements=st.integers(-100, 100)),
    b=arrays.arrays(np.int64, 6, elements=st.integers(-9, 9).filter(bool)),
    opset=st.sampled_from([7, 9, 10]),
)
def test_the_remainder_has_the_sign_of_the_divisor(a: Any, b: Any, opset: int) -> None:
    (got,) = outcome("Mod", fed(a, np.int64), fed(b, np.int64), opset=opset)
    np.testing.assert_array_equal(np.mod(a, b), got)


@pytest.mark.parametrize("opset", [7, 9, 10])
@pytest.mark.parametrize("dividend", [1, -1])
def test_the_remainder_of_a_constant_one_survives_the_runtime(dividend: int, opset: int) -> None:
    divisors = np.array([9, 1, -3], np.int64)
    model = written("Mod", np.array([dividend], np.int64), fed(divisors, np.int64), opset=opset)
    # With its rewritings, which the other tests leave out: one of them takes (1 / b) * b for b / b.
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"x0": divisors})
    np.testing.assert_array_equal(np.mod(dividend, divisors), got)


@few
@given(
    a=arrays.arrays(np.float32, 6, elements=st.floats(-1e4, 1e4, width=32)),
    b=arrays.arrays(np.float32, 6, elements=st.floats(0.0625, 1e3, width=32)),
    opset=st.sampled_from([7, 9]),
)
def test_the_remainder_of_floats_is_exact(a: Any, b: Any, opset: int) -> None:
    (got,) = outcome("Mod", fed(a), fed(b), fmod=1, opset=opset)
    np.testing.assert_array_equal(np.fmod(a, b), got)


@few
@given(
    pair=arrays.arrays(np.int64, (2, 6)),
    how=st.sampled_from([("BitwiseAnd", np.bitwise_and), ("BitwiseOr", np.bitwise_or), ("BitwiseXor", np.bitwise_xor)]),
    opset=st.sampled_from([7, 10, 17]),
)
def test_bits_of_integers(pair: Any, how: Any, opset: int) -> None:
    op_type, combine = how
    (got,) = outcome(op_type, fed(pair[0], np.int64), fed(pair[1], np.int64), opset=opset)
    np.testing.assert_array_equal(combine(*pair), got)


@few
@given(x=st.lists(st.floats(-9, 9), min_size=1, max_size=8))
def test_erf_is_as_exact_as_a_double(x: list[float]) -> None:
    (got,) = outcome("Erf", fed(x, np.float64), opset=7)
    np.testing.assert_allclose(got, [math.erf(item) for item in x], rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("op_type", ["Sinh", "Cosh", "Asinh", "Acosh", "Atanh"])
@few
@given(x=st.lists(st.floats(-50, 50), min_size=1, max_size=8))
def test_hyperbolic_functions_keep_their_digits(op_type: str, x: list[float]) -> None:
    compute = {"Asinh": np.arcsinh, "Acosh": np.arccosh, "Atanh": np.arctanh}.get(op_type)
    numbers = np.array(x)
    if op_type == "Acosh":
        numbers = np.abs(numbers) + 1
    if op_type == "Atanh":
        numbers = numbers / 50.5
    expected = compute(numbers) if compute is not None else getattr(np, op_type.lower())(numbers)
    (got,) = outcome(op_type, fed(numbers, np.float64), opset=7)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-300)


@few
@given(
    x=vectors,
    low=st.none() | st.floats(-5, 0, width=32),
    high=st.none() | st.floats(0, 5, width=32),
    opset=st.sampled_from([7, 8, 10, 11, 12]),
)
def test_clipping_leaves_what_has_no_bound(x: Any, low: Any, high: Any, opset: int) -> None:
    (got,) = outcome("Clip", fed(x), low, high, opset=opset)
    np.testing.assert_array_equal(np.clip(x, -np.inf if low is None else low, np.inf if high is None else high), got)


@few
@given(
    left=arrays.array_shapes(min_dims=0, max_dims=2, max_side=3),
    free=st.booleans(),
    op_type=st.sampled_from(["Max", "Min", "Sum", "Mean"]),
)
def test_operators_of_many_inputs_broadcast(left: tuple[int, ...], free: bool, op_type: str) -> None:
    right = tuple(1 if index % 2 else size for index, size in enumerate(left))
    x, y = np.arange(np.prod(left)).reshape(left), np.full(right, 1.5)
    operands = fed(x, free=free), fed(y, free=free)
    assert_same(outcome(op_type, *operands), outcome(op_type, *operands, opset=7))
