# SPDX-License-Identifier: Apache-2.0
"""Higher-order operators and regions: cond, while_loop, scan, map, vmap, checkpoints, autocast, gradients switched."""

from __future__ import annotations

import torch
from constructs.registry import EAGER_ONLY, construct, down, t, up, whole
from torch import Tensor, nn
from torch._higher_order_ops import associative_scan, scan, while_loop
from torch._higher_order_ops import map as mapped
from torch.utils.checkpoint import checkpoint

EVERY_WAY = ("eager", "program", "by export")


@construct((up(2, 3),), (down(2, 3),), (down(5, 3),), axes={"x": [0]}, forms=EVERY_WAY)
class CondOnValues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))


@construct((up(2, 3), torch.tensor(True)), (up(2, 3), torch.tensor(False)), forms=EVERY_WAY)
class CondOnAFlag(nn.Module):
    def forward(self, x: Tensor, flag: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cond(flag, lambda x: (x.exp(), x.sum()), lambda x: (x.neg(), x.mean()), (x,))


@construct((t(3, 2),), (t(6, 2),), axes={"x": [0]}, forms=EVERY_WAY)
class CondOnASize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.shape[0] > 4, lambda x: x * 2, lambda x: x + x[:2].sum(0), (x,))


@construct((up(2, 3),), (down(2, 3),), forms=EVERY_WAY)
class CondWithLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(3, 4)
        self.right = nn.Sequential(nn.Linear(3, 4), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.mean() > 0, self.left, self.right, (x,))


