# SPDX-License-Identifier: Apache-2.0
"""Sizes that are data: packed sequences, lengths, masks, counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dynamic_models.registry import Call, dynamic, sizes

EXAMPLE, *OTHERS = sizes(batch=(3, 1, 2, 5, 4, 2), length=(6, 4, 9, 3, 12, 1))


def padded(batch: int, length: int) -> Call:
    lengths = torch.randint(1, length + 1, (batch,)).sort(descending=True).values
    lengths[0] = length
    return (torch.randn(batch, length, 8), lengths), {}


def packed(kind: type[nn.RNNBase], **more: Any) -> nn.Module:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = kind(8, 6, batch_first=True, **more)

        def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            out, _ = self.layer(pack_padded_sequence(x, lengths, batch_first=True))
            return pad_packed_sequence(out, batch_first=True)

    return Packed()


@dynamic("lengths", padded, EXAMPLE, *OTHERS)
def packed_lstm() -> nn.Module:
    return packed(nn.LSTM, bidirectional=True)


@dynamic("lengths", padded, EXAMPLE, *OTHERS)
def packed_gru() -> nn.Module:
    return packed(nn.GRU, num_layers=2)


class LastOfEach(nn.Module):
    """The last word of each row, found by its length."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return x[torch.arange(x.shape[0]), lengths - 1]


@dynamic("lengths", padded, EXAMPLE, *OTHERS)
def last_of_each() -> nn.Module:
    return LastOfEach()


class MeanOfEach(nn.Module):
    """Masked mean and maximum over the words of each row."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        mask = torch.arange(x.shape[1])[None] < lengths[:, None]
        mean = (x * mask[..., None]).sum(1) / lengths[:, None]
        return torch.cat([mean, x.masked_fill(~mask[..., None], -1e9).amax(1)], 1)


@dynamic("lengths", padded, EXAMPLE, *OTHERS)
def mean_of_each() -> nn.Module:
    return MeanOfEach()


class Unpadded(nn.Module):
    """The words that are no padding, one after the other, and back in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = torch.arange(x.shape[1])[None] < lengths[:, None]
        flat = self.layer(x[mask])
        back = torch.zeros_like(x)
        back[mask] = flat
        return flat, back


@dynamic("lengths", padded, EXAMPLE, *OTHERS)
def unpadded() -> nn.Module:
    return Unpadded()


class LengthRegulator(nn.Module):
    """Each vector repeated as often as a predictor says, as in speech synthesis."""

    def __init__(self) -> None:
        super().__init__()
        self.duration = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count = self.duration(x).squeeze(-1).exp().round().long().clamp(1, 5)
        return x[0].repeat_interleave(count[0], dim=0)


def one_row(length: int) -> Call:
    return (torch.randn(1, length, 8),), {}


@dynamic("lengths", one_row, *sizes(length=(5, 1, 9, 3, 12, 2)))
def length_regulator() -> nn.Module:
    return LengthRegulator()


class SplitBySizes(nn.Module):
    """A flat batch split by sizes that are data, each part to its mean."""

    def forward(self, flat: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        parts = flat.split(counts.tolist())
        return torch.stack([part.mean(0) for part in parts])


def split(words: int) -> Call:
    first = torch.randint(1, words + 2, (1,))
    counts = torch.cat([first, torch.randint(1, 4, (1,)), torch.randint(1, 4, (1,))])
    return (torch.randn(int(counts.sum()), 8), counts), {}


@dynamic("lengths", split, *sizes(words=(5, 1, 9, 3, 12, 2)))
def split_by_sizes() -> nn.Module:
    return SplitBySizes()


class Distinct(nn.Module):
    """The different words and how often each comes."""

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        values, back, counts = torch.unique(ids, return_inverse=True, return_counts=True)
        return values, back, counts


def ids(batch: int, length: int) -> Call:
    return (torch.randint(0, 9, (batch, length)),), {}


@dynamic("lengths", ids, EXAMPLE, *OTHERS)
def distinct() -> nn.Module:
    return Distinct()


class AtARunningPlace(nn.Module):
    """A row taken, and a prefix cut, at a place that is data."""

    def forward(self, x: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x[:, place], x[:, : int(place) + 1].sum(1)


def placed(batch: int, length: int) -> Call:
    return (torch.randn(batch, length, 8), torch.randint(0, length, ())), {}


@dynamic("lengths", placed, EXAMPLE, *OTHERS)
def at_a_running_place() -> nn.Module:
    return AtARunningPlace()


class Bags(nn.Module):
    """Word vectors summed by bag, with offsets."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.EmbeddingBag(9, 8, mode="mean")

    def forward(self, ids: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return self.layer(ids, offsets)


def bags(words: int, bags: int) -> Call:
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.randint(0, words + 1, (bags,)).sort().values])
    return (torch.randint(0, 9, (words,)), offsets), {}


@dynamic("lengths", bags, *sizes(words=(6, 4, 9, 3, 12, 5), bags=(3, 1, 2, 5, 4, 2)))
def word_bags() -> nn.Module:
    return Bags()


class AttentionInPacks(nn.Module):
    """Attention over sequences one after the other in one row, each to itself, by their ends."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 24)

    def forward(self, flat: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        owner = torch.repeat_interleave(torch.arange(counts.shape[0]), counts, output_size=flat.shape[0])
        query, key, value = self.layer(flat).chunk(3, -1)
        same = owner[:, None] == owner[None]
        return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=same)


@dynamic("lengths", split, *sizes(words=(5, 1, 9, 3, 12, 2)))
def attention_in_packs() -> nn.Module:
    return AttentionInPacks()


class Counted(nn.Module):
    """A histogram of words, and the words that come more than once."""

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        counts = torch.bincount(ids.flatten(), minlength=9)
        return counts, (counts > 1).nonzero().squeeze(-1)


@dynamic("lengths", ids, EXAMPLE, *OTHERS)
def counted() -> nn.Module:
    return Counted()
