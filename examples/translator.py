# SPDX-License-Identifier: Apache-2.0
"""A Transformer encoder-decoder from ``torch.nn``, with padding masks and a causal mask.

lading export examples/translator.py:translator -o translator.onnx --verify
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

PADDING = 0


class Positions(nn.Module):
    """Add sinusoidal positions, as in "Attention Is All You Need" (Vaswani and others, 2017)."""

    def __init__(self, width: int, longest: int) -> None:
        super().__init__()
        position = torch.arange(longest).unsqueeze(1)
        rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
        table = torch.zeros(longest, width)
        table[:, 0::2] = torch.sin(position * rate)
        table[:, 1::2] = torch.cos(position * rate)
        self.register_buffer("table", table)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table[: x.size(1)]


class Translator(nn.Module):
    """Source ``[batch, source]`` and target so far ``[batch, target]`` to scores ``[batch, target, vocabulary]``."""

    def __init__(self, vocabulary: int = 120, width: int = 32, heads: int = 4, longest: int = 64) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.positions = Positions(width, longest)
        self.transformer = nn.Transformer(
            width, heads, num_encoder_layers=2, num_decoder_layers=2, dim_feedforward=64, batch_first=True
        )
        self.scores = nn.Linear(width, vocabulary)

    def embed(self, words: Tensor) -> Tensor:
        return self.positions(self.embedding(words) * math.sqrt(self.width))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        padding = source == PADDING
        length = target.size(1)
        future = torch.ones(length, length, dtype=torch.bool, device=target.device).triu(diagonal=1)
        states = self.transformer(
            self.embed(source),
            self.embed(target),
            tgt_mask=future,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
        return self.scores(states)


def translator() -> tuple[Translator, tuple[Tensor, Tensor]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Translator().eval()
        source = torch.randint(1, 120, (2, 11))
        target = torch.randint(1, 120, (2, 7))
    source[1, 8:] = PADDING
    return model, (source, target)


translator.dynamic_axes = {  # type: ignore[attr-defined]
    "source": {0: "batch", 1: "source_words"},
    "target": {0: "batch", 1: "target_words"},
}
