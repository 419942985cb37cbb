# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, NEWEST)

X = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.0, 3.49, -7.51])
ODD = torch.tensor([math.nan, math.inf, -math.inf, 1.5])

CALLS = [
    *(
        call(getattr(A, name).default, x)
        for name in ("floor", "ceil", "round", "trunc")
        for x in (X, X.double(), torch.arange(4))
    ),
    call(A.frac.default, X),
    *(call(A.round.decimals, X * 12.345, decimals=decimals) for decimals in (-1, 0, 2)),
    call(A.nan_to_num.default, ODD, floor=9),
    call(A.nan_to_num.default, ODD, 1.0, 2.0, -3.0, floor=9),
    call(A.nan_to_num.default, ODD.double(), floor=9),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_rounding_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_integers_are_whole_already() -> None:
    assert ["Identity"] == operators(agrees(call(A.floor.default, torch.arange(3)), 13, False))
