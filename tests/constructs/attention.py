# SPDX-License-Identifier: Apache-2.0
"""Attention and transformer layers of torch.nn with every kind of mask, and recurrent layers over packed sequences."""

from __future__ import annotations

import torch
from constructs.registry import EAGER_ONLY, construct, ints, t
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

ALSO_A_PROGRAM = ("eager", "script", "program")


def later(size: int) -> Tensor:
    """Return a mask that hides what comes later."""
    return torch.ones(size, size).triu(1).bool()


def hidden(*lengths: int) -> Tensor:
    """Return a mask that hides what lies behind the lengths."""
    return torch.arange(max(lengths))[None] >= torch.tensor(lengths)[:, None]


@construct((t(2, 5, 8), later(5)), (t(3, 4, 8), later(4)), axes={"x": {0: "b", 1: "t"}, "mask": {0: "t", 1: "t"}})
class AttentionWithAMask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.attention(x, x, x, attn_mask=mask, need_weights=False)[0]


@construct((t(5, 2, 8), t(5, 5)), (t(5, 3, 8), t(5, 5)), axes={"x": [1]}, forms=ALSO_A_PROGRAM)
class AttentionWithAnAdditiveMask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 4)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        out, weights = self.attention(x, x, x, attn_mask=mask, average_attn_weights=False)
        assert weights is not None
        return out, weights


@construct(
    (t(2, 4, 8), t(2, 5, 6), hidden(5, 3), later(5)[:4]),
    (t(3, 4, 8), t(3, 5, 6), hidden(5, 1, 2), later(5)[:4]),
    axes={"q": {0: "b"}, "k": {0: "b"}, "padding": {0: "b"}},
)
class AttentionWithBothMasks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)

    def forward(self, q: Tensor, k: Tensor, padding: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        out, weights = self.attention(q, k, k, key_padding_mask=padding, attn_mask=mask)
        assert weights is not None
        return out, weights


@construct((t(5, 8),), (t(7, 8),), axes={"x": [0]})
class AttentionWithoutABatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]


@construct(
    (t(2, 5, 8), hidden(5, 3)), (t(3, 4, 8), hidden(1, 4, 2)), axes={"x": {0: "b", 1: "t"}, "padding": {0: "b", 1: "t"}}
)
class EncoderWithPadding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        return self.layer(x, src_key_padding_mask=padding)


@construct((t(2, 5, 8), later(5)), (t(3, 4, 8), later(4)), axes={"x": {0: "b", 1: "t"}, "mask": {0: "t", 1: "t"}})
class EncoderNormFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.layer(x, src_mask=mask)


@construct(
    (t(2, 5, 8), later(5), hidden(5, 3)),
    (t(3, 5, 8), later(5), hidden(5, 4, 2)),
    axes={"x": {0: "b"}, "padding": {0: "b"}},
)
class StackOfEncoders(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False)

    def forward(self, x: Tensor, mask: Tensor, padding: Tensor) -> Tensor:
        return self.encoder(x, mask=mask, src_key_padding_mask=padding)


@construct((t(2, 5, 8), t(2, 4, 8)), (t(3, 5, 8), t(3, 4, 8)), axes={"x": {0: "b"}, "y": {0: "b"}})
class EncoderAndDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
        self.register_buffer("later", later(4))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.transformer(x, y, tgt_mask=self.later)


@construct(
    (t(2, 2, 5, 4), later(5)),
    (t(3, 2, 6, 4), later(6)),
    axes={"x": {0: "b", 2: "t"}, "mask": {0: "t", 1: "t"}},
    forms=ALSO_A_PROGRAM,
)
class DotProductWithAMask(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        shown = torch.logical_not(mask)
        return nn.functional.scaled_dot_product_attention(x, x * 2, x + 1, attn_mask=shown, scale=0.3)


@construct((t(2, 2, 5, 4),), (t(3, 2, 6, 4),), axes={"x": {0: "b", 2: "t"}}, forms=ALSO_A_PROGRAM)
class CausalDotProduct(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)


@construct((t(2, 4, 5, 4), t(2, 2, 5, 4)), forms=("eager", "program"))
class GroupedQueries(nn.Module):
    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(q, k, k, enable_gqa=True)


# ---- packed sequences ------------------------------------------------------------------------------------------------


@construct(
    (t(3, 5, 3), ints(5, 3, 2)), (t(4, 6, 3), ints(6, 6, 4, 1)), axes={"x": {0: "b", 1: "t"}, "lengths": {0: "b"}}
)
class PackedLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        packed = pack_padded_sequence(x, lengths, batch_first=True)
        out, (h, _) = self.lstm(packed)
        padded, sizes = pad_packed_sequence(out, batch_first=True)
        return padded, sizes, h


@construct(
    (t(3, 5, 3), ints(2, 5, 3)),
    (t(4, 6, 3), ints(1, 6, 4, 6)),
    axes={"x": {0: "b", 1: "t"}, "lengths": {0: "b"}},
    since=10,
)
class PackedGruInAnyOrder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = self.gru(packed)
        return pad_packed_sequence(out, batch_first=True)[0]


@construct(
    (t(5, 3, 3), ints(5, 3, 2)),
    (t(6, 2, 3), ints(6, 1)),
    axes={"x": {0: "t", 1: "b"}, "lengths": {0: "b"}},
    forms=EAGER_ONLY,
)
class ComputedOnPackedData(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths)
        done = PackedSequence(self.layer(packed.data).relu(), packed.batch_sizes)
        return pad_packed_sequence(done)[0]


@construct(
    (t(5, 2, 3), t(1, 2, 4), t(1, 2, 4)),
    (t(7, 2, 3), t(1, 2, 4), t(1, 2, 4)),
    axes={"x": [0]},
    forms=("eager", "script", "traced"),
)
class LstmStepByStep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out, (h, c) = self.lstm(x, (h, c))
        return out, h, c
