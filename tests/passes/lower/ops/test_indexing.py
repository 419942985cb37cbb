# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor

A = torch.ops.aten

X = tensor(4, 5, 6)
K = torch.tensor([3, 0, -2])
J = torch.tensor([[1, 2, 0], [0, -1, 1]])
N = torch.tensor([3, 0, 2])
M = tensor(4, 5, dtype=torch.bool)
V = tensor(4, dtype=torch.bool, seed=1)
CALLS = [
    call(A.index.Tensor, X, [K]),
    call(A.index.Tensor, X, [None, K]),
    call(A.index.Tensor, X, [None, J]),
    call(A.index.Tensor, X, [K, K]),
    call(A.index.Tensor, X, [K, J]),
    call(A.index.Tensor, X, [None, K, J]),
    call(A.index.Tensor, X, [K, None, J]),
    call(A.index.Tensor, X, [K.to(torch.int32), None, torch.tensor(2)]),
    call(A.index.Tensor, X, [M], floor=9),
    call(A.index.Tensor, X, [V], floor=9),
    call(A.index.Tensor, X, [None, None, tensor(6, dtype=torch.bool)], floor=9),
    call(A.index.Tensor, X, [X > 0], floor=9),
    call(A.index.Tensor, X, [V, None, torch.tensor(1)], floor=9),
    call(A.index.Tensor, X, [None, tensor(5, 6, dtype=torch.bool)], floor=9),
    call(A.index.Tensor, tensor(5, dtype=torch.bool), [torch.tensor([1, 4])]),
    call(A.index_select.default, X, 1, N),
    call(A.index_select.default, X, -1, N.to(torch.int32)),
    call(A.index_select.default, X, 0, torch.tensor(2)),
    call(A.gather.default, X, 1, torch.randint(5, (4, 2, 6))),
    call(A.gather.default, X, 0, torch.randint(4, (2, 3, 4))),
    call(A.gather.default, tensor(5), 0, torch.tensor(3)),
    call(A.take.default, X, torch.tensor([[0, 119], [7, 3]])),
    call(A.take_along_dim.default, X, torch.randint(5, (4, 1, 1)), 1, floor=11),
    call(A.masked_select.default, X, X > 0, floor=9),
    call(A.masked_select.default, X, tensor(6, dtype=torch.bool), floor=9),
    call(A.nonzero.default, X > 0.5, floor=9),
    call(A.nonzero.default, torch.tensor(3.0), floor=9),
    call(A.argwhere.default, torch.tensor([0, 2, 0, 1]), floor=9),
    call(A.nonzero_static.default, torch.tensor([0, 2, 0, 1]), size=3, floor=9),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 9, 11, 13, 18)))
def test_reading_by_index_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        pytest.param(["Gather"], call(A.index.Tensor, X, [None, J]), id="one-index"),
        pytest.param(["Compress"], call(A.index.Tensor, X, [V]), id="one-mask"),
        pytest.param(
            ["Unsqueeze", "Unsqueeze", "Concat", "GatherND"], call(A.index.Tensor, X, [K, K + 0]), id="two-indices"
        ),
    ],
)
def test_an_index_takes_no_more_nodes_than_needed(expected: list[str], item: Call) -> None:
    assert expected == operators(agrees(item, 18, False))
