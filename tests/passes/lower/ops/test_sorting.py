# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor

A = torch.ops.aten

X = tensor(3, 5)
TIES = torch.tensor([[2, 1, 2, 0, 1], [3, 3, 3, 1, 0]])
NAN = torch.tensor([[1.0, float("nan"), 0.0], [2.0, 5.0, 1.0]])
EDGES = torch.tensor([-1.0, 0.0, 0.5, 2.0])
CALLS = [
    call(A.sort.default, X, floor=10),
    call(A.sort.default, X, free=False),
    call(A.sort.default, X, 0, True, floor=10),
    call(A.sort.stable, TIES, stable=True, floor=10),
    call(A.sort.stable, TIES, stable=True, descending=True, floor=10),
    call(A.sort.default, torch.tensor(3.0)),
    call(A.sort.stable, torch.tensor([True, False, True]), stable=True, floor=10),
    call(A.argsort.default, X, 1, floor=10),
    call(A.argsort.stable, TIES, stable=True, dim=1, floor=10),
    call(A.msort.default, X, floor=10),
    call(A.topk.default, X, 2),
    call(A.topk.default, X, 3, 0, False),
    call(A.topk.default, torch.tensor(3.0), 1),
    call(A.kthvalue.default, X, 2),
    call(A.kthvalue.default, X, 3, 0, True),
    call(A.median.dim, X, 1, floor=10),
    call(A.median.dim, NAN, 1, True, floor=10),
    call(A.median.default, X, floor=10),
    call(A.median.default, NAN, floor=10),
    call(A.mode.default, TIES, floor=10),
    call(A.bucketize.Tensor, X, EDGES),
    call(A.bucketize.Tensor, NAN, EDGES, right=True),
    call(A.bucketize.Tensor, torch.tensor([0.5, 2.0]), EDGES, out_int32=True, right=True),
    call(A.bucketize.Scalar, 0.5, EDGES),
    call(A.searchsorted.Tensor, X.sort(dim=-1).values, tensor(3, 2, seed=1)),
    call(A.searchsorted.Tensor, EDGES, torch.tensor([[0.0, 3.0]]), side="right"),
    call(A.searchsorted.Tensor, EDGES.flip(0), X, sorter=torch.tensor([3, 2, 1, 0])),
    call(A.isin.Tensor_Tensor, TIES, torch.tensor([0, 3])),
    call(A.isin.Tensor_Tensor, TIES, torch.tensor([[2]]), invert=True),
    call(A.isin.Tensor_Scalar, TIES, 2),
    call(A._unique2.default, TIES, True, True, True, floor=11),
    call(A._unique2.default, TIES, True, True, True, floor=9, free=False),
    call(A._unique2.default, X > 0, floor=11),
    call(A._unique.default, TIES, True, True, floor=11),
    call(A.unique_dim.default, torch.tensor([[1, 0], [0, 2], [1, 0]]), 0, True, True, True, floor=11),
    call(A.unique_consecutive.default, torch.tensor([1, 1, 2, 0, 0, 0]), True, True, floor=9),
    call(A.unique_consecutive.default, torch.tensor([[1, 1], [1, 1], [2, 0]]), True, True, 0, floor=9),
    call(A.bincount.default, torch.tensor([1, 4, 1])),
    call(A.bincount.default, torch.tensor([1, 4, 1]), torch.tensor([0.5, 1.0, 2.0]), 7),
    call(A.bincount.default, torch.tensor([], dtype=torch.int64), None, 2),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 10, 11, 18)))
def test_order_and_search_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_topk_is_one_node() -> None:
    assert ["TopK"] == operators(agrees(call(A.topk.default, X, 2), 18, True))
