# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten.segment_reduce.default

X, DEEP = tensor(6), tensor(2, 6, 3)
# An empty segment in the middle.
LENGTHS, OFFSETS = torch.tensor([2, 0, 4]), torch.tensor([0, 2, 2, 6])
BY_ROW = torch.tensor([[1, 5], [6, 0]])

CALLS = [
    *(call(A, X, reduce, lengths=LENGTHS) for reduce in ("sum", "mean", "prod", "max", "min")),
    *(call(A, X, reduce, lengths=LENGTHS, initial=2.0) for reduce in ("sum", "mean", "prod", "max", "min")),
    *(call(A, X, reduce, offsets=OFFSETS) for reduce in ("sum", "max")),
    *(call(A, DEEP, reduce, lengths=BY_ROW, axis=1, unsafe=True) for reduce in ("mean", "min")),
    call(A, tensor(6, 2).double(), "mean", lengths=LENGTHS.int()),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 18)))
def test_segments_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
