# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST, NotLowered, check

A = torch.ops.aten

Q, K, V = (tensor(2, 3, length, 8, seed=seed) for seed, length in ((1, 4), (2, 5), (3, 5)))
MASK = torch.where(tensor(2, 1, 4, 5, dtype=torch.bool), 0.0, -torch.inf)
MASK[..., 0] = 0.0


def _gradient(key: torch.Tensor = K, value: torch.Tensor = V, causal: bool = False, **kwargs: object) -> Call:
    y, logs = A._scaled_dot_product_flash_attention_for_cpu.default(Q, key, value, 0.0, causal, **kwargs)
    overload = A._scaled_dot_product_flash_attention_for_cpu_backward.default
    return call(overload, tensor(*y.shape, seed=9), Q, key, value, y, logs, 0.0, causal, **kwargs)


CALLS = [
    _gradient(),
    _gradient(scale=0.3),
    _gradient(K[:, :, :4], V[:, :, :4], causal=True),
    _gradient(attn_mask=MASK),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, NEWEST)))
def test_attention_gradients_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_dropout_is_declined() -> None:
    args = CALLS[0].args
    with pytest.raises(NotLowered, match="the mask that was drawn"):
        check(CALLS[0].overload, *args[:6], 0.5, False)
