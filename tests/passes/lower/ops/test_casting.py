# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, NEWEST)
DTYPES = (torch.float32, torch.float64, torch.int64, torch.int32, torch.bool, torch.uint8, torch.float16)

X = torch.tensor([[0.0, 1.0, 2.9], [3.1, 7.0, 0.4]])
N = tensor(2, 3, dtype=torch.int64).abs()

CALLS = [
    *(call(A._to_copy.default, x, dtype=dtype) for x in (X, N, N > 3) for dtype in DTYPES),
    call(A._to_copy.default, torch.tensor([math.nan, -2.5, math.inf]), dtype=torch.bool, free=False),
    call(A._to_copy.default, -X, dtype=torch.int64),
    call(A.to.dtype, X, torch.float64),
    call(A.dequantize.self, X.double()),
    call(A.dequantize.self, N),
    call(A.type_as.default, X, N),
    call(A.copy.default, torch.zeros(2, 3), torch.tensor([1, 2, 3])),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_conversions_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    "overload", [A.clone.default, A.alias.default, A.detach.default, A.contiguous.default, A.lift_fresh_copy.default]
)
def test_a_copy_is_no_operator(overload: object) -> None:
    # The Identity is there because an output cannot be an input.
    assert ["Identity"] == operators(agrees(call(overload, X), 13, False))


def test_a_conversion_to_the_same_dtype_is_no_operator() -> None:
    assert ["Identity"] == operators(agrees(call(A._to_copy.default, X, dtype=torch.float32), 13, False))