@construct((up(3),), (down(3),), (t(3),), forms=EVERY_WAY)
class CondInCond(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        def inner(x: Tensor) -> Tensor:
            return torch.cond(x.max() > 1, lambda x: x / 2, lambda x: x * 3, (x,))

        return torch.cond(x.sum() > 0, inner, lambda x: x.abs() + 1, (x,))


@construct((up(3), t(3, seed=1)), (down(3), t(3, seed=1)), forms=EVERY_WAY)
class CondOverOuterValues(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z = y * 2
        return torch.cond(x.sum() > 0, lambda x: x * self.scale + z, lambda x: x - z, (x,)) + z


@construct((up(3),), (down(3),), forms=EVERY_WAY)
class CondGivesADict(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return torch.cond(x.sum() > 0, lambda x: {"a": x + 1, "b": x.sum()}, lambda x: {"a": x * 2, "b": x.max()}, (x,))


@construct((up(3),), (down(3),), forms=EVERY_WAY)
class CondWithoutOperands(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.cond(x.sum() > 0, lambda: torch.tensor([1.0, 2.0, 3.0]), lambda: torch.ones(3), ())


@construct((up(2, 3),), (down(2, 3),), forms=EVERY_WAY)
class CondInAChild(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([CondWithLayers(), nn.Linear(4, 3), CondWithLayers()])

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


@construct((t(2, 3),), (t(4, 3),), axes={"x": [0]}, forms=EVERY_WAY)
class WhileThatCounts(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return while_loop(lambda i, x: i < 4, lambda i, x: (i + 1, x * 0.5 + i), (torch.tensor(0), x))


@construct((up(3),), (up(3) * 50,), (up(3) * 0.01,), forms=EVERY_WAY)
class WhileOnValues(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steps = torch.zeros((), dtype=torch.int64)
        return while_loop(lambda x, n: x.sum() > 1, lambda x, n: (x / 2, n + 1), (x, steps))


@construct((up(3), whole(3)), (up(3), whole(0)), (up(3), whole(9)), forms=EVERY_WAY)
class WhileOverOuterValues(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor, n: Tensor) -> Tensor:
        shift = x * 0.1
        start = torch.zeros((), dtype=torch.int64)
        _, y = while_loop(lambda i, y: i < n, lambda i, y: (i + 1, torch.tanh(self.layer(y)) + shift), (start, x))
        return y


@construct((up(3),), (down(3),), forms=EVERY_WAY)
class CondInAWhile(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        def body(i: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return i + 1, torch.cond(x.sum() > 0, lambda x: x - 1, lambda x: x * 2 + 3, (x,))

        return while_loop(lambda i, x: i < 5, body, (torch.tensor(0), x))[1]


@construct((up(3),), (down(3),), forms=EVERY_WAY)
class WhileInACond(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        def repeated(x: Tensor) -> Tensor:
            return while_loop(lambda x: x.sum() > 1, lambda x: (x * 0.5,), (x,))[0]

        return torch.cond(x.sum() > 0, repeated, lambda x: x + 1, (x,))


@construct((t(4, 3),), (t(7, 3),), axes={"x": [0]}, forms=EVERY_WAY)
class RunningSum(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return scan(lambda total, row: (total + row, total * row), torch.zeros(3), x, dim=0)


@construct((t(3, 4),), (t(3, 6),), axes={"x": [1]}, forms=EVERY_WAY)
class ScanOverAnotherAxis(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return scan(lambda h, column: (torch.tanh(h + column), h * 2), torch.zeros(3), x, dim=1)


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=EVERY_WAY)
class ScanBackwards(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return scan(lambda h, row: (h * 0.5 + row, h + row), torch.zeros(3), x, dim=0, reverse=True)


@construct((t(4, 2, 3),), (t(6, 2, 3),), axes={"x": [0]}, forms=EVERY_WAY)
class ScannedCell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 5)
        self.outer = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def step(h: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
            new = torch.tanh(self.inner(row) + self.outer(h))
            return new, new.clone()

        return scan(step, torch.zeros(2, 5), x)


@construct((t(4, 3), t(4, 3, seed=1)), (t(6, 3), t(6, 3, seed=1)), axes={"x": {0: "n"}, "y": {0: "n"}}, forms=EVERY_WAY)
class ScanOfStructures(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        def step(carry: dict[str, Tensor], rows: tuple[Tensor, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            a, b = rows
            return {"sum": carry["sum"] + a, "most": torch.maximum(carry["most"], b)}, {"product": a * b}

        last, out = scan(step, {"sum": torch.zeros(3), "most": torch.full((3,), -9.0)}, (x, y))
        return last["sum"], last["most"], out["product"]


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=EVERY_WAY)
class MappedRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return mapped(lambda row, first: self.layer(row * first), x, x[0].clone())


@construct((t(4, 3),), forms=EVERY_WAY)
class AssociativeScan(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return associative_scan(lambda a, b: a + b, x, 0, combine_mode="generic")


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=EVERY_WAY)
class VmapOfRows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda row: row.softmax(0) * row.sum())(x)


@construct((t(4, 3), t(3, 5)), forms=EVERY_WAY)
class VmapOverTwoAxes(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.vmap(lambda row: torch.vmap(torch.dot, in_dims=(None, 1))(row, y))(x)


@construct((t(4, 3),), forms=EAGER_ONLY)
class VmapOfALayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(self.layer, out_dims=1)(x)


@construct((t(4, 3),), forms=EAGER_ONLY)
class VmapOfStackedWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(5, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda w: nn.functional.linear(x, w))(self.weights)


@construct((t(3),), forms=EAGER_ONLY)
class FunctionalGradient(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: (x**3).sum())(x)


@construct((t(2, 4),), (t(5, 4),), axes={"x": [0]}, forms=EVERY_WAY)
class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 4), nn.GELU())
        self.second = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(self.first, x, use_reentrant=False)
        return checkpoint(lambda a, b: self.second(a) * b, x, 2.0, use_reentrant=False)


@construct((t(2, 4),), forms=("eager",))
class CheckpointedReentrant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return torch.utils.checkpoint.checkpoint_sequential(self.layers, 2, x, use_reentrant=True)


@construct((t(2, 4),), (t(5, 4),), axes={"x": [0]}, forms=EVERY_WAY, tolerance=2e-2, since=13)
class AutocastRegion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = self.layer(x)
            with torch.autocast("cpu", enabled=False):
                x = x.float().softmax(-1)
        return self.head(x)


@construct((t(2, 4),), forms=EVERY_WAY)
class GradientsSwitched(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = x * 2
        with torch.enable_grad():
            y = y + x
        with torch.set_grad_enabled(False):
            return y.detach() * 3


@construct((t(2, 4),), forms=("eager",))
class InferenceMode(nn.Module):
    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid() * 2


@construct((t(5),), (up(5),), (down(5),), forms=EVERY_WAY)
class SizesOfTheRun(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, int]:
        places = (x > 0).nonzero()
        return places * 2, x[x > 0].cumsum(0), places.shape[0]


@construct((t(2, 3), whole(3)), (t(2, 3), whole(6)), forms=EVERY_WAY)
class NumberOfTheRun(nn.Module):
    def forward(self, x: Tensor, n: Tensor) -> Tensor:
        count = n.item()
        torch._check(count >= 0)
        return torch.zeros(count, 2).add(1).cumsum(0) * x.shape[0]


@construct((t(2, 3), whole(2)), (t(2, 3), whole(5)), forms=EVERY_WAY)
class BuffersAndSizesWritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        self.total += x.sum(0) * n
        self.total[0] = 1.0
        return self.total * 2, x + self.total
