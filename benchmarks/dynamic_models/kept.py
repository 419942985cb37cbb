# SPDX-License-Identifier: Apache-2.0
"""Models that were called before the export, and keep tensors of that call."""

from __future__ import annotations

import functools

import torch
import transformers
from torch import nn

from dynamic_models.attention import EXAMPLE, OTHERS, TableKept, vectors
from dynamic_models.audio import _FRONT, _LAYERS, sound
from dynamic_models.audio import EXAMPLE as SAMPLES
from dynamic_models.audio import OTHERS as MORE_SAMPLES
from dynamic_models.registry import dynamic

EARLIER = 9


def called(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        model.eval()(*vectors(1, EARLIER)[0])
    return model


@dynamic("kept", vectors, EXAMPLE, *OTHERS)
def table_grown_before() -> nn.Module:
    return called(TableKept())


class MaskOfTheLastLength(nn.Module):
    """Causal attention whose mask is kept, in an object, as long as the length stays."""

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[str, torch.Tensor] = {}
        self.layer = nn.Linear(16, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = self.state.get("mask")
        if mask is None or mask.shape[0] != x.shape[1]:
            mask = self.state["mask"] = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
        query, key, value = self.layer(x).chunk(3, -1)
        return (query @ key.transpose(1, 2) / 4 + mask).softmax(-1) @ value


@dynamic("kept", vectors, EXAMPLE, *OTHERS)
def mask_of_the_last_length() -> nn.Module:
    return called(MaskOfTheLastLength())


@functools.lru_cache(maxsize=8)
def sinusoids(length: int) -> torch.Tensor:
    angles = torch.outer(torch.arange(length).float(), 0.1 ** torch.linspace(0, 2, 8))
    return torch.cat([angles.sin(), angles.cos()], -1)


class RememberedSinusoids(nn.Module):
    """Positions from a function that remembers what it has returned for a length."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x + sinusoids(x.shape[1]))


@dynamic("kept", vectors, EXAMPLE, *OTHERS)
def remembered_sinusoids() -> nn.Module:
    return called(RememberedSinusoids())


@dynamic("kept", sound, SAMPLES, *MORE_SAMPLES)
def conformer_called_before() -> nn.Module:
    config = transformers.Wav2Vec2ConformerConfig(**_LAYERS, **_FRONT, position_embeddings_type="rotary")
    model = transformers.Wav2Vec2ConformerModel(config).eval()
    with torch.no_grad():
        model(**sound(1, SAMPLES["samples"])[1])
    return model
