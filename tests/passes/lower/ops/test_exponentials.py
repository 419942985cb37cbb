# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, NEWEST)
INF = math.inf

X, Y = tensor(2, 3), tensor(2, 3, seed=1)
POSITIVE = X.abs() + 0.01
N = tensor(2, 3, dtype=torch.int64).abs() + 1
EQUAL = torch.tensor([-INF, INF, 1.0, -INF])

CALLS = [
    *(call(getattr(A, name).default, x) for name in ("exp", "exp2", "expm1") for x in (X, X.double(), N)),
    *(
        call(getattr(A, name).default, x)
        for name in ("log", "log2", "log10", "log1p")
        for x in (POSITIVE, POSITIVE.double(), N)
    ),
    call(A.log1p.default, torch.tensor([INF, -1.0, -2.0, 1e20])),
    call(A.logaddexp.default, X, Y * 30),
    call(A.logaddexp.default, EQUAL, torch.tensor([-INF, INF, INF, 2.0]), floor=9),
    call(A.logaddexp2.default, X, Y),
    call(A.xlogy.Tensor, torch.tensor([0.0, 1.0, 0.0, 2.0]), torch.tensor([0.0, 0.0, INF, 3.0]), floor=9),
    call(A.xlogy.Scalar_Self, 2, POSITIVE),
    call(A.xlogy.Scalar_Other, N, 3),
    call(A.special_xlog1py.default, X, POSITIVE),
    call(A.special_entr.default, torch.tensor([0.0, -1.0, 0.3, 2.0]), floor=9),
    call(A.logit.default, torch.tensor([0.1, 0.5, 0.9])),
    call(A.logit.default, torch.tensor([0.0, 0.5, 1.0]), 0.01),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_exponentials_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize("overload", [A.log1p.default, A.expm1.default])
def test_tiny_numbers_keep_their_digits(overload: object) -> None:
    agrees(call(overload, torch.tensor([1e-8, -3e-7, 2e-5])), 13, False, atol=0.0, rtol=1e-6)
