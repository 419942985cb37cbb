# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST, check

A = torch.ops.aten
OPSETS = (7, 9, 13, NEWEST)

TABLE = tensor(6, 4)
INDICES = torch.tensor([1, 2, 5, 0, 2])
OFFSETS = torch.tensor([0, 2, 2, 4])
SHARES = tensor(5)

CALLS = [
    call(A.embedding.default, TABLE, torch.tensor([[1, 2], [5, 0]])),
    call(A.embedding.default, TABLE, torch.tensor([1, 5], dtype=torch.int32), 1),
    call(A.embedding_renorm.default, TABLE, torch.tensor([[1, 2], [5, 1]]), 1.5, 2.0),
    call(A.embedding_renorm.default, TABLE, torch.tensor([0, 3]), 0.7, 1.0),
]
BAGS = [
    call(A.embedding_bag.default, TABLE, INDICES, OFFSETS),
    call(A.embedding_bag.default, TABLE, INDICES, OFFSETS, False, 0, False, SHARES),
    call(A.embedding_bag.default, TABLE, INDICES, OFFSETS, False, 1),
    call(A.embedding_bag.default, TABLE, INDICES, OFFSETS, False, 2),
    call(A.embedding_bag.default, TABLE, INDICES, torch.tensor([0, 2, 2, 5]), False, 1, False, None, True),
    call(A.embedding_bag.padding_idx, TABLE, INDICES, OFFSETS, False, 1, False, None, False, 2),
    call(A._embedding_bag.default, TABLE, INDICES, OFFSETS, False, 2, False, None, False, 2),
    call(A._embedding_bag_forward_only.default, TABLE, INDICES, OFFSETS, False, 0, False, SHARES),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_embedding_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(("item", "opset", "free"), spread(BAGS, OPSETS))
def test_bags_agree(item: Call, opset: int, free: bool) -> None:
    check(item.overload, *item.args, opset=opset, free=free, results=1)


def test_a_look_up_is_one_operator() -> None:
    assert ["Gather"] == operators(agrees(CALLS[0], 7, False))
