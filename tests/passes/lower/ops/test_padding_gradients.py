# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten

CALLS = [
    call(A.replication_pad1d_backward.default, tensor(2, 3, 9), tensor(2, 3, 6), [1, 2]),
    call(A.replication_pad1d_backward.default, tensor(2, 3, 4), tensor(2, 3, 1), [1, 2]),
    call(A.replication_pad1d_backward.default, tensor(2, 3, 6), tensor(2, 3, 6), [2, -2]),
    call(A.replication_pad2d_backward.default, tensor(2, 3, 9, 8), tensor(2, 3, 6, 7), [1, 0, 0, 3]),
    call(A.replication_pad2d_backward.default, tensor(3, 7, 9), tensor(3, 6, 7), [1, 1, 2, -1]),
    call(A.replication_pad3d_backward.default, tensor(1, 2, 4, 6, 7), tensor(1, 2, 3, 3, 4), [1, 2, 2, 1, 0, 1]),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 11, 13, 18, NEWEST)))
def test_padding_gradients_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
