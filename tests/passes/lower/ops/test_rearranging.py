# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 11, 18, NEWEST)

X = tensor(2, 8, 4, 6)

CALLS = [
    call(A.im2col.default, X, [3, 2], [1, 2], [1, 0], [2, 1], free=False),
    call(A.im2col.default, X, [3, 2], [1, 2], [1, 0], [2, 1], floor=7),
    call(A.im2col.default, X[0], [2, 2], [1, 1], [0, 0], [2, 2], free=False),
    call(A.col2im.default, tensor(2, 12, 20), [5, 6], [2, 2], [1, 1], [0, 0], [1, 1], free=False),
    call(A.col2im.default, tensor(12, 20), [5, 6], [2, 2], [1, 1], [0, 0], [1, 1], floor=18),
    call(A.pixel_shuffle.default, X, 2),
    call(A.pixel_shuffle.default, X[0], 2),
    call(A.pixel_shuffle.default, X[None], 2),
    call(A.pixel_unshuffle.default, X, 2),
    call(A.pixel_unshuffle.default, X[0], 2),
    call(A.channel_shuffle.default, X, 4),
    call(A.native_channel_shuffle.default, X[..., 0], 2),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_rearranging_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
