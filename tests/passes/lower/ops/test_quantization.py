# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 10, 13, 21, NEWEST)

X = tensor(2, 3, 5, 6) * 3
SCALE, ZERO = tensor(3).abs() * 0.05 + 0.01, torch.tensor([3, 0, 1], dtype=torch.int32)

CALLS = [
    call(A.fake_quantize_per_tensor_affine.default, X, 0.05, 3, 0, 255),
    call(A.fake_quantize_per_tensor_affine.default, X, 0.05, 3, 0, 127),
    call(A.fake_quantize_per_tensor_affine.default, X, 0.001, 3, -3000, 3000),
    call(A.fake_quantize_per_tensor_affine.tensor_qparams, X, SCALE[0], ZERO[0], -128, 127),
    call(A.fake_quantize_per_tensor_affine_cachemask.default, X, 0.01, -3, -128, 127),
    call(
        A._fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default,
        X,
        SCALE[:1],
        ZERO[:1],
        torch.tensor([1]),
        0,
        255,
    ),
    call(
        A._fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default,
        X,
        SCALE[:1],
        ZERO[:1],
        torch.tensor([0]),
        0,
        255,
    ),
    call(A._fake_quantize_learnable_per_tensor_affine.default, X, SCALE[:1], torch.tensor([2.7]), -128, 127),
    call(A._fake_quantize_learnable_per_channel_affine.default, X, SCALE, ZERO.float() + 0.3, 1, -128, 127),
    call(A.fake_quantize_per_tensor_affine.default, X, 0.001, 3, -32768, 32767),
    call(A.fake_quantize_per_tensor_affine.default, X, 0.1, 0, -100000, 100000),
    call(A.fake_quantize_per_tensor_affine.default, X, 0.5, 0, -8, 7),
    call(A.fake_quantize_per_tensor_affine.default, X.half(), 0.05, 3, 0, 255),
    call(A.fake_quantize_per_tensor_affine.default, X.double(), 0.05, 3, 0, 255),
    call(A.fake_quantize_per_channel_affine.default, X, SCALE, ZERO, 1, -127, 127),
    call(A.fake_quantize_per_channel_affine_cachemask.default, X, SCALE, ZERO, 1, -128, 127),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_quantization_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (
            call(A.fake_quantize_per_tensor_affine.default, X, 0.05, 3, 0, 255),
            13,
            ["QuantizeLinear", "DequantizeLinear"],
        ),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
