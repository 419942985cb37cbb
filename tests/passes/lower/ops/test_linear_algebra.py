# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten

X, Y = tensor(4, 3), tensor(5, 3, seed=1)
CALLS = [
    call(A.linalg_cross.default, X, tensor(4, 3, seed=1)),
    call(A.linalg_cross.default, X, tensor(1, 3, seed=1)),
    call(A.cross.default, X, tensor(4, 3, seed=1), free=False),
    *(call(A._cdist_forward.default, X, Y, p, None) for p in (0.0, 1.0, 2.0, 3.0, float("inf"))),
    call(A._cdist_forward.default, tensor(2, 4, 3), tensor(2, 5, 3), 2.0, None),
    call(A._euclidean_dist.default, X, Y),
    call(A._pdist_forward.default, X, floor=9),
    call(A.linalg_matrix_power.default, tensor(3, 3), 5),
    call(A.linalg_matrix_power.default, tensor(3, 3), -2),
    call(A.linalg_matrix_power.default, tensor(2, 3, 3), 0),
    call(A.linalg_matrix_exp.default, tensor(2, 3, 3)),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 11, 18)))
def test_linear_algebra_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=1e-3, atol=1e-4)
