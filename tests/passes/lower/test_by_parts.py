# SPDX-License-Identifier: Apache-2.0
"""Operators that a recipe wants written with what older opsets have, and those that only some runtimes have."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import lading

X = torch.randn(2, 3, 8)
IMAGE = torch.randn(2, 6, 4, 4)


class SelfAttention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None]
        return F.scaled_dot_product_attention(x, x, x)


FUSED = [
    pytest.param(nn.LayerNorm(8), X, "LayerNormalization", 17, id="LayerNormalization"),
    pytest.param(nn.GELU(), X, "Gelu", 20, id="Gelu"),
    pytest.param(nn.GroupNorm(2, 6), IMAGE, "GroupNormalization", 21, id="GroupNormalization"),
    pytest.param(nn.RMSNorm(8), X, "RMSNormalization", 23, id="RMSNormalization"),
    pytest.param(SelfAttention(), X, "Attention", 23, id="Attention"),
]


def _operators(model: nn.Module, x: Tensor, opset: int, *settings: str) -> set[str]:
    exported = lading.export(model, (x,), settings=[f"target.opset={opset}", *settings], verify=True)
    assert exported.verification.passed
    return {node.op_type for node in exported.model.graph}


@pytest.mark.parametrize(("model", "x", "name", "since"), FUSED)
def test_the_first_opset_that_has_the_operator_gets_it(model: nn.Module, x: Tensor, name: str, since: int) -> None:
    assert name in _operators(model, x, since)


@pytest.mark.parametrize(("model", "x", "name", "since"), FUSED)
def test_a_recipe_can_have_the_parts_instead(model: nn.Module, x: Tensor, name: str, since: int) -> None:
    assert name not in _operators(model, x, since, f"lower.by_parts=['{name}']")


def test_patterns_name_several() -> None:
    model = nn.Sequential(nn.LayerNorm(8), nn.GELU(), nn.RMSNorm(8))
    assert {"Gelu"} == _operators(model, X, 23, "lower.by_parts=['*Normalization']") & {
        "Gelu",
        "LayerNormalization",
        "RMSNormalization",
    }


def test_a_name_that_no_newer_operator_has_is_refused() -> None:
    with pytest.raises(lading.UsageError, match="did you mean 'LayerNormalization'"):
        lading.export(nn.LayerNorm(8), (X,), settings=["lower.by_parts=['LayerNorm']"])


@pytest.mark.parametrize(
    ("kernels", "expected"), [("onnxruntime-cpu", {"Sigmoid", "Mul"}), ("any", {"Swish"})], ids=["onnxruntime", "any"]
)
def test_swish_is_for_runtimes_that_have_it(kernels: str, expected: set[str]) -> None:
    exported = lading.export(nn.SiLU(), (X,), settings=["target.opset=24", f"lower.kernels='{kernels}'"])
    assert expected == {node.op_type for node in exported.model.graph}
