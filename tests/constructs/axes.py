# SPDX-License-Identifier: Apache-2.0
"""Free sizes: said in each of the usual ways, of one or zero in the example, derived, shared, and known at run time."""

from __future__ import annotations

import torch
from constructs.registry import EAGER_ONLY, construct, t
from torch import Tensor, nn
from torch.export import Dim

N = Dim("n", min=2, max=64)
ANY = ("eager", "script", "program")


@construct((t(1, 4),), (t(3, 4),), axes={"x": [0]}, forms=("eager", "script"))
class BatchOfOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).softmax(0) + x.shape[0]


@construct((t(0, 4),), (t(3, 4),), axes={"x": [0]}, forms=("eager", "script"))
def batch_of_none(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones(1, 4)]).cumsum(0)


@construct((t(1, 1, 4), t(1, 1, 4)), (t(2, 3, 4), t(2, 3, 4)), axes={"x": {0: "b", 1: "s"}, "y": {0: "b", 1: "s"}})
def sums_of_ones(x: Tensor, y: Tensor) -> Tensor:
    return (x + y).mean(1) * x.size(1)


@construct((t(4, 6), t(4, 6)), (t(2, 8), t(2, 8)), axes={"x": [0, 1], "y": [0, 1]}, forms=EAGER_ONLY)
def names_by_list(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([x, y]).flatten(1)


@construct((t(4, 6),), (t(7, 3),), shapes={"x": {0: "batch", 1: "length"}}, forms=EAGER_ONLY)
def names_in_shapes(x: Tensor) -> Tensor:
    return x.t() @ x


@construct((t(4, 6),), (t(7, 6),), shapes={"x": {0: Dim.DYNAMIC}}, forms=ANY)
class HintsInShapes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], 2, 3).flip(0)


@construct((t(4, 6),), (t(7, 6),), shapes=({0: N},), forms=ANY)
class RangeInShapes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(2, 1)[1:]


@construct((t(4, 3), t(8, 3)), (t(5, 3), t(10, 3)), shapes={"x": {0: N}, "y": {0: 2 * N}}, forms=ANY)
class DerivedSize(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, x]) + y


@construct((t(8, 3), t(13, 3)), (t(6, 3), t(10, 3)), shapes={"x": {0: 2 * N}, "y": {0: 3 * N + 1}}, forms=ANY)
class SizesDerivedFromNone(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n = x.shape[0] // 2
        return torch.cat([x, x[:n]]) - y[1:], x.new_zeros(n, 3) + n


@construct(
    ([t(4, 3), t(5, 3)], {"a": t(4, 2)}),
    ([t(6, 3), t(5, 3)], {"a": t(6, 2)}),
    shapes={"xs": [{0: "n"}, None], "more": {"a": {0: "n"}}},
    forms=EAGER_ONLY,
)
class ShapesOfStructures(nn.Module):
    def forward(self, xs: list[Tensor], more: dict[str, Tensor]) -> Tensor:
        return torch.cat([xs[0], more["a"]], 1).sum() + xs[1].sum()


@construct(
    (t(2, 3, 8, 8),), (t(1, 3, 12, 10),), axes={"x": {0: "b", 2: "h", 3: "w"}}, forms=("eager", "script"), since=11
)
class ImageOfAnySize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv(x))
        up = nn.functional.interpolate(y, size=(x.size(2), x.size(3)), mode="bilinear", align_corners=False)
        return torch.cat([x, up], 1).mean((2, 3))


@construct((t(2, 5, 4),), (t(3, 9, 4),), axes={"x": {0: "b", 1: "t"}}, forms=("eager", "script"))
class PositionsOfAnyLength(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Embedding(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        place = torch.arange(x.size(1), device=x.device)
        mask = place[None, :] <= place[:, None]
        scores = (x @ x.transpose(1, 2)).masked_fill(~mask, float("-inf"))
        return scores.softmax(-1) @ (x + self.positions(place))


@construct((t(2, 7, 4),), (t(3, 8, 4),), (t(1, 3, 4),), axes={"x": {0: "b", 1: "t"}}, forms=("eager", "script"))
class PaddedToAMultiple(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        missing = (-x.size(1)) % 4
        x = nn.functional.pad(x, (0, 0, 0, missing))
        return x.reshape(x.size(0), -1, 4, x.size(2)).sum(2)


@construct((t(6, 2),), (t(10, 2),), axes={"x": [0]}, forms=("eager", "script"))
def arithmetic_of_sizes(x: Tensor) -> tuple[Tensor, Tensor]:
    n = x.size(0)
    third = (n + 2) // 3
    return x.new_zeros(third, n - third), torch.full((n * 2 - 1,), 0.5) * n


@construct((t(5, 2),), (t(9, 2),), axes={"x": [0]}, forms=("eager", "script"))
def windows_of_rows(x: Tensor) -> Tensor:
    return x.unfold(0, 3, 2).mean(-1)


@construct((t(2, 3),), (t(5, 3),), axes={"x": [0]}, forms=("eager", "script"))
def outer_of_itself(x: Tensor) -> tuple[Tensor, Tensor]:
    distances = torch.cdist(x, x)
    return distances, torch.eye(x.size(0)) * distances.max()
