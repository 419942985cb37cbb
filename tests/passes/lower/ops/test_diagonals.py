# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor

A = torch.ops.aten

X = tensor(4, 3)
CALLS = [
    *(call(A.diagonal.default, X, offset) for offset in (-3, -1, 0, 2)),
    call(A.diagonal.default, tensor(2, 3, 4, 5), 1, 3, 1),
    call(A.linalg_diagonal.default, tensor(2, 3, 4)),
    call(A.trace.default, tensor(3, 3)),
    call(A.trace.default, tensor(2, 3, dtype=torch.int64)),
    *(call(A.diag_embed.default, tensor(2, 3), offset) for offset in (-1, 0, 2)),
    call(A.diag_embed.default, tensor(2, 3), 0, 0, 2),
    call(A.diag.default, tensor(3), 1),
    call(A.diag.default, tensor(3, 4), -1),
    call(A.diagflat.default, tensor(2, 2)),
    call(A.diagonal_scatter.default, X, tensor(3, seed=1), free=False),
    call(A.diagonal_scatter.default, X, tensor(2, seed=1), -2, free=False),
    call(A.as_strided.default, tensor(12), [3, 2], [4, 1], 1),
    call(A.as_strided.default, tensor(3, 4), [2, 2], [0, 5]),
    call(A.as_strided_scatter.default, tensor(3, 4), tensor(2, 2, seed=1), [2, 2], [4, 2], 1, free=False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 11, 18)))
def test_diagonals_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_a_static_diagonal_is_one_reshape_and_one_gather() -> None:
    assert ["Reshape", "Gather"] == operators(agrees(call(A.diagonal.default, X), 18, False))
