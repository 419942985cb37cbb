# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
INT, INT8, INT32, UINT8, BOOL, DOUBLE = (
    torch.int64,
    torch.int8,
    torch.int32,
    torch.uint8,
    torch.bool,
    torch.float64,
)
OPSETS = (7, 9, 13, 18, NEWEST)

X, Y, ROW = tensor(2, 3), tensor(2, 3, seed=1), tensor(3, seed=2)
N, J = tensor(2, 3, dtype=INT), tensor(2, 3, dtype=INT, seed=1)
LARGE = torch.tensor([3, -3, 94906267, 2, -1, 0])
B, C = tensor(2, 3, dtype=BOOL), tensor(2, 3, dtype=BOOL, seed=1)
NOT_ZERO = torch.where(J == 0, 3, J)
SCALAR = torch.tensor(2.5)
WIDE = tensor(2, 3, dtype=DOUBLE)

SUMS = [
    call(A.add.Tensor, X, Y),
    call(A.add.Tensor, X, ROW, alpha=2),
    call(A.add.Tensor, X, N),
    call(A.add.Tensor, N, SCALAR),
    call(A.add.Tensor, X, torch.tensor(2.5, dtype=DOUBLE)),
    call(A.add.Tensor, B, C),
    call(A.add.Tensor, tensor(4, dtype=INT8) * 14, tensor(4, dtype=INT8) * 14),
    call(A.add.Tensor, tensor(4, dtype=INT8), tensor(4, dtype=INT32)),
    call(A.add.Scalar, N, 2.5),
    call(A.add.Scalar, N, 2, 3),
    call(A.add.Scalar, B, 1),
    call(A.sub.Tensor, X, Y, alpha=0.5),
    call(A.sub.Tensor, N, J),
    call(A.sub.Tensor, tensor(4, dtype=UINT8), tensor(4, dtype=UINT8, seed=1)),
    call(A.sub.Scalar, X, 2),
    call(A.rsub.Scalar, X, 2, 3),
    call(A.rsub.Tensor, N, J),
    call(A.mul.Tensor, X, ROW),
    call(A.mul.Tensor, B, C),
    call(A.mul.Tensor, B, X),
    call(A.mul.Scalar, N, 0.5),
    call(A.mul.Scalar, WIDE, 0.1),
    call(A.addcmul.default, X, Y, ROW, value=0.5),
    call(A.addcmul.default, N, J, J, value=2),
    call(A.addcdiv.default, X, Y, Y + 3, value=2),
    call(A.lerp.Scalar, X, Y, 0.3),
    call(A.lerp.Tensor, X, Y, ROW),
]

QUOTIENTS = [
    call(A.div.Tensor, X, Y),
    call(A.div.Tensor, N, NOT_ZERO),
    call(A.div.Scalar, N, 4),
    call(A.div.Tensor, B, torch.ones(3, dtype=BOOL)),
    call(A.true_divide.Tensor, N, NOT_ZERO),
    *(call(A.div.Tensor_mode, X * 9, Y, rounding_mode=mode) for mode in ("floor", "trunc", None)),
    *(call(A.div.Tensor_mode, N, NOT_ZERO, rounding_mode=mode) for mode in ("floor", "trunc")),
    *(call(A.div.Scalar_mode, N, -3, rounding_mode=mode) for mode in ("floor", "trunc")),
    call(A.floor_divide.default, N, NOT_ZERO),
    call(A.floor_divide.default, torch.tensor([1.0, -1.0, 5.5]), torch.tensor([0.1, 0.1, -2.0])),
    call(A.floor_divide.Scalar, X * 9, 2),
    call(A.remainder.Tensor, N, NOT_ZERO),
    call(A.remainder.Tensor, X * 9, Y),
    call(A.remainder.Scalar, X * 9, -2.5),
    call(A.remainder.Scalar, N, 4),
    call(A.remainder.Scalar_Tensor, 7, NOT_ZERO),
    call(A.fmod.Tensor, N, NOT_ZERO),
    call(A.fmod.Tensor, X * 9, Y),
    call(A.fmod.Scalar, X * 9, 2.5),
]

POWERS = [
    *(call(A.pow.Tensor_Scalar, X.abs() + 0.1, exponent) for exponent in (0, 1, 2, 3, 0.5, -1, -0.5, 1.7)),
    call(A.pow.Tensor_Scalar, N, 2),
    call(A.pow.Tensor_Scalar, N.abs(), 0.5),
    call(A.pow.Tensor_Scalar, N.to(INT32), 3),
    call(A.pow.Tensor_Tensor, X.abs() + 0.1, Y),
    call(A.pow.Tensor_Tensor, N, torch.tensor([0, 3, -2])),
    call(A.pow.Tensor_Tensor, LARGE, torch.tensor([[41], [3], [1], [0], [62], [64]])),
    call(A.pow.Tensor_Tensor, torch.tensor([-2, -1, 0, 1, 2]), torch.tensor([[-3], [-2], [-1]])),
    call(A.pow.Tensor_Tensor, torch.tensor([3, -7, 2], dtype=INT32), torch.tensor([[30], [11], [5]], dtype=INT32)),
    call(A.pow.Tensor_Tensor, torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)),
    call(A.pow.Scalar, 3, torch.arange(41)),
    *(call(A.pow.Tensor_Scalar, LARGE, exponent) for exponent in (0, 1, 2, 3, 7, 39)),
    call(A.pow.Tensor_Scalar, torch.tensor([3, 200, 16], dtype=torch.uint8), 5),
    call(A.pow.Scalar, 2.5, X),
    call(A.pow.Scalar, 2, N.abs()),
    call(A.float_power.Tensor_Scalar, N, 2),
    call(A.float_power.Scalar, 2, X),
    call(A.square.default, X),
    call(A.square.default, N),
]

ONE_OPERAND = [
    *(call(op, x) for op in (A.abs.default, A.sign.default, A.sgn.default, A.positive.default) for x in (X, N)),
    *(call(op, x) for op in (A.neg.default, A.reciprocal.default) for x in (X, N + 20)),
    call(A.neg.default, tensor(4, dtype=INT8)),
    call(A.sign.default, B),
    *(call(op, x) for op in (A.sqrt.default, A.rsqrt.default) for x in (X.abs(), N.abs() + 1, WIDE.abs())),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(SUMS + QUOTIENTS + POWERS + ONE_OPERAND, OPSETS))
def test_arithmetic_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (call(A.add.Tensor, X, Y), ["Add"]),
        (call(A.add.Scalar, X, 2), ["Add"]),
        (call(A.mul.Tensor, B, C), ["And"]),
        (call(A.div.Scalar, X, 2), ["Div"]),
        (call(A.pow.Tensor_Scalar, X, 2), ["Pow"]),
        (call(A.sub.Tensor, X, Y), ["Sub"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_one_operator_does(item: Call, expected: list[str], opset: int) -> None:
    assert expected == operators(agrees(item, opset, False))


def test_unsigned_integers_divide_without_correction() -> None:
    item = call(A.floor_divide.default, tensor(4, dtype=UINT8), tensor(4, dtype=UINT8, seed=1) + 1)
    assert ["Div"] == operators(agrees(item, 18, False))
