# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.ao.quantization.fx._decomposed
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 10, 13, 21, NEWEST)

D = torch.ops.quantized_decomposed
X = tensor(2, 3, 5, 6) * 3
SCALE, ZERO = tensor(3).abs() * 0.05 + 0.01, torch.tensor([3, 0, 1], dtype=torch.int32)
BYTES = (tensor(2, 3, 4, seed=1).abs() * 50).to(torch.uint8)

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
    call(A.fake_quantize_per_channel_affine.default, X, SCALE, ZERO, 1, -127, 127),
    call(A.fake_quantize_per_channel_affine_cachemask.default, X, SCALE, ZERO, 1, -128, 127),
    call(D.quantize_per_tensor.default, X, 0.05, 3, 0, 255, torch.uint8),
    call(D.quantize_per_tensor.default, X, 0.05, 3, -127, 127, torch.int8),
    call(D.quantize_per_tensor.default, X, 0.001, 3, -30000, 30000, torch.int32),
    call(D.quantize_per_tensor.tensor, X, SCALE[0], ZERO[0].long(), 0, 255, torch.uint8),
    call(D.quantize_per_channel.default, X, SCALE, ZERO.long(), 1, -128, 127, torch.int8),
    call(D.dequantize_per_tensor.default, BYTES, 0.05, 3, 0, 255, torch.uint8),
    call(D.dequantize_per_tensor.tensor, BYTES, SCALE[0], ZERO[0].long(), 0, 255, torch.uint8),
    call(D.dequantize_per_channel.default, BYTES, SCALE, ZERO.long(), 1, 0, 255, torch.uint8),
    call(D.choose_qparams.tensor, X, 0, 255, 1e-5, torch.uint8),
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
