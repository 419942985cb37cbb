# SPDX-License-Identifier: Apache-2.0
"""The table of small models: each one construct of PyTorch or TorchScript, with calls that take its different ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import torch

FORMS = ("eager", "script")
OPSETS = (9, 13, 28)

Made = TypeVar("Made", bound=Callable[..., Any])


@attrs.frozen
class Construct:
    """One model.

    Attributes:
        name: of the function or class.
        family: the module that holds it.
        make: gives the model; a class is called without arguments, a function is the model itself.
        calls: tuples of arguments: the first is the example, the others are compared too.
        axes: dynamic axes by input name, as for `dynamic_axes`.
        forms: "eager", "script": in which forms the model can be exported at all, by what PyTorch is.
        since: the first opset that can say what the model does.
    """

    name: str
    family: str
    make: Callable[[], Any]
    calls: tuple[tuple[Any, ...], ...]
    axes: Mapping[str, Any]
    forms: Sequence[str]
    since: int

    @property
    def label(self) -> str:
        """The name with its family."""
        return f"{self.family}-{self.name}"

    def model(self, form: str) -> Any:
        """Return the model in a form, with the same weights each time."""
        torch.manual_seed(7)
        made = self.make()
        if isinstance(made, torch.nn.Module):
            made.eval()
        return torch.jit.script(made) if form == "script" else made


REGISTRY: list[Construct] = []


def construct(
    *calls: tuple[Any, ...],
    axes: Mapping[str, Any] | None = None,
    forms: Sequence[str] = FORMS,
    since: int = 7,
) -> Callable[[Made], Made]:
    """Put a function or a module class into the table."""

    def register(made: Made) -> Made:
        is_class = isinstance(made, type)
        family = made.__module__.rpartition(".")[2]
        make = made if is_class else lambda: made
        REGISTRY.append(Construct(made.__name__, family, make, calls, axes or {}, forms, since))
        return made

    return register


SCRIPT_ONLY = ("script",)
EAGER_ONLY = ("eager",)


def t(*shape: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    """Return a float tensor with values that are the same in every run."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * scale + shift


def up(*shape: int) -> torch.Tensor:
    """Return a tensor of positive numbers."""
    return t(*shape, seed=3).abs() + 0.1


def down(*shape: int) -> torch.Tensor:
    """Return a tensor of negative numbers."""
    return -up(*shape)


def ints(*values: int) -> torch.Tensor:
    """Return a vector of integers."""
    return torch.tensor(values, dtype=torch.int64)


def whole(value: int) -> torch.Tensor:
    """Return an integer without dimensions."""
    return torch.tensor(value)


def yes() -> torch.Tensor:
    """Return true as a tensor."""
    return torch.tensor(True)


def no() -> torch.Tensor:
    """Return false as a tensor."""
    return torch.tensor(False)


def cases(forms: Sequence[str] = FORMS, opsets: Sequence[int] = OPSETS) -> Iterator[tuple[Construct, str, int]]:
    """Yield every construct in every form and at every opset that can say it."""
    for one in REGISTRY:
        for form in forms:
            if form in one.forms:
                for opset in opsets:
                    if opset >= one.since:
                        yield one, form, opset
