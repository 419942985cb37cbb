# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread
from support.operator_check import NEWEST

A = torch.ops.aten

LEFT = torch.tensor([[12, 0, 7, -9], [0, 30, 1, 100]])
RIGHT = torch.tensor([18, 5, 0, 6])

CALLS = [
    *(call(overload, LEFT, RIGHT) for overload in (A.gcd.default, A.lcm.default)),
    call(A.gcd.default, LEFT.to(torch.int32), RIGHT.to(torch.int32)),
    call(A.gcd.default, torch.tensor(12), torch.tensor(8)),
    call(A.gcd.default, torch.zeros(0, 4, dtype=torch.int64), RIGHT),
    call(A.gcd.default, torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 9, 13, NEWEST)))
def test_divisors_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
