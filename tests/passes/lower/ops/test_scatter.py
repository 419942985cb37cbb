# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor

A = torch.ops.aten

X = tensor(4, 5, 3)
ROWS = torch.tensor([3, 0])
PLACES = torch.tensor([[[1], [0]], [[3], [3]]]).expand(2, 2, 3).contiguous()
REDUCTIONS = ["sum", "prod", "mean", "amax", "amin"]
CALLS = [
    call(A.scatter.src, X, 1, PLACES, tensor(2, 2, 3, seed=1)),
    call(A.scatter.src, tensor(5), 0, torch.tensor([1, 4]), tensor(3)),
    call(A.scatter.value, X, 0, PLACES, 7.5),
    call(A.scatter.reduce, X, 1, PLACES, tensor(2, 2, 3, seed=1), reduce="multiply"),
    call(A.scatter.value_reduce, X, 1, PLACES, 2.0, reduce="add"),
    call(A.scatter_add.default, X, 1, PLACES, tensor(2, 2, 3, seed=1)),
    call(A.scatter_add.default, tensor(5, dtype=torch.int64), 0, torch.tensor([1, 1, 4]), torch.tensor([5, 6, 7])),
    *(
        call(A.scatter_reduce.two, X, 1, PLACES, tensor(2, 2, 3, seed=1), reduce, include_self=own)
        for reduce in REDUCTIONS
        for own in (True, False)
    ),
    *(
        call(A.scatter_reduce.two, X.half(), 1, PLACES, tensor(2, 2, 3, seed=1).half(), reduce)
        for reduce in ("sum", "prod", "amax")
    ),
    call(A.index_put.default, X.half(), [torch.tensor([1, 1])], tensor(2, 5, 3, seed=1).half(), True),
    call(A.index_copy.default, X, 1, ROWS, tensor(4, 2, 3, seed=1)),
    call(A.index_add.default, X, 1, torch.tensor([1, 1]), tensor(4, 2, 3, seed=1), alpha=2),
    call(A.index_add.default, tensor(5, dtype=torch.bool), 0, ROWS, torch.tensor([True, True])),
    *(
        call(A.index_reduce.default, X, 0, torch.tensor([1, 1]), tensor(2, 5, 3, seed=1), reduce, include_self=False)
        for reduce in ("prod", "mean", "amax", "amin")
    ),
    call(A.index_fill.int_Scalar, X, 1, torch.tensor([0, -1]), 3.0),
    call(A.index_fill.int_Tensor, X, 1, torch.tensor([0, 2]), torch.tensor(3.0)),
    call(A.index_put.default, X, [X > 0], torch.tensor(9.0)),
    call(A.index_put.default, X, [tensor(4, dtype=torch.bool)], torch.zeros(3)),
    call(A.index_put.default, X, [None, tensor(5, dtype=torch.bool)], torch.tensor([1.0])),
    call(A.index_put.default, X, [X > 1.5], tensor(int((X > 1.5).sum())), floor=9),
    call(A.index_put.default, X, [ROWS], tensor(2, 5, 3, seed=1)),
    call(A.index_put.default, X, [None, ROWS], tensor(2, 3, seed=1)),
    call(A.index_put.default, X, [ROWS, torch.tensor([-1, 2])], tensor(2, 3, seed=1)),
    call(A.index_put.default, X, [ROWS, None, torch.tensor(1)], tensor(2, 5, seed=1)),
    call(A.index_put.default, X, [torch.tensor([1, 1])], tensor(2, 5, 3, seed=1), True),
    call(A.index_put.default, X, [None, torch.tensor([1, 1]), torch.tensor([0, 0])], tensor(4, 2, seed=1), True),
    call(A.put.default, X, torch.tensor([[0, 59]]), torch.tensor([[7.0, 8.0]])),
    call(A.put.default, X, torch.tensor([3, 3]), torch.tensor([7.0, 8.0]), True),
    call(A.masked_scatter.default, X, X > 0, tensor(60, seed=1)),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 9, 11, 16, 18)))
def test_writing_by_index_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        pytest.param(["ScatterElements"], call(A.scatter_add.default, X, 1, PLACES, tensor(2, 2, 3)), id="scatter_add"),
        pytest.param(["Where"], call(A.index_put.default, X, [tensor(4, 5, 3) > 0], torch.tensor(9.0)), id="mask"),
        pytest.param(["Unsqueeze", "ScatterND"], call(A.index_put.default, X, [ROWS], tensor(2, 5, 3)), id="rows"),
    ],
)
def test_writing_takes_no_more_nodes_than_needed(expected: list[str], item: Call) -> None:
    assert expected == [name for name in operators(agrees(item, 18, False)) if name != "Greater"]
