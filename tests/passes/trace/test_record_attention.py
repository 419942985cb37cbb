# SPDX-License-Identifier: Apache-2.0
"""Attention layers of PyTorch with every kind of mask."""

from __future__ import annotations

import pytest
import torch
from torch import nn

AXES = {"q": {0: "b", 1: "t"}, "k": {0: "b", 1: "s"}, "mask": {0: "t", 1: "s"}, "padding": {0: "b", 1: "s"}}
SIZES = (2, 4, 5), (3, 6, 3), (1, 1, 1)


class Attention(nn.Module):
    def __init__(self, weights=True, average=True, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)
        self.weights, self.average = weights, average

    def forward(self, q, k, mask=None, padding=None):
        return self.attention(
            q,
            k,
            k,
            attn_mask=mask,
            key_padding_mask=padding,
            need_weights=self.weights,
            average_attn_weights=self.average,
        )


def call(b, t, s, mask=None, padding=None):
    masks = {
        None: None,
        "bool": torch.ones(t, s).triu(1).bool(),
        "float": torch.randn(t, s),
    }
    paddings = {
        None: None,
        "bool": torch.arange(s) >= torch.arange(s, s - b, -1).clamp(min=1)[:, None],
        "float": torch.randn(b, s),
    }
    return torch.randn(b, t, 8), torch.randn(b, s, 8), masks[mask], paddings[padding]


def axes_of(mask, padding):
    return {name: AXES[name] for name, kind in (("q", 1), ("k", 1), ("mask", mask), ("padding", padding)) if kind}


@pytest.mark.parametrize(
    ("mask", "padding"),
    [(None, None), ("bool", None), ("float", None), (None, "bool"), ("bool", "bool"), ("float", "float")],
)
@pytest.mark.parametrize("weights", [True, False])
def test_masks(agrees, mask, padding, weights):
    calls = [call(*sizes, mask, padding) for sizes in SIZES]
    agrees(Attention(weights).eval(), *calls, axes=axes_of(mask, padding))


@pytest.mark.parametrize(
    "options",
    [{"bias": False, "kdim": 8, "vdim": 8}, {"add_bias_kv": True, "add_zero_attn": True}],
    ids=["separate", "extra"],
)
def test_variants(agrees, options):
    agrees(Attention(average=False, **options).eval(), *(call(*sizes) for sizes in SIZES), axes=axes_of(None, None))


def test_attention_in_training(agrees):
    agrees(Attention(), *(call(*sizes) for sizes in SIZES), axes=axes_of(None, None), training="train")


class Encoder(nn.Module):
    def __init__(self, **options):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x, mask=None, padding=None):
        return self.encoder(x, mask=mask, src_key_padding_mask=padding)


ENCODER_AXES = {"x": {0: "b", 1: "t"}, "mask": {0: "t", 1: "t"}, "padding": {0: "b", 1: "t"}}


@pytest.mark.parametrize(
    ("mask", "padding"), [(None, None), ("bool", None), ("float", None), (None, "bool"), ("bool", "bool")]
)
def test_encoder(agrees, mask, padding):
    calls = []
    for b, t in ((2, 5), (3, 3), (1, 1)):
        x, _, m, p = call(b, t, t, mask, padding)
        calls.append((x, m, p))
    axes = {name: ENCODER_AXES[name] for name, kind in (("x", 1), ("mask", mask), ("padding", padding)) if kind}
    agrees(Encoder().eval(), *calls, axes=axes)


def test_encoder_with_norm_first_in_training(agrees):
    model = Encoder(norm_first=True, activation="gelu", dropout=0.0)
    agrees(model, (torch.randn(2, 5, 8),), (torch.randn(3, 2, 8),), axes={"x": {0: "b", 1: "t"}}, training="train")


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.transformer = nn.Transformer(8, 2, 1, 2, 16, batch_first=True)

    def forward(self, x, y, padding):
        causal = self.transformer.generate_square_subsequent_mask(y.shape[1])
        return self.transformer(
            x, y, tgt_mask=causal, tgt_is_causal=True, src_key_padding_mask=padding, memory_key_padding_mask=padding
        )


def test_encoder_and_decoder(agrees):
    def example(b, s, t):
        return (
            torch.randn(b, s, 8),
            torch.randn(b, t, 8),
            torch.arange(s) >= torch.arange(s, s - b, -1).clamp(min=1)[:, None],
        )

    axes = {"x": {0: "b", 1: "s"}, "y": {0: "b", 1: "t"}, "padding": {0: "b", 1: "s"}}
    agrees(Whole().eval(), example(2, 5, 4), example(3, 4, 6), axes=axes)
