# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor

A = torch.ops.aten

CALLS = [
    call(A.cat.default, [tensor(2, 3), tensor(1, 3)]),
    call(A.cat.default, [tensor(2, 3), tensor(2, 1)], -1),
    call(A.cat.default, [tensor(0), tensor(2, 3)], 1),
    call(A.cat.default, [tensor(2, dtype=torch.int64), tensor(2)]),
    call(A.cat.default, [tensor(2, dtype=torch.bool), tensor(3, dtype=torch.bool)]),
    call(A.cat.default, [tensor(0, 2), tensor(0, 2)]),
    call(A.stack.default, [tensor(2, 3), tensor(2, 3, seed=1)], -1),
    call(A.hstack.default, [tensor(2), tensor(3)]),
    call(A.hstack.default, [tensor(2, 1), tensor(2, 3)]),
    call(A.vstack.default, [tensor(3), tensor(3, seed=1)]),
    call(A.dstack.default, [tensor(3), tensor(3, seed=1)]),
    call(A.column_stack.default, [tensor(3), tensor(3, 2)]),
    call(A.meshgrid.default, [tensor(2), tensor(3)]),
    call(A.meshgrid.indexing, [tensor(2), tensor(3), tensor(4)], indexing="xy"),
    call(A.cartesian_prod.default, [tensor(2), tensor(3)]),
    call(A.block_diag.default, [tensor(2, 3), tensor(2), tensor(1, 1)], floor=11),
    call(A.block_diag.default, [tensor(2, 3), tensor(2), tensor(1, 1)], free=False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 11, 13, 18)))
def test_joining_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        pytest.param(["Identity"], call(A.cat.default, [tensor(2, 3)]), id="one-tensor"),
        pytest.param(["Identity"], call(A.cat.default, [tensor(0), tensor(2, 3)], 1), id="empty-vector"),
        pytest.param(
            ["Unsqueeze", "Unsqueeze", "Concat"], call(A.stack.default, [tensor(2), tensor(2, seed=1)]), id="stack"
        ),
    ],
)
def test_joining_takes_no_more_nodes_than_needed(expected: list[str], item: Call) -> None:
    assert expected == operators(agrees(item, 18, True))
