# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 13, NEWEST)

LINE, PLANE, SPACE = tensor(2, 3, 9), tensor(2, 3, 9, 8), tensor(2, 3, 5, 6, 4)

CALLS = [
    call(A.adaptive_avg_pool1d.default, LINE, [1]),
    call(A.adaptive_avg_pool1d.default, LINE[0], [4], free=False),
    call(A.adaptive_avg_pool1d.default, LINE[0], [4]),
    call(A.adaptive_avg_pool2d.default, PLANE, [1, 1]),
    call(A._adaptive_avg_pool2d.default, PLANE[0], [1, 1]),
    call(A._adaptive_avg_pool2d.default, PLANE, [3, 4], free=False),
    call(A._adaptive_avg_pool2d.default, PLANE, [9, 8], free=False),
    call(A._adaptive_avg_pool2d.default, PLANE, [5, 11], free=False),
    call(A._adaptive_avg_pool2d.default, PLANE, [5, 11]),
    call(A._adaptive_avg_pool2d.default, PLANE, [1, 3]),
    call(A._adaptive_avg_pool3d.default, SPACE, [3, 2, 4], free=False),
    call(A._adaptive_avg_pool3d.default, SPACE, [3, 4, 2]),
    call(A.adaptive_max_pool1d.default, LINE, [4]),
    call(A.adaptive_max_pool2d.default, PLANE, [5, 3]),
    call(A.adaptive_max_pool2d.default, PLANE[0], [1, 1]),
    call(A.adaptive_max_pool3d.default, SPACE, [2, 3, 4]),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_adaptive_pooling_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.adaptive_avg_pool2d.default, PLANE, [1, 1]), 7, ["GlobalAveragePool"]),
        (call(A.adaptive_avg_pool2d.default, PLANE, [3, 4]), 7, ["AveragePool"]),
        (call(A.adaptive_avg_pool2d.default, PLANE, [5, 7]), 13, ["MatMul", "MatMul"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
