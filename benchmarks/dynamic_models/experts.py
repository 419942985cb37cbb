# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts: right whichever experts are hit, in the three ways in which transformers computes them."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from dynamic_models.decoding import SMALL, VOCABULARY
from dynamic_models.registry import Call, dynamic, sizes

EXAMPLE, *OTHERS = sizes(batch=(2, 1, 3, 2, 1, 4), length=(5, 1, 7, 11, 16, 3))


def words(batch: int, length: int) -> Call:
    ids = torch.randint(3, VOCABULARY, (batch, length))
    return (), {"input_ids": ids, "attention_mask": torch.ones(batch, length, dtype=torch.int64), "use_cache": False}


def mixture(name: str, kind: str, config: Any, ways: tuple[str, ...] = ("grouped_mm", "batched_mm", "eager")) -> None:
    for way in ways:

        @dynamic("experts", words, EXAMPLE, *OTHERS, name=f"{name}_{way}")
        def build(way: str = way) -> nn.Module:
            made = getattr(transformers, kind)(config)
            made.set_experts_implementation(way)
            return made


def _config(kind: str, **more: Any) -> Any:
    return getattr(transformers, kind)(**{**SMALL, **more})


mixture("mixtral", "MixtralForCausalLM", _config("MixtralConfig", num_local_experts=4, num_experts_per_tok=2))
mixture(
    "qwen3_moe",
    "Qwen3MoeForCausalLM",
    _config("Qwen3MoeConfig", num_experts=6, num_experts_per_tok=2, moe_intermediate_size=16, head_dim=8),
)
mixture(
    "qwen2_moe",
    "Qwen2MoeForCausalLM",
    _config("Qwen2MoeConfig", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16),
    ways=("grouped_mm",),
)
mixture("olmoe", "OlmoeForCausalLM", _config("OlmoeConfig", num_experts=4, num_experts_per_tok=2), ways=("eager",))


class RoutedByHand(nn.Module):
    """Each word goes through its best expert, by a loop over all experts with masks."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        weight, chosen = self.gate(flat).softmax(-1).max(-1)
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            hit = (chosen == number).nonzero().squeeze(-1)
            out.index_add_(0, hit, expert(flat[hit]) * weight[hit, None])
        return out.view_as(x)


def _vectors(batch: int, length: int) -> Call:
    return (torch.randn(batch, length, 8),), {}


@dynamic("experts", _vectors, EXAMPLE, *OTHERS)
def routed_by_hand() -> nn.Module:
    return RoutedByHand()


class AllExperts(nn.Module):
    """Every expert computes every word, and the gate weighs them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 5)
        self.first = nn.Parameter(torch.randn(5, 8, 16) * 0.3)
        self.second = nn.Parameter(torch.randn(5, 16, 8) * 0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, chosen = self.gate(x).topk(2, dim=-1)
        dense = torch.zeros_like(self.gate(x)).scatter(-1, chosen, weights.softmax(-1))
        hidden = torch.einsum("bld,edh->belh", x, self.first).relu()
        return torch.einsum("belh,ehd,ble->bld", hidden, self.second, dense)


@dynamic("experts", _vectors, EXAMPLE, *OTHERS)
def all_experts() -> nn.Module:
    return AllExperts()


mixture(
    "deepseek_v3",
    "DeepseekV3ForCausalLM",
    _config(
        "DeepseekV3Config",
        num_key_value_heads=4,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=2,
        topk_group=1,
        first_k_dense_replace=1,
        moe_intermediate_size=16,
        kv_lora_rank=8,
        q_lora_rank=8,
        qk_rope_head_dim=4,
        qk_nope_head_dim=4,
        v_head_dim=8,
    ),
    ways=("batched_mm",),
)
mixture(
    "phimoe", "PhimoeForCausalLM", _config("PhimoeConfig", num_local_experts=4, num_experts_per_tok=2), ways=("eager",)
)
