# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, 18, NEWEST)
NAN, INF = math.nan, math.inf

X, Y = tensor(2, 3), tensor(2, 3, seed=1)
N, J = tensor(2, 3, dtype=torch.int64), tensor(2, 3, dtype=torch.int64, seed=1)
B, C = tensor(2, 3, dtype=torch.bool), tensor(2, 3, dtype=torch.bool, seed=1)
ODD = torch.tensor([NAN, 1.0, INF, -INF, 0.0, -0.0, -3.5, 2.0])
OTHER = torch.tensor([1.0, NAN, INF, INF, 0.0, 0.0, 2.0, 2.0])

COMPARISONS = [
    *(
        call(getattr(A, name).Tensor, *pair)
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
        for pair in ((X, Y), (X, X), (N, J), (B, C), (N, Y), (ODD, OTHER))
    ),
    *(call(getattr(A, name).Scalar, N, 2.5) for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    *(call(getattr(A, name).Scalar, N.to(torch.int32), 2) for name in ("eq", "lt", "ge")),
    call(A.isclose.default, ODD, OTHER),
    call(A.isclose.default, ODD, ODD, equal_nan=True),
    call(A.isclose.default, N, J, 0.1, 1.0),
]

SPECIAL_VALUES = [
    *(
        call(getattr(A, name).default, x)
        for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "signbit")
        for x in (ODD, ODD.double(), N)
    ),
]

BOUNDS = [
    *(call(getattr(A, name).default, *pair) for name in ("maximum", "minimum") for pair in ((X, Y), (N, J), (B, C))),
    *(call(getattr(A, name).default, X, N) for name in ("maximum", "minimum")),
    *(call(getattr(A, name).default, ODD, OTHER, floor=8) for name in ("maximum", "minimum", "fmax", "fmin")),
    call(A.fmax.default, N, J),
    call(A.clamp.default, X, -0.5, 0.5),
    call(A.clamp.default, X, None, 0.5),
    call(A.clamp.default, X, 0.5, -0.5),
    call(A.clamp.default, N, 0.5, 2),
    call(A.clamp.default, N, -2),
    call(A.clamp.default, N.to(torch.int32), -2, 2),
    call(A.clamp.default, ODD, -1, 1),
    call(A.clamp.Tensor, X, Y, Y + 0.2),
    call(A.clamp.Tensor, X, None, torch.tensor(0.5)),
    call(A.clamp_min.default, X, 0.2),
    call(A.clamp_max.Tensor, N, J),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(COMPARISONS + SPECIAL_VALUES + BOUNDS, OPSETS))
def test_comparisons_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.eq.Tensor, X, Y), 13, ["Equal"]),
        (call(A.ge.Tensor, X, Y), 13, ["GreaterOrEqual"]),
        (call(A.clamp.default, X, -1, 1), 7, ["Clip"]),
        (call(A.isnan.default, X), 9, ["IsNaN"]),
        (call(A.isinf.default, X), 10, ["IsInf"]),
        (call(A.isfinite.default, X), 9, ["Abs", "Less"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
