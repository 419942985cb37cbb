# SPDX-License-Identifier: Apache-2.0
"""Interfaces and classes of TorchScript, whose annotations must be types rather than their names."""

import torch
from constructs.registry import SCRIPT_ONLY, construct, down, t, up
from torch import Tensor, nn


@torch.jit.interface
class Layer(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


@construct((t(2, 3),))
class BehindAnInterface(nn.Module):
    layer: Layer

    def __init__(self) -> None:
        super().__init__()
        self.layer = Doubling()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.forward(x) + 1


@torch.jit.script
class Accumulator:
    def __init__(self, start: Tensor) -> None:
        self.total = start
        self.count = 0

    def add(self, x: Tensor) -> None:
        self.total = self.total + x
        self.count += 1


@construct((t(2, 3),), forms=SCRIPT_ONLY)
def object_of_a_class(x: Tensor) -> Tensor:
    kept = Accumulator(torch.zeros_like(x))
    for i in range(3):
        kept.add(x * i)
    return kept.total / kept.count


@construct((up(2, 3),), (down(2, 3),), forms=SCRIPT_ONLY)
def object_changed_on_one_side(x: Tensor) -> Tensor:
    kept = Accumulator(x)
    if x.sum() > 0:
        kept.add(x)
    return kept.total * (kept.count + 1)
