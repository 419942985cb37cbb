# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 13, NEWEST)


def symmetric(*shape: int, seed: int = 0) -> torch.Tensor:
    x = tensor(*shape, seed=seed)
    return x + x.mT


def without_diagonal(*shape: int) -> torch.Tensor:
    """Every pivot of such a matrix is a block of two rows, at first."""
    return symmetric(*shape, seed=3) * (1 - torch.eye(shape[-1]))


def solving(matrix: torch.Tensor, *right: int) -> Call:
    factors, pivots, _ = A.linalg_ldl_factor_ex.default(matrix)
    return call(A.linalg_ldl_solve.default, factors, pivots, tensor(*right, seed=1), free=False)


MATRICES = [
    symmetric(1, 1),
    symmetric(5, 5),
    symmetric(5, 5, seed=1).double(),
    symmetric(2, 3, 4, 4, seed=2),
    without_diagonal(6, 6),
    torch.diag(torch.tensor([2.0, 0.0, 1.0])),
    torch.zeros(0, 0),
    torch.zeros(0, 2, 2),
]
CALLS = [
    *(call(A.linalg_ldl_factor_ex.default, matrix, free=False) for matrix in MATRICES),
    solving(symmetric(5, 5), 5, 2),
    solving(symmetric(2, 3, 4, 4, seed=2), 2, 3, 4, 1),
    solving(without_diagonal(6, 6), 3, 6, 2),
    solving(torch.zeros(0, 0), 0, 5),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_factors_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=1e-3, atol=1e-4)
