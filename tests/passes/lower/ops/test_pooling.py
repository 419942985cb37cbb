# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 11, 13, NEWEST)

LINE, PLANE, SPACE = tensor(2, 3, 9), tensor(2, 3, 9, 8), tensor(2, 3, 5, 6, 5)
POOLED, PLACES = torch.nn.functional.max_pool2d(PLANE, 2, return_indices=True)
# Windows that overlap name a maximum more than once.
SHARED, SHARED_PLACES = torch.nn.functional.max_pool2d(PLANE, 3, 1, return_indices=True)
WHOLE = tensor(2, 3, 9, 8, dtype=torch.int64)
DEEP, DEEP_PLACES = torch.nn.functional.max_pool3d(SPACE, 2, return_indices=True)

CALLS = [
    call(A.max_pool1d.default, LINE, [3], [2], [1]),
    call(A.max_pool2d.default, PLANE, [3, 3], [2, 2], [1, 1]),
    call(A.max_pool2d.default, PLANE[0], [3, 2]),
    call(A.max_pool2d.default, PLANE, [3, 2], [2, 2], [1, 0], [1, 2], free=False),
    call(A.max_pool2d.default, PLANE, [3, 2], [2, 2], [1, 0], [1, 2], floor=10),
    call(A.max_pool2d.default, PLANE, [3, 3], [2, 2], [1, 1], [1, 1], True, free=False),
    call(A.max_pool2d.default, PLANE, [3, 3], [2, 2], [1, 1], [1, 1], True, floor=10),
    call(A.max_pool2d.default, PLANE, [2, 2], [3, 3], [1, 1], [1, 1], True, free=False),
    call(A.max_pool2d.default, PLANE, [2, 2], [3, 3], [1, 1], [2, 2], True, floor=10),
    call(A.max_pool3d.default, SPACE, [2, 2, 2], [1, 2, 1]),
    call(A.max_pool1d_with_indices.default, LINE, [3], [2], floor=8),
    call(A.max_pool2d_with_indices.default, PLANE, [3, 2], [2, 2], [1, 1], floor=8),
    call(A.max_pool2d_with_indices.default, PLANE[0], [3, 2], [2, 2], [1, 1], [1, 1], True, floor=10),
    call(A.max_pool3d_with_indices.default, SPACE, [2, 2, 2], floor=8),
    call(A.max_unpool2d.default, POOLED, PLACES, [9, 8]),
    *(call(A.max_unpool2d.default, SHARED, SHARED_PLACES, [9, 8], floor=opset) for opset in (7, 9)),
    call(A.max_unpool3d.default, DEEP, DEEP_PLACES, [5, 6, 5], [2, 2, 2], [0, 0, 0]),
    call(A.avg_pool1d.default, LINE, [3], [2], [1]),
    call(A.avg_pool2d.default, PLANE, [3, 2], [2, 2], [1, 1]),
    call(A.avg_pool2d.default, PLANE, [3, 2], [2, 2], [1, 1], False, False),
    call(A.avg_pool2d.default, PLANE[0], [3, 2], [2, 2], [1, 1], True, True, free=False),
    call(A.avg_pool2d.default, PLANE[0], [3, 2], [2, 2], [1, 1], True, True, floor=10),
    call(A.avg_pool2d.default, PLANE, [3, 2], [2, 2], [1, 1], True, False, free=False),
    call(A.avg_pool2d.default, PLANE, [3, 2], [2, 2], [1, 1], True, False, floor=10),
    call(A.avg_pool2d.default, PLANE, [3, 2], [2, 2], [1, 1], False, True, 5),
    call(A.avg_pool2d.default, PLANE, [3, 3], [2, 2], [1, 1], True, True, 5),
    call(A.avg_pool2d.default, WHOLE, [3, 3], [2, 2], [1, 1]),
    call(A.avg_pool2d.default, WHOLE, [3, 3], [2, 2], [1, 1], False, False),
    call(A.avg_pool2d.default, WHOLE, [3, 2], [2, 2], [1, 1], True, True, free=False),
    call(A.avg_pool2d.default, WHOLE, [3, 2], [1, 1], [1, 1], False, True, 2),
    call(A.avg_pool3d.default, SPACE, [2, 2, 2], [2, 1, 2], [1, 0, 1], False, True),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_pooling_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.max_pool2d.default, PLANE, [3, 3], [2, 2], [1, 1], [1, 1], True), 7, ["MaxPool"]),
        (call(A.max_pool2d_with_indices.default, PLANE, [2, 2]), 13, ["MaxPool", "Mod"]),
        (call(A.avg_pool2d.default, PLANE, [2, 2]), 13, ["AveragePool"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
