# SPDX-License-Identifier: Apache-2.0
"""Layers of torch.nn, whose Python is full of choices that are known at capture."""

from __future__ import annotations

import torch
from constructs.registry import construct, ints, layer, t
from torch import Tensor, nn

_SENTENCE = {"src": [0, 1]}

layer(
    "encoder_layer",
    lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    (t(2, 5, 8),),
    (t(3, 7, 8),),
    axes=_SENTENCE,
)
layer(
    "decoder_layer",
    lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
    (t(2, 5, 8), t(2, 4, 8, seed=1)),
)
layer("interpolated", lambda: nn.Upsample(scale_factor=2.0, mode="bilinear"), (t(1, 2, 4, 4),))
layer("reflection_padded", lambda: nn.ReflectionPad2d(1), (t(1, 2, 4, 4),))
layer("pixel_shuffled", lambda: nn.PixelShuffle(2), (t(1, 4, 3, 3),), (t(2, 4, 3, 3),), axes={"input": [0]})
layer("instance_normed", lambda: nn.InstanceNorm2d(3, affine=True), (t(2, 3, 4, 4),))
layer("adaptive_average", lambda: nn.AdaptiveAvgPool2d((2, 3)), (t(2, 3, 4, 6),), (t(1, 3, 4, 6),), axes={"input": [0]})
layer("adaptive_maximum", lambda: nn.AdaptiveMaxPool2d(2), (t(2, 3, 4, 6),))
layer(
    "transposed_convolution",
    lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
    (t(2, 3, 4, 6),),
    (t(1, 3, 4, 6),),
    axes={"input": [0]},
)
layer("convolution_of_the_same_size", lambda: nn.Conv2d(3, 4, 3, padding="same"), (t(2, 3, 4, 6),))
layer("circular_convolution", lambda: nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"), (t(2, 3, 6),))
layer("cosine_similarity", lambda: nn.CosineSimilarity(1), (t(2, 3), t(2, 3, seed=1)))
layer("cross_entropy", lambda: nn.CrossEntropyLoss(label_smoothing=0.1), (t(2, 3), ints(0, 2)))
layer("bilinear", lambda: nn.Bilinear(3, 3, 2), (t(2, 3), t(2, 3, seed=1)))
layer("max_pool_rounded_up", lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), (t(1, 2, 7, 7),))
layer("power_average_pool", lambda: nn.LPPool2d(2.0, 2), (t(2, 3, 4, 6).abs(),))
layer("embedding_bag", lambda: nn.EmbeddingBag(10, 3, mode="mean"), (ints(1, 2, 3, 4), ints(0, 2)))
layer("unfolded", lambda: nn.Unfold(2), (t(1, 2, 4, 4),))
layer("flattened_and_back", lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 4))), (t(3, 8),))
layer(
    "row_of_activations",
    lambda: nn.Sequential(nn.Hardswish(), nn.SELU(), nn.Mish(), nn.CELU(), nn.Softplus(), nn.LogSigmoid(), nn.GLU(-1)),
    (t(2, 8),),
    (t(5, 8),),
    axes={"input": [0]},
)


@construct((t(2, 5, 8),), (t(3, 7, 8),), axes={"x": [0, 1]})
class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


@construct((t(2, 5, 8), torch.tensor([[False] * 5, [False, False, False, True, True]])))
class MaskedAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        out, weights = self.attention(x, x, x, key_padding_mask=padding)
        assert weights is not None
        return out, weights


@construct((t(4, 2, 3),), (t(6, 2, 3),), axes={"x": [0]})
class DeepLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(x)
        return out


@construct((t(3, 4, 3),))
class LstmWithState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        state = (torch.ones(1, 4, 4), torch.zeros(1, 4, 4))
        out, (h, c) = self.lstm(x, state)
        return out, h, c


@construct((t(2, 3, 8, 8),), (t(1, 3, 8, 8),), axes={"x": [0]})
class ResidualBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.norm(self.first(x)))
        out += x
        return self.relu(out)
