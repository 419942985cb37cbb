# SPDX-License-Identifier: Apache-2.0
"""Modules: attributes, submodules, methods, lists of modules, shared parameters, layers, scripted parts."""

from __future__ import annotations

import torch
from constructs.registry import AS_SCRIPT, EAGER_ONLY, EVERY_FORM, construct, down, ints, t, up
from torch import Tensor, nn


@construct((t(2, 3),))
class Attributes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = 2.5
        self.shift = 3
        self.names = ["a", "b"]
        self.on = True

    def forward(self, x: Tensor) -> Tensor:
        if self.on:
            x = x * self.scale
        return x + self.shift * len(self.names)


@construct((t(2, 3),))
class MethodsThatCallMethods(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def double(self, x: Tensor) -> Tensor:
        return x * 2

    def twice_double(self, x: Tensor, times: int) -> Tensor:
        for _ in range(times):
            x = self.double(x)
        return x * self.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.twice_double(x, 2) + self.double(x)


@construct((t(2, 4),), (t(5, 4),), axes={"x": [0]}, forms=EVERY_FORM)
class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@construct((t(2, 4),), (t(3, 4),), axes={"x": [0]}, forms=EVERY_FORM)
class ListOfModules(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = torch.relu(layer(x)) + i
        return x


@construct((t(2, 4),), forms=EVERY_FORM)
class DictOfModules(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"first": nn.Linear(4, 4), "second": nn.Linear(4, 4)})

    def forward(self, x: Tensor) -> Tensor:
        for name, layer in self.layers.items():
            x = layer(x)
            if name == "first":
                x = x.relu()
        return x


@construct((t(2, 4),), forms=EVERY_FORM)
class SharedParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


@construct((t(2, 4),), forms=EVERY_FORM)
class ModuleUsedTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x).tanh())


@construct((t(2, 2, 6, 6),), (t(3, 2, 6, 6),), axes={"x": [0]}, forms=EVERY_FORM)
class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.norm(self.conv(x))))
        x = nn.functional.adaptive_avg_pool2d(x, 1)
        return self.head(x.flatten(1))


@construct((t(2, 4),), forms=EVERY_FORM)
class DropoutInEvaluation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x * 100
        return self.drop(x)


@construct((t(5, 2, 3),), (t(7, 2, 3),), axes={"x": [0]})
class LstmLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out, (h, _) = self.lstm(x)
        return out, h


@construct((t(2, 5, 3),), forms=EVERY_FORM)
class GruLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.gru(x)
        return out


@construct((ints(1, 2, 0, 3),), (ints(3, 3),), axes={"x": [0]}, forms=EVERY_FORM)
class EmbeddingLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding(x).sum(0)


@construct((t(2, 3, 8),), forms=EVERY_FORM)
class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 8)
        self.key = nn.Linear(8, 8)
        self.value = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        b, s, _ = x.shape
        q = self.query(x).view(b, s, 2, 4).transpose(1, 2)
        k = self.key(x).view(b, s, 2, 4).transpose(1, 2)
        v = self.value(x).view(b, s, 2, 4).transpose(1, 2)
        scores = (q @ k.transpose(-2, -1)) / 2.0
        out = torch.softmax(scores, dim=-1) @ v
        return out.transpose(1, 2).reshape(b, s, 8)


@construct((t(2, 3, 8),), (t(4, 5, 8),), axes={"x": [0, 1]})
class ScaledDotProduct(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


@construct((t(2, 3),), forms=EVERY_FORM)
class BufferRead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(6.0).reshape(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table


@construct((t(2, 3),), forms=EVERY_FORM)
class TensorAttribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offset = torch.full((3,), 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.offset


@construct((t(2, 3),))
class CountingModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        return x * self.steps


class _Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.linear(x)
        return x


@construct((up(2, 3),), (down(2, 3),), forms=AS_SCRIPT)
class GatesInARow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.ModuleList([_Gate(), _Gate()])

    def forward(self, x: Tensor) -> Tensor:
        for gate in self.gates:
            x = gate(x)
        return x


@construct((up(2, 3),), (down(2, 3),), forms=EAGER_ONLY)
class ScriptedChild(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(3, 3)
        self.gate = torch.jit.script(_Gate())

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.before(x) * 0 + x) * 2


@torch.jit.script
def _clipped(x: Tensor, most: float) -> Tensor:
    if bool(x.max() > most):
        x = x * (most / float(x.max()))
    return x


@construct((up(2, 3),), (up(2, 3) * 40,))
class ScriptedFunctionCalled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _clipped(x, 5.0) + 1


@construct((t(2, 3),), forms=EVERY_FORM)
class NestedModules(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.outer = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.Tanh()), nn.Linear(3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(x)


@construct((t(2, 6, 5),), forms=EVERY_FORM)
class Activations(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.prelu = nn.PReLU(6)
        self.glu = nn.GLU(1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.gelu(self.glu(self.prelu(x))) + nn.functional.silu(self.glu(x))


@construct((t(1, 2, 4, 4),))
class Upsampled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


@construct((t(2, 3, 4),), (t(5, 3, 4),), axes={"x": [0]})
class GroupNormed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


@construct((t(2, 2, 6, 6),), (t(3, 2, 6, 6),), axes={"x": [0]}, forms=("eager", "script", "frozen", "optimized"))
class ForAnOptimizer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.rows = nn.LayerNorm(6)
        self.act = nn.Sequential(nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(-0.5, 0.7), nn.ReLU6())

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x)).clamp(-1.0, 2.0) * 2.5
        y = self.norm(self.second(x))
        x = (x + y) * y
        x = x * self.second(nn.functional.adaptive_avg_pool2d(y, 1))
        return nn.functional.avg_pool2d(self.rows(x).sigmoid().tanh(), 2) + 1
