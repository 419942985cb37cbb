# SPDX-License-Identifier: Apache-2.0
"""What a model of the benchmark is: how it is built, and its call for given sizes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from lading.passes.signature.structure import leaves
from torch import nn

Sizes = Mapping[str, int]
Call = tuple[tuple[Any, ...], dict[str, Any]]

MODELS: dict[str, Dynamic] = {}


@attrs.frozen(kw_only=True)
class Dynamic:
    """A model with free sizes.

    Attributes:
        name: of the model.
        kind: the family that it is counted with.
        build: makes the module, in evaluation mode, with the same weights each time.
        call: makes arguments for sizes and a seed.
        example: the sizes to export with.
        others: further sizes to compare at; eager takes all of them.
    """

    name: str
    kind: str
    build: Callable[[], nn.Module]
    call: Callable[..., Call]
    example: Sizes
    others: Sequence[Sizes]

    def made(self, sizes: Sizes, seed: int = 0) -> Call:
        """Return the call at some sizes, keywords in the order of the signature; another seed gives other values."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            args, kwargs = self.call(**sizes)
        return args, {name: kwargs[name] for name in _parameters(self.build) if name in kwargs}

    def axes(self) -> list[dict[int, str]]:
        """Return the dynamic axes of each tensor of the call: those whose size differs between the sizes of the model.

        Axes that have the same size at all of them share a name.
        """
        points = (self.example, *self.others)
        names = {tuple(point[name] for point in points): name for name in self.example}
        found: list[dict[int, str]] = []
        for shapes in zip(*(self._shapes(point) for point in points), strict=True):
            columns = dict(enumerate(zip(*shapes, strict=True)))
            moving = {axis: column for axis, column in columns.items() if len(set(column)) > 1}
            found.append({axis: names.setdefault(column, f"size_{len(names)}") for axis, column in moving.items()})
        return found

    def _shapes(self, sizes: Sizes) -> list[tuple[int, ...]]:
        return [tuple(tensor.shape) for tensor in tensors_of(self.made(sizes))]


@functools.cache
def _parameters(build: Callable[[], nn.Module]) -> tuple[str, ...]:
    return tuple(inspect.signature(build().forward).parameters)


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """Return the tensors of a call or of a result, in order."""
    return [leaf for _, leaf in leaves(tree) if isinstance(leaf, torch.Tensor)]


def dynamic(
    kind: str, call: Callable[..., Call], example: Sizes, *others: Sizes, name: str = ""
) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Register a function that builds a model, under its own name or another."""

    def register(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        title = name or build.__name__
        if title in MODELS:
            raise ValueError(f"two models are called {title}")

        def seeded() -> nn.Module:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                return build().eval()

        MODELS[title] = Dynamic(name=title, kind=kind, build=seeded, call=call, example=example, others=others)
        return build

    return register


def sizes(**ranges: Sequence[int]) -> list[dict[str, int]]:
    """Return sizes name by name from equally long columns: `sizes(batch=(2, 1), length=(7, 5))`."""
    return [dict(zip(ranges, column, strict=True)) for column in zip(*ranges.values(), strict=True)]
