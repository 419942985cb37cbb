# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, 18, NEWEST)

X, Y = tensor(2, 3), tensor(2, 3, seed=1)
N = tensor(2, 3, dtype=torch.int64)
B, C = tensor(2, 3, dtype=torch.bool), tensor(2, 3, dtype=torch.bool, seed=1)
SOME = torch.tensor([[0.0, 1.0, -2.0], [0.5, 0.0, 3.0]])

CALLS = [
    *(
        call(getattr(A, name).default, *pair)
        for name in ("logical_and", "logical_or", "logical_xor")
        for pair in ((B, C), (SOME, N), (N, B))
    ),
    *(call(A.logical_not.default, x) for x in (B, SOME, N)),
    call(A.where.self, B, X, Y),
    call(A.where.self, B, X, N),
    call(A.where.self, B, N, torch.tensor(3)),
    call(A.where.self, B, B, C),
    call(A.where.ScalarOther, B, X, 2),
    call(A.where.ScalarSelf, B, 2.5, N),
    call(A.where.Scalar, B, 1.5, 2),
    call(A.masked_fill.Scalar, X, B, 2),
    call(A.masked_fill.Scalar, X, B, -float("inf"), floor=9),
    call(A.masked_fill.Scalar, N, C, 7),
    call(A.masked_fill.Tensor, X, B, torch.tensor(2.5)),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_logic_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_a_mask_of_bools_is_chosen_by_one_operator() -> None:
    assert ["Where"] == operators(agrees(call(A.masked_fill.Scalar, X, B, 2), 9, False))
