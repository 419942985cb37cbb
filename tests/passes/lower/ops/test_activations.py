# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, 18, NEWEST)

X = tensor(2, 4) * 3
WIDE = X.double()
IMAGE = tensor(2, 3, 4, 5)
N = tensor(2, 4, dtype=torch.int64)
MASKED = torch.tensor([[-math.inf, -math.inf], [1.0, -math.inf]])

CALLS = [
    *(
        call(getattr(A, name).default, x)
        for name in ("relu", "silu", "mish", "hardswish", "hardsigmoid", "selu", "sigmoid", "tanh", "log_sigmoid")
        for x in (X, WIDE)
    ),
    call(A.relu.default, N),
    call(A.sigmoid.default, N),
    call(A.relu6.default, X),
    call(A.leaky_relu.default, X, 0.2),
    call(A.prelu.default, IMAGE, tensor(3)),
    call(A.prelu.default, IMAGE, tensor(1)),
    call(A._prelu_kernel.default, IMAGE, tensor(1, 3, 1, 1)),
    call(A.rrelu.default, X, 0.1, 0.3),
    call(A.elu.default, X),
    call(A.elu.default, X, 0.7, 1.5, 0.5),
    call(A.celu.default, X, 1.7),
    call(A.gelu.default, X),
    call(A.gelu.default, WIDE),
    call(A.gelu.default, X, approximate="tanh"),
    call(A.softplus.default, X, 2, 1.5),
    call(A.softplus.default, X * 20),
    call(A.softshrink.default, X, 0.7),
    call(A.hardshrink.default, X, 0.7),
    call(A.glu.default, IMAGE, 2),
    call(A.hardtanh.default, X, -0.5, 0.7),
    call(A.hardtanh.default, N, -2, 3),
    call(A.threshold.default, X, 0.5, 2.0),
    call(A.threshold.default, N, 2, -1),
    call(A.softmax.int, IMAGE, 1),
    call(A.softmax.int, X, -1, dtype=torch.float64),
    call(A.softmax.int, N, 0, torch.float32),
    call(A.softmax.int, torch.tensor(2.0), 0),
    call(A._softmax.default, IMAGE, -2, False),
    call(A.log_softmax.int, IMAGE, 1),
    call(A._log_softmax.default, X, -1, False),
    call(A._safe_softmax.default, MASKED, -1, floor=9),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_activations_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    # onnxruntime approximates erf and tanh to a few parts in a million.
    agrees(item, opset, free, atol=2e-5)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.gelu.default, X), 20, ["Gelu"]),
        (call(A.silu.default, X), 13, ["Sigmoid", "Mul"]),
        (call(A.mish.default, X), 18, ["Mish"]),
        (call(A.hardswish.default, X), 14, ["HardSwish"]),
        (call(A.relu6.default, X), 13, ["Clip"]),
        (call(A._softmax.default, X, -1, False), 13, ["Softmax"]),
        (call(A.glu.default, X, 1), 13, ["Split", "Sigmoid", "Mul"]),
        (call(A.softplus.default, X), 13, ["Softplus"]),
        (call(A.threshold.default, X, 0, 0), 13, ["Relu"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False, atol=2e-5))


def test_nan_goes_through_shrinking() -> None:
    agrees(call(A.softshrink.default, torch.tensor([math.nan, 0.2, 2.0])), 13, False)
