# SPDX-License-Identifier: Apache-2.0
"""A U-Net for segmentation, in two forms.

``unet`` widens its features with transposed convolutions, as in "U-Net: Convolutional Networks for Biomedical Image
Segmentation" (Ronneberger and others, 2015), and takes images whose sides are multiples of eight.
``unet_any_size`` resizes them to what the skip connection has, and takes any image.

    lading export examples/unet.py:unet_any_size -o unet.onnx --verify
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DoubleConv(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class Up(nn.Module):
    """Double the sides of ``x`` and join it with the features of the same level on the way down."""

    def __init__(self, channels_in: int, channels_out: int, resize: bool) -> None:
        super().__init__()
        self.resize = resize
        self.widen: nn.Module
        if resize:
            self.widen = nn.Conv2d(channels_in, channels_out, 1)
        else:
            self.widen = nn.ConvTranspose2d(channels_in, channels_out, 2, stride=2)
        self.convs = DoubleConv(2 * channels_out, channels_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if self.resize:
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        return self.convs(torch.cat([skip, self.widen(x)], dim=1))


class UNet(nn.Module):
    """``[batch, 3, h, w]`` to scores ``[batch, classes, h, w]``."""

    def __init__(self, widths: tuple[int, ...] = (8, 16, 32, 64), classes: int = 4, resize: bool = False) -> None:
        super().__init__()
        self.entry = DoubleConv(3, widths[0])
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(Up(b, a, resize) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        levels = [self.entry(image)]
        for down in self.down:
            levels.append(down(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        for up in self.up:
            x = up(x, levels.pop())
        return self.head(x)


def build(resize: bool) -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = UNet(resize=resize)
        with torch.no_grad():
            for _ in range(10):
                model.train()(torch.randn(4, 3, 32, 32))
    return model.eval()


def example_image() -> Tensor:
    return torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def unet() -> tuple[UNet, tuple[Tensor]]:
    return build(resize=False), (example_image(),)


def unet_any_size() -> tuple[UNet, tuple[Tensor]]:
    return build(resize=True), (example_image(),)


unet.dynamic_axes = {"image": {0: "batch"}}  # type: ignore[attr-defined]
unet_any_size.dynamic_axes = {"image": {0: "batch", 2: "height", 3: "width"}}  # type: ignore[attr-defined]
