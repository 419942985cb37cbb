# SPDX-License-Identifier: Apache-2.0
"""Residual networks for image classification: ``resnet18`` and ``resnet50``.

After "Deep Residual Learning for Image Recognition" (He and others, 2015), with the stride of a bottleneck in its
3x3 convolution. The weights are random; the BatchNorm statistics are those of a batch of noise, so that folding them
into the convolutions changes something that a check can see.

    lading export examples/resnet.py:resnet50 -o resnet50.onnx --verify
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.last_norm = nn.BatchNorm2d(width)
        self.shortcut = shortcut(channels_in, width, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.last_norm(self.conv2(y))
        return self.relu(y + self.shortcut(x))


class Bottleneck(nn.Module):
    """Narrow to ``width`` channels, convolve, widen to four times as many, beside a shortcut."""

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels_in, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.widen = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.last_norm = nn.BatchNorm2d(width * self.expansion)
        self.shortcut = shortcut(channels_in, width * self.expansion, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.narrow(x)))
        y = self.relu(self.norm2(self.conv(y)))
        y = self.last_norm(self.widen(y))
        return self.relu(y + self.shortcut(x))


def shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class ResNet(nn.Module):
    """Stem, four stages of blocks, global average, classifier: ``[batch, 3, h, w]`` to ``[batch, classes]``."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        width: int = 64,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        channels = width
        stages = []
        for index, depth in enumerate(depths):
            blocks: list[nn.Module] = []
            for position in range(depth):
                stride = 2 if index > 0 and position == 0 else 1
                blocks.append(block(channels, width * 2**index, stride))
                channels = width * 2**index * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, image: Tensor) -> Tensor:
        features = self.pool(self.stages(self.stem(image)))
        return self.classifier(torch.flatten(features, 1))


def settle_batch_norm(model: nn.Module, image: Tensor) -> None:
    """Give every BatchNorm random scales and shifts, and the statistics that ``image`` has where it stands."""
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for name, norm in norms.items():
        # As in trained networks, a block adds to its shortcut and does not drown it, which rounding errors would join.
        scale = 0.4 if name.endswith("last_norm") else 1.0
        nn.init.uniform_(norm.weight, 0.5 * scale, 1.5 * scale)
        nn.init.normal_(norm.bias, std=0.1)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(image)
    for norm in norms.values():
        norm.momentum = 0.1


def build(block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, int, int, int], **sizes: int) -> ResNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ResNet(block, depths, **sizes)
        settle_batch_norm(model, torch.randn(8, 3, 64, 64))
    return model.eval()


def example_image(batch: int, size: int) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))


def resnet18() -> tuple[ResNet, tuple[Tensor]]:
    return build(BasicBlock, (2, 2, 2, 2)), (example_image(2, 64),)


def resnet50() -> tuple[ResNet, tuple[Tensor]]:
    return build(Bottleneck, (3, 4, 6, 3)), (example_image(1, 224),)


def resnet50_narrow() -> tuple[ResNet, tuple[Tensor]]:
    """ResNet-50 with an eighth of the channels on small images: the same graph, quick to run."""
    return build(Bottleneck, (3, 4, 6, 3), width=8, classes=10), (example_image(2, 64),)


for factory in (resnet18, resnet50, resnet50_narrow):
    factory.dynamic_axes = {"image": {0: "batch"}}  # type: ignore[attr-defined]
