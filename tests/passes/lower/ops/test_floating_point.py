# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten

X, N = tensor(2, 3), tensor(2, 3, dtype=torch.int64)
# Zeros, powers of two, the largest, the smallest normal and the smallest of all, infinities, and an ordinary number.
SINGLE = [0.0, -0.0, 1.0, -0.5, 16777216.0, 3.4028234663852886e38, 1.1754943508222875e-38, 1.401298464324817e-45]
DOUBLE = [0.0, 1.0, -2.0, 1.7976931348623157e308, 2.2250738585072014e-308, 5e-324, 3e-310]
OTHERS = [math.inf, -math.inf, math.nan, 123.456]
HALF = [0.0, 1.0, -0.5, 65504.0, 6.103515625e-05, 5.960464477539063e-08]


def _pairs(numbers: list[float], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = zip(*itertools.product([*numbers, *OTHERS], repeat=2), strict=True)
    return torch.tensor(first, dtype=dtype), torch.tensor(second, dtype=dtype)


CALLS = [
    call(A.ldexp.Tensor, X, N),
    call(A.frexp.Tensor, torch.tensor([0.0, 1.0, 8.0, -7.9, 1e-3, 3e8, 0.5])),
    call(A.nextafter.default, *_pairs(SINGLE, torch.float32)),
    call(A.nextafter.default, *_pairs(DOUBLE, torch.float64)),
    call(A.nextafter.default, X, torch.tensor(0.0)),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, NEWEST)))
def test_numbers_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=1e-6, atol=0.0)


def test_neighbours_in_half_precision() -> None:
    x, y = _pairs(HALF, torch.float16)
    agrees(call(A.nextafter.default, x, y), NEWEST, False, rtol=0.0, atol=0.0)
