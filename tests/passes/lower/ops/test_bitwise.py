# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, 18, NEWEST)

N, J = tensor(2, 3, dtype=torch.int64), tensor(2, 3, dtype=torch.int64, seed=1)
B, C = tensor(2, 3, dtype=torch.bool), tensor(2, 3, dtype=torch.bool, seed=1)
BYTE = tensor(2, 3, dtype=torch.uint8) * 20
SMALL = tensor(2, 3, dtype=torch.int8)
PLACES = torch.tensor([0, 3, 7])

CALLS = [
    *(
        call(getattr(A, f"bitwise_{name}").Tensor, *pair)
        for name in ("and", "or", "xor")
        for pair in ((N, J), (B, C), (N.to(torch.int32), J.to(torch.int32)), (BYTE, BYTE.flip(0)))
    ),
    call(A.bitwise_and.Scalar, N, 6),
    call(A.bitwise_or.Scalar_Tensor, 6, N),
    *(call(A.bitwise_not.default, x) for x in (N, B, BYTE, SMALL)),
    call(A.bitwise_left_shift.Tensor, N, PLACES),
    call(A.bitwise_left_shift.Tensor_Scalar, SMALL, 5),
    call(A.bitwise_left_shift.Tensor_Scalar, BYTE, 9),
    call(A.bitwise_right_shift.Tensor, N, PLACES),
    call(A.bitwise_right_shift.Tensor_Scalar, N, 2),
    call(A.bitwise_right_shift.Tensor_Scalar, SMALL, 9),
    *(call(A.hash_tensor.default, x) for x in (N, SMALL, B, torch.tensor(-7))),
    call(A.hash_tensor.default, N, [1], keepdim=True),
    call(A.hash_tensor.default, N.repeat(3, 1), [-2]),
    call(A.hash_tensor.default, tensor(2, 3), floor=26),
    call(A.hash_tensor.default, tensor(2, 3, dtype=torch.float16), [0], floor=26),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_bits_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_integers_have_an_operator_from_opset_18_on() -> None:
    assert ["BitwiseAnd"] == operators(agrees(call(A.bitwise_and.Tensor, N, J), 18, False))
