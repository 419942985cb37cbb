# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten

TALL, WIDE, STACK = tensor(5, 3), tensor(3, 5, seed=1), tensor(2, 4, 4, seed=2)
SINGULAR = torch.tensor([[0.0, 1.0, 2.0], [0.0, 3.0, 4.0], [0.0, 5.0, 6.0]])
FACTORS, PIVOTS = torch.linalg.lu_factor(STACK)
RIGHT = tensor(2, 4, 3, seed=3)

CALLS = [
    *(call(A.linalg_lu_factor_ex.default, x) for x in (TALL, WIDE, STACK, SINGULAR, tensor(0, 3))),
    call(A.linalg_lu_factor.default, STACK.double()),
    *(call(A.linalg_lu.default, x) for x in (TALL, WIDE, STACK)),
    call(A.lu_unpack.default, FACTORS, PIVOTS),
    call(A.lu_unpack.default, FACTORS, PIVOTS, True, False),
    call(A.lu_unpack.default, FACTORS, PIVOTS, False, True),
    call(A.linalg_lu_solve.default, FACTORS, PIVOTS, RIGHT),
    call(A.linalg_lu_solve.default, FACTORS, PIVOTS, RIGHT, adjoint=True),
    call(A.linalg_lu_solve.default, FACTORS, PIVOTS, RIGHT.mT.contiguous(), left=False),
    call(A.lu_solve.default, RIGHT, FACTORS, PIVOTS),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 18)))
def test_factors_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=1e-3, atol=1e-4)
