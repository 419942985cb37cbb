# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten


def positive(*shape: int) -> torch.Tensor:
    """A symmetric positive definite matrix."""
    x = tensor(*shape)
    return x @ x.mT + torch.eye(shape[-1])


UPPER = tensor(2, 3, 3).triu() + 3 * torch.eye(3)
CALLS = [
    call(A.inverse.default, tensor(2, 1, 1)),
    call(A.inverse.default, tensor(4, 2, 2)),
    call(A.inverse.default, torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])),
    call(A.linalg_inv_ex.default, tensor(2, 4, 4)),
    call(A.linalg_det.default, tensor(2, 4, 4)),
    call(A.slogdet.default, tensor(2, 4, 4)),
    call(A.logdet.default, positive(3, 3)),
    call(A.linalg_solve.default, tensor(3, 3), tensor(3, seed=1)),
    call(A.linalg_solve.default, tensor(2, 3, 3), tensor(2, 3, seed=1)),
    call(A.linalg_solve.default, tensor(2, 3, 3), tensor(3, 4, seed=1)),
    call(A.linalg_solve.default, tensor(3, 3), tensor(4, 3, seed=1), left=False),
    call(A.linalg_solve_triangular.default, UPPER, tensor(3, 4), upper=True),
    call(A.linalg_solve_triangular.default, UPPER.mT.contiguous(), tensor(4, 3), upper=False, left=False),
    call(A.linalg_cholesky_ex.default, positive(2, 4, 4)),
    call(A.linalg_cholesky.default, positive(3, 3), upper=True),
    call(A.cholesky_solve.default, tensor(3, 2), torch.linalg.cholesky(positive(3, 3))),
    call(A.cholesky_inverse.default, torch.linalg.cholesky(positive(3, 3))),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 11, 18)))
def test_systems_of_equations_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=1e-3, atol=1e-4)
