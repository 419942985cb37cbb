# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, 18, NEWEST)
INF = math.inf

X = tensor(2, 3, 4)
N = tensor(2, 3, 4, dtype=torch.int64)
B = tensor(2, 3, 4, dtype=torch.bool)
POINT = torch.tensor(1.5)
HOLES = torch.where(tensor(2, 3, 4, seed=3) > 0.5, math.nan, X)

SUMS = [
    *(call(A.sum.default, x) for x in (X, N, B, POINT)),
    call(A.sum.dim_IntList, X, [0, -1], True),
    call(A.sum.dim_IntList, X, []),
    call(A.sum.dim_IntList, B, [1], dtype=torch.float32),
    call(A.sum.dim_IntList, N.to(torch.int32), [1]),
    call(A.mean.default, X),
    call(A.mean.dim, X, [1, 2], True),
    call(A.mean.dim, N, [1], dtype=torch.float32),
    call(A.mean.default, torch.zeros(0), free=False),
    call(A.prod.default, X),
    call(A.prod.dim_int, X, 1, True),
    call(A.prod.dim_int, N, 1),
    call(A.nansum.default, HOLES, [1], floor=9),
    call(A.nanmean.default, HOLES, [1], floor=9),
    call(A.count_nonzero.dim_IntList, N, [1, 2]),
    call(A.count_nonzero.default, X),
    call(A.logsumexp.default, X, [1], True),
    call(A.logsumexp.default, torch.tensor([[-INF, -INF], [INF, 1.0]]), [1]),
]

EXTREMES = [
    *(call(getattr(A, name).default, x, [1], True) for name in ("amax", "amin") for x in (X, N, B)),
    *(call(getattr(A, name).default, x) for name in ("max", "min") for x in (X, N, B, POINT)),
    *(call(getattr(A, name).dim, x, 1) for name in ("max", "min") for x in (X, N)),
    call(A.max.dim, X, -1, True),
    call(A.max.dim, POINT, 0),
    call(A.aminmax.default, X, dim=1),
    *(call(getattr(A, name).default, X, *rest) for name in ("argmax", "argmin") for rest in ((), (1,), (-1, True))),
    call(A.argmax.default, X, None, True),
    call(A.argmax.default, torch.tensor([1, 3, 3, 0])),
    *(call(getattr(A, name).default, x) for name in ("any", "all") for x in (X, N, B)),
    *(call(getattr(A, name).dim, x, 1, True) for name in ("any", "all") for x in (N, B)),
    call(A.any.dims, B, [0, 2]),
    call(A.any.default, tensor(3, dtype=torch.uint8)),
    call(A.all.default, torch.zeros(0, dtype=torch.bool), free=False),
]

SPREADS = [
    call(A.var.correction, X, [1]),
    call(A.var.correction, X, [1, 2], correction=0, keepdim=True),
    call(A.var.correction, X, correction=2),
    call(A.var.correction, torch.zeros(0), correction=0, free=False),
    call(A.var.correction, tensor(1), [0], free=False),
    call(A.std.correction, X, [-1], correction=0.5),
    call(A.std.dim, X, [1], False),
    call(A.var_mean.correction, X, [0], correction=1),
    call(A.std_mean.correction, X, [0, 1], correction=0, keepdim=True),
    *(call(A.linalg_vector_norm.default, X, order, [1]) for order in (0, 1, 2, 3.5, INF, -INF)),
    call(A.linalg_vector_norm.default, X, 2, [1], True, dtype=torch.float64),
    call(A.norm.Scalar, X),
    call(A.norm.ScalarOpt_dim, X, 3, [0, 1], True),
    call(A.renorm.default, X, 2, 1, 1.5),
    call(A.dist.default, X, X + 1, 2),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(SUMS + EXTREMES + SPREADS, OPSETS))
def test_reductions_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.mean.dim, X, [1], True), 7, ["ReduceMean"]),
        (call(A.sum.dim_IntList, X, [1]), 13, ["ReduceSum"]),
        (call(A.any.dim, B, 1), 20, ["ReduceMax"]),
        (call(A.var.correction, X, [1], correction=0), 13, ["ReduceMean", "Sub", "Mul", "ReduceMean"]),
        (call(A.linalg_vector_norm.default, X, 2, [1]), 13, ["ReduceL2"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
