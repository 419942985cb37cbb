# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, NEWEST)

X, Y = tensor(2, 3), tensor(2, 3, seed=1)
N = tensor(2, 3, dtype=torch.int64)
WITHIN = torch.tensor([-0.9, -0.1, 0.0, 0.3, 0.99])

CALLS = [
    *(
        call(getattr(A, name).default, x)
        for name in ("sin", "cos", "tan", "atan", "sinh", "cosh", "asinh")
        for x in (X, X.double(), N)
    ),
    *(call(getattr(A, name).default, WITHIN) for name in ("asin", "acos", "atanh")),
    call(A.acosh.default, X.abs() + 1),
    call(A.atan2.default, torch.tensor([1.0, 1, -1, -1, 0, 0, 2, -2]), torch.tensor([1.0, -1, 1, -1, 1, 0, 0, 0])),
    call(A.atan2.default, N, X),
    call(A.angle.default, torch.tensor([1.0, -2.0, 0.0])),
    call(A.hypot.default, X * 1e30, Y * 1e30),
    call(A.hypot.default, torch.tensor([0.0, math.inf]), torch.tensor([0.0, 3.0])),
    call(A.deg2rad.default, N),
    call(A.rad2deg.default, X),
    call(A.sinc.default, torch.tensor([0.0, 0.5, -2.3])),
    call(A.copysign.Tensor, X, torch.tensor([-0.0, 0.0, -2.0])),
    call(A.copysign.Scalar, N, -1.0),
    call(A.heaviside.default, torch.tensor([0.0, -1.0, 2.0]), X),
    call(A.heaviside.default, N, torch.tensor(5)),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_trigonometry_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
