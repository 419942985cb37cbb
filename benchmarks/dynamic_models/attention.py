# SPDX-License-Identifier: Apache-2.0
"""Encoders and long attention at any batch and length."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from dynamic_models.decoding import SMALL, VOCABULARY
from dynamic_models.registry import Call, dynamic, sizes

EXAMPLE, *OTHERS = sizes(batch=(2, 1, 3, 2, 1, 4), length=(12, 1, 7, 33, 64, 3))
LONG, *LONGER = sizes(batch=(2, 1, 3, 2, 1, 4), length=(24, 16, 8, 40, 64, 32))


def words(batch: int, length: int) -> Call:
    ids = torch.randint(3, VOCABULARY, (batch, length))
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[-1, length // 2 + 1 :] = 0
    return (), {"input_ids": ids, "attention_mask": mask}


def encoder(name: str, kind: str, config: str, example: Any = EXAMPLE, others: Any = OTHERS, **more: Any) -> None:
    @dynamic("attention", words, example, *others, name=name)
    def build() -> nn.Module:
        settings = {key: value for key, value in SMALL.items() if key != "num_key_value_heads"}
        return getattr(transformers, kind)(getattr(transformers, config)(**{**settings, **more}))


encoder("bert", "BertModel", "BertConfig")
encoder(
    "deberta_v2",
    "DebertaV2Model",
    "DebertaV2Config",
    relative_attention=True,
    pos_att_type=["p2c", "c2p"],
    position_buckets=16,
)
encoder("modernbert", "ModernBertModel", "ModernBertConfig", local_attention=8, cls_token_id=1, sep_token_id=2)
encoder("longformer", "LongformerModel", "LongformerConfig", LONG, LONGER, attention_window=8)
encoder("big_bird", "BigBirdModel", "BigBirdConfig", LONG, LONGER, attention_type="original_full", block_size=8)
encoder("roformer", "RoFormerModel", "RoFormerConfig", embedding_size=32)
encoder("funnel_free_mpnet", "MPNetModel", "MPNetConfig")
encoder("xlnet_like_megatron", "MegatronBertModel", "MegatronBertConfig")


@dynamic("attention", words, EXAMPLE, *OTHERS)
def llama_prompt() -> nn.Module:
    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL))

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits

    return Logits()


def vectors(batch: int, length: int) -> Call:
    return (torch.randn(batch, length, 16),), {}


class TransformerWithMasks(nn.Module):
    """PyTorch's own encoder under a causal mask made for the length."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.layers(x, mask=mask, is_causal=True)


@dynamic("attention", vectors, EXAMPLE, *OTHERS)
def transformer_with_masks() -> nn.Module:
    return TransformerWithMasks()


class SinusoidsOnTheFly(nn.Module):
    """Sine and cosine positions for the length, with linear attention."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)[:, None]
        rates = torch.exp(-torch.arange(0, 16, 2, device=x.device) / 16 * 4.6)
        x = x + torch.stack([torch.sin(places * rates), torch.cos(places * rates)], -1).flatten(1)
        keys = nn.functional.elu(x) + 1
        memory = keys.transpose(1, 2) @ x
        return keys @ memory / (keys @ keys.sum(1).unsqueeze(-1))


@dynamic("attention", vectors, EXAMPLE, *OTHERS)
def sinusoids_on_the_fly() -> nn.Module:
    return SinusoidsOnTheFly()


class TableKept(nn.Module):
    """Rotary angles kept in a table that grows when a longer call comes."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0
        self.table: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] > self.longest:
            self.longest = x.shape[1]
            self.table = torch.outer(torch.arange(self.longest).float(), 0.1 ** torch.linspace(0, 2, 8))
        angles = self.table[: x.shape[1]]
        left, right = x.chunk(2, -1)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)


@dynamic("attention", vectors, EXAMPLE, *OTHERS)
def table_kept() -> nn.Module:
    return TableKept()


class RelativeBias(nn.Module):
    """Attention with a learned bias by clipped distance."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Embedding(17, 2)
        self.layer = nn.Linear(16, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        query, key, value = self.layer(x).view(batch, length, 3, 2, 8).permute(2, 0, 3, 1, 4)
        places = torch.arange(length, device=x.device)
        distance = (places[None] - places[:, None]).clamp(-8, 8) + 8
        bias = self.bias(distance).permute(2, 0, 1)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return mixed.transpose(1, 2).reshape(batch, length, 16)


@dynamic("attention", vectors, EXAMPLE, *OTHERS)
def relative_bias() -> nn.Module:
    return RelativeBias()


encoder("albert", "AlbertModel", "AlbertConfig", embedding_size=16)
encoder("xlm_roberta", "XLMRobertaModel", "XLMRobertaConfig", pad_token_id=1)
encoder(
    "nystromformer", "NystromformerModel", "NystromformerConfig", LONG, LONGER, num_landmarks=8, segment_means_seq_len=8
)


class LocalBlocks(nn.Module):
    """Attention to the own block of eight and both of its neighbours, over any length."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        more = -length % 8
        y = nn.functional.pad(self.layer(x), (0, 0, 0, more))
        query, key, value = y.view(batch, -1, 8, 3 * width).chunk(3, -1)
        inside = nn.functional.pad(x.new_ones(length), (0, more)).view(-1, 8)

        def around(blocks: torch.Tensor, axis: int) -> torch.Tensor:
            widths = [0, 0] * (blocks.dim() - axis - 1) + [1, 1]
            wide = nn.functional.pad(blocks, widths)
            count = blocks.shape[axis]
            return torch.cat([wide.narrow(axis, start, count) for start in range(3)], axis + 1)

        scores = query @ around(key, 1).transpose(-1, -2) / 4
        scores = scores.masked_fill(around(inside, 0)[None, :, None] == 0, -1e9)
        return (scores.softmax(-1) @ around(value, 1)).reshape(batch, -1, width)[:, :length]


@dynamic("attention", vectors, EXAMPLE, *OTHERS)
def local_blocks() -> nn.Module:
    return LocalBlocks()
