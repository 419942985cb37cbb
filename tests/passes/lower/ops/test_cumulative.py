# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, 18, NEWEST)
INF, NAN = math.inf, math.nan

X = tensor(2, 3, 4)
N = tensor(2, 3, 4, dtype=torch.int64)
B = tensor(2, 3, dtype=torch.bool)
ODD = torch.tensor([[1.0, -INF, NAN, 3.0], [INF, 2.0, INF, 0.0]])

CALLS = [
    *(call(getattr(A, name).default, x, 1) for name in ("cumsum", "cumprod") for x in (X, N, B)),
    call(A.cumsum.default, X, -1, dtype=torch.float64),
    call(A.cumsum.default, torch.tensor(2.0), 0),
    *(call(getattr(A, name).default, x, dim) for name in ("cummax", "cummin") for x in (X, N) for dim in (0, -1)),
    call(A.cummax.default, B, 1),
    call(A.cummax.default, ODD, 1),
    call(A.cummin.default, ODD, 1),
    call(A.logcumsumexp.default, X, 1),
    call(A.logcumsumexp.default, torch.tensor([-INF, -INF, 1.0, -200.0, 100.0]), 0, floor=9),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_running_results_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_a_running_sum_is_one_operator() -> None:
    assert ["CumSum"] == operators(agrees(call(A.cumsum.default, X, 1), 13, False))
