# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 13, 23, NEWEST)

X = tensor(2, 5, 8)
QKV = tensor(24, 8) * 0.3, tensor(24)
OUT = tensor(8, 8) * 0.3, tensor(8)
NORMS = tensor(8), tensor(8, seed=1), tensor(8, seed=2), tensor(8, seed=3)
PERCEPTRON = tensor(16, 8) * 0.3, tensor(16), tensor(8, 16) * 0.3, tensor(8)
PADDED = torch.tensor([[False, False, False, True, True], [False] * 5])

CALLS = [
    call(A._native_multi_head_attention.default, X, X, X, 8, 2, *QKV, *OUT, free=False),
    call(A._native_multi_head_attention.default, X, X, X, 8, 2, *QKV, *OUT, PADDED, True, False, 1, free=False),
    call(
        A._transformer_encoder_layer_fwd.default, X, 8, 2, *QKV, *OUT, True, True, 1e-5, *NORMS, *PERCEPTRON, free=False
    ),
    call(
        A._transformer_encoder_layer_fwd.default,
        X,
        8,
        2,
        *QKV,
        *OUT,
        False,
        False,
        1e-5,
        *NORMS,
        *PERCEPTRON,
        PADDED,
        1,
        free=False,
    ),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_transformer_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, atol=1e-4)
