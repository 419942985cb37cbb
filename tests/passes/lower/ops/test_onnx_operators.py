# SPDX-License-Identifier: Apache-2.0
"""The operators of `torch.onnx.ops` that compute in PyTorch: one node where the opset has it, else by their parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lading


class Rotary(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | None = None) -> Tensor:
        return torch.onnx.ops.rotary_embedding(x, cos, sin, positions, **self.options)


class Attention(nn.Module):
    def __init__(self, results: int = 3, **options: Any) -> None:
        super().__init__()
        self.results = results
        self.options = options

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        return torch.onnx.ops.attention(query, key, value, *more, **self.options)[: self.results]


class CausalAttentionWithPast(nn.Module):
    def forward(self, query: Tensor, key: Tensor, value: Tensor, past: Tensor) -> tuple[Tensor, ...]:
        return torch.onnx.ops.attention(query, key, value, None, past, past, is_causal=True)[:3]


Q, K, V, PAST = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 6, 8)
X, COS, SIN = torch.randn(2, 3, 4, 8), torch.randn(2, 4, 4), torch.randn(2, 4, 4)
FLAT, TABLE, POSITIONS = torch.randn(2, 4, 32), torch.randn(9, 4), torch.tensor([[0, 3, 8, 1], [2, 2, 5, 7]])
SEEN = torch.tensor([[True, False, True, True, False], [True] * 5, [False, False, False, False, True]])
FLAT_QKV = (torch.randn(2, 3, 32), torch.randn(2, 5, 16), torch.randn(2, 5, 16))

WHOLE = [
    pytest.param(Rotary(), (X, COS, SIN), id="rotary"),
    pytest.param(Rotary(interleaved=True), (X, COS, SIN), id="rotary-interleaved"),
    pytest.param(Rotary(rotary_embedding_dim=6), (X, COS[..., :3], SIN[..., :3]), id="rotary-of-a-part"),
    pytest.param(Rotary(num_heads=4), (FLAT, TABLE, TABLE.flip(0), POSITIONS), id="rotary-by-positions"),
    pytest.param(Attention(), (Q, K, V), id="attention-of-shared-heads"),
    pytest.param(Attention(is_causal=True, scale=0.2), (Q, K, V), id="attention-causal"),
    pytest.param(Attention(), (Q, K, V, SEEN), id="attention-masked"),
    pytest.param(Attention(q_num_heads=4, kv_num_heads=2), FLAT_QKV, id="attention-flat"),
]
BY_PARTS = [
    pytest.param(CausalAttentionWithPast(), (Q, K, V, PAST), id="causal-with-a-past"),
    pytest.param(Attention(softcap=2.0), (Q, K, V), id="softcap"),
    pytest.param(Attention(), (Q, K, V, torch.randn(3, 5)), id="floating-mask"),
    pytest.param(Attention(4, qk_matmul_output_mode=3), (Q, K, V), id="weights-asked-for"),
]


def _exported(model: nn.Module, args: Sequence[Tensor], opset: int, *settings: str) -> lading.Exported:
    exported = lading.export(model, tuple(args), settings=[f"target.opset={opset}", *settings], verify=True)
    assert exported.verification.passed
    return exported


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize(("model", "args"), WHOLE)
def test_one_node_says_it_where_the_opset_has_the_operator(
    model: nn.Module, args: Sequence[Tensor], opset: int
) -> None:
    (node,) = _exported(model, args, opset).model.graph
    assert type(model).__name__ in node.op_type or node.op_type == "RotaryEmbedding"


@pytest.mark.parametrize(("model", "args"), WHOLE)
def test_older_opsets_have_its_parts(model: nn.Module, args: Sequence[Tensor]) -> None:
    operators = {node.op_type for node in _exported(model, args, 13).model.graph}
    assert not operators & {"RotaryEmbedding", "Attention"}


@pytest.mark.parametrize(("model", "args"), BY_PARTS)
def test_what_opsets_mean_differently_goes_by_parts(model: nn.Module, args: Sequence[Tensor]) -> None:
    operators = [node.op_type for node in _exported(model, args, 23).model.graph]
    assert len(operators) > 1
