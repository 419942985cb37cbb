# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten

TALL, WIDE, STACK = tensor(5, 3), tensor(3, 5, seed=1), tensor(2, 4, 4, seed=2)
# A column that is zero below its top is left as it is, whatever the sign of the top.
DONE = torch.tensor([[-2.0, 1.0, 3.0], [0.0, 4.0, 1.0], [0.0, 0.0, -5.0]])
PACKED, TAUS = torch.geqrf(TALL)

CALLS = [
    *(call(A.geqrf.default, x) for x in (TALL, WIDE, STACK, DONE, tensor(3, 0))),
    *(call(A.linalg_qr.default, x) for x in (TALL, WIDE, STACK, DONE, torch.zeros(3, 3), tensor(0, 3))),
    *(call(A.linalg_qr.default, x, "complete") for x in (TALL, WIDE)),
    *(call(A.linalg_qr.default, x, "r") for x in (TALL, WIDE)),
    call(A.linalg_qr.default, TALL.double()),
    call(A.linalg_householder_product.default, PACKED, TAUS),
    call(A.linalg_householder_product.default, PACKED, TAUS[:2]),
    *(
        call(A.ormqr.default, PACKED, TAUS, to, left, transpose)
        for to, left in ((tensor(5, 2, seed=3), True), (tensor(2, 5, seed=3), False))
        for transpose in (False, True)
    ),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 18)))
def test_factors_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
