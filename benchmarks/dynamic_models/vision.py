# SPDX-License-Identifier: Apache-2.0
"""Vision at any batch, height and width."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import transformers
from torch import nn

from dynamic_models.registry import Call, dynamic, sizes

EXAMPLE, *OTHERS = sizes(batch=(2, 1, 3, 1, 2, 1), height=(64, 32, 96, 64, 40, 72), width=(64, 64, 32, 128, 56, 48))


def pixels(batch: int, height: int, width: int) -> Call:
    return (), {"pixel_values": torch.randn(batch, 3, height, width)}


def resized(batch: int, height: int, width: int) -> Call:
    return (), {"pixel_values": torch.randn(batch, 3, height, width), "interpolate_pos_encoding": True}


def pictures(name: str, kind: str, config: str, call: Any = pixels, **more: Any) -> None:
    @dynamic("vision", call, EXAMPLE, *OTHERS, name=name)
    def build() -> nn.Module:
        return getattr(transformers, kind)(getattr(transformers, config)(**more))


_PATCHES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 8,
}
pictures("resnet", "ResNetModel", "ResNetConfig", embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1])
pictures("convnext", "ConvNextModel", "ConvNextConfig", hidden_sizes=[16, 32], depths=[1, 1], num_stages=2)
pictures(
    "segformer",
    "SegformerForSemanticSegmentation",
    "SegformerConfig",
    hidden_sizes=[16, 32],
    depths=[1, 1],
    num_encoder_blocks=2,
    sr_ratios=[4, 1],
    patch_sizes=[7, 3],
    strides=[4, 2],
    num_attention_heads=[1, 2],
    mlp_ratios=[2, 2],
    decoder_hidden_size=16,
)
pictures("vit", "ViTModel", "ViTConfig", resized, **_PATCHES)
pictures("dinov2", "Dinov2Model", "Dinov2Config", **_PATCHES)
pictures(
    "swin",
    "SwinModel",
    "SwinConfig",
    image_size=64,
    patch_size=4,
    embed_dim=16,
    depths=[2, 2],
    num_heads=[2, 4],
    window_size=4,
)
pictures(
    "swinv2",
    "Swinv2Model",
    "Swinv2Config",
    image_size=64,
    patch_size=4,
    embed_dim=16,
    depths=[2, 1],
    num_heads=[2, 4],
    window_size=4,
)
pictures(
    "mobilevit",
    "MobileViTModel",
    "MobileViTConfig",
    image_size=64,
    hidden_sizes=[16, 24, 32],
    neck_hidden_sizes=[8, 8, 16, 16, 24, 32, 48],
    num_attention_heads=2,
)


class PaddedToMultiple(nn.Module):
    """An autoencoder that pads height and width to multiples of eight and cuts its result."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 8, stride=8)
        self.up = nn.ConvTranspose2d(8, 3, 8, stride=8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        bottom, right = (8 - height % 8) % 8, (8 - width % 8) % 8
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom))
        return self.up(self.down(x).relu())[..., :height, :width]


def plain(batch: int, height: int, width: int) -> Call:
    return (torch.randn(batch, 3, height, width),), {}


ODD, *ODDS = sizes(batch=(2, 1, 3, 1, 2, 1), height=(32, 33, 47, 64, 40, 17), width=(48, 31, 32, 61, 56, 8))


@dynamic("vision", plain, ODD, *ODDS)
def padded_to_multiple() -> nn.Module:
    return PaddedToMultiple()


class Pyramid(nn.Module):
    """Features of two scales, the coarse ones resized to the size of the fine ones."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.fine(x).relu()
        coarse = self.coarse(fine).relu()
        merged = fine + F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return F.interpolate(merged, size=x.shape[-2:], mode="bicubic", align_corners=True)


@dynamic("vision", plain, ODD, *ODDS)
def pyramid() -> nn.Module:
    return Pyramid()


class PooledPyramid(nn.Module):
    """Adaptive pooling to several grids, and the global mean and maximum."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [F.adaptive_avg_pool2d(x, grid).flatten(1) for grid in (1, 2, 4)]
        parts.append(F.adaptive_max_pool2d(x, 1).flatten(1))
        return torch.cat(parts, 1)


@dynamic("vision", plain, ODD, *ODDS)
def pooled_pyramid() -> nn.Module:
    return PooledPyramid()


class Rotated(nn.Module):
    """A picture moved by a small network's affine map."""

    def __init__(self) -> None:
        super().__init__()
        self.where = nn.Linear(3, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        theta = self.where(x.mean((2, 3))).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)


@dynamic("vision", plain, ODD, *ODDS)
def rotated() -> nn.Module:
    return Rotated()


class Windows(nn.Module):
    """Attention in windows of four by four over a picture that is padded to them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attend = nn.Conv2d(3, 8, 1), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        batch, channels, height, width = x.shape
        x = F.pad(x, (0, -width % 4, 0, -height % 4))
        rows, columns = x.shape[2] // 4, x.shape[3] // 4
        x = x.view(batch, channels, rows, 4, columns, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, channels)
        x = self.attend(x, x, x, need_weights=False)[0]
        x = x.view(batch, rows, columns, 4, 4, channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(batch, channels, rows * 4, columns * 4)[:, :, :height, :width]


@dynamic("vision", plain, ODD, *ODDS)
def windows() -> nn.Module:
    return Windows()


pictures("poolformer", "PoolFormerModel", "PoolFormerConfig", hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
pictures("mobilenet_v2", "MobileNetV2Model", "MobileNetV2Config", depth_multiplier=0.25)
pictures("clip_vision", "CLIPVisionModel", "CLIPVisionConfig", resized, **_PATCHES)
pictures(
    "depth_anything",
    "DepthAnythingForDepthEstimation",
    "DepthAnythingConfig",
    backbone_config=transformers.Dinov2Config(
        **_PATCHES, out_features=["stage1", "stage2"], reshape_hidden_states=False
    ),
    patch_size=8,
    reassemble_hidden_size=32,
    reassemble_factors=[2, 1],
    neck_hidden_sizes=[16, 24],
    fusion_hidden_size=16,
    head_hidden_size=8,
)
