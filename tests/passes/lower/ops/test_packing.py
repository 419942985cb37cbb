# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (9, 13, NEWEST)

X, LENGTHS = tensor(4, 3, 5), torch.tensor([3, 2, 1])
DATA, BATCH_SIZES = torch._VF._pack_padded_sequence(X, LENGTHS, False)

CALLS = [
    call(A._pack_padded_sequence.default, X, LENGTHS, False, free=False, floor=9),
    call(A._pack_padded_sequence.default, X.transpose(0, 1).contiguous(), LENGTHS, True, free=False, floor=9),
    call(A._pad_packed_sequence.default, DATA, BATCH_SIZES, False, 0.0, -1, free=False, floor=9),
    call(A._pad_packed_sequence.default, DATA, BATCH_SIZES, True, -1.5, 6, free=False, floor=9),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_packing_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
