# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 13, 18, 23, 25, NEWEST)

Q, K, V = tensor(2, 4, 5, 8), tensor(2, 4, 7, 8, seed=1), tensor(2, 4, 7, 6, seed=2)
SHARED_K, SHARED_V = K[:, :2].contiguous(), V[:, :2].contiguous()
SEEN = tensor(2, 1, 5, 7, dtype=torch.bool)
SEEN[0, 0, 2] = False
BIAS = tensor(2, 4, 5, 7, seed=3)
BLIND = tensor(1, 1, 5, 7, seed=4)
BLIND[0, 0, 1] = float("-inf")
LOWEST = torch.full((1, 1, 5, 7), torch.finfo(torch.float32).min)
SDPA = A.scaled_dot_product_attention.default

CALLS = [
    call(SDPA, Q, K, V),
    call(SDPA, Q, K, V, scale=0.3),
    call(SDPA, Q[0], K[0], V[0]),
    call(SDPA, Q[0, 0], K[0, 0], V[0, 0]),
    call(SDPA, Q, K, V, None, 0.0, True, free=False),
    call(SDPA, Q, K, V, None, 0.0, True),
    call(SDPA, K, Q, Q, None, 0.0, True),
    call(SDPA, Q, K, V, SEEN),
    call(SDPA, Q, K, V, SEEN[0, 0]),
    call(SDPA, Q, K, V, SEEN[:, :, :1].contiguous()),
    call(SDPA, Q, K, V, BIAS),
    call(SDPA, Q, K, V, BLIND),
    call(SDPA, Q, K, V, LOWEST),
    call(SDPA, Q, SHARED_K, SHARED_V, enable_gqa=True),
    call(SDPA, Q, SHARED_K, SHARED_V, SEEN, enable_gqa=True),
    call(SDPA, Q, SHARED_K, SHARED_V, BIAS, enable_gqa=True),
    call(SDPA, Q, K[:1].contiguous(), V[:1].contiguous()),
    call(SDPA, Q[:, :1].contiguous(), K, V[:1].contiguous()),
    call(SDPA, Q, K[:, :, :0].contiguous(), V[:, :, :0].contiguous(), free=False),
    call(SDPA, Q.half(), K.half(), V.half()),
    call(SDPA, Q.bfloat16(), K.bfloat16(), V.bfloat16(), floor=13),
    call(SDPA, Q.double(), K.double(), V.double()),
    call(A._scaled_dot_product_flash_attention_for_cpu.default, Q, K, K, 0.0, True, free=False),
    call(A._scaled_dot_product_flash_attention_for_cpu.default, Q, K, K),
    call(A._scaled_dot_product_attention_math.default, Q, K, V, BIAS),
    call(A._scaled_dot_product_attention_math.default, Q, SHARED_K, SHARED_V, None, 0.0, True, enable_gqa=True),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_attention_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(SDPA, Q, K, V), 13, ["Mul", "Transpose", "MatMul", "Softmax", "MatMul"]),
        (call(SDPA, Q, K, V, None, 0.0, True), 13, ["Mul", "Transpose", "MatMul", "Where", "Softmax", "MatMul"]),
        (call(SDPA, Q, K, V, SEEN), 23, ["Attention"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
