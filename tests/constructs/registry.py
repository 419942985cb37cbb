# SPDX-License-Identifier: Apache-2.0
"""The table of small models: each one construct of PyTorch or TorchScript, with calls that take its different ways."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import torch
from torch.export import Dim

FORMS = ("eager", "script")
STRATEGY_OF = {
    "eager": "record",
    "script": "script",
    "traced": "script",
    "frozen": "script",
    "optimized": "script",
    "program": "export",
    "by export": "export",
    "by jit-trace": "jit-trace",
}
"""The forms of a model, each with the strategy that captures it: as it is; as `torch.jit.script`, `torch.jit.trace`,
`torch.jit.freeze` and `torch.jit.optimize_for_inference` give it; as a program of `torch.export`; and as it is again,
by the strategies "export" and "jit-trace"."""

OPSETS = (9, 13, 28)

Made = TypeVar("Made", bound=Callable[..., Any])


class Keywords(dict[str, Any]):
    """Keyword arguments: the last element of a call that has some."""


@attrs.frozen(eq=False)
class Construct:
    """One model.

    Attributes:
        name: of the function or class.
        family: the module that holds it.
        make: gives the model; a class is called without arguments, a function is the model itself.
        calls: tuples of arguments: the first is the example, the others are compared too.
        axes: dynamic axes by input name, as for `dynamic_axes`.
        forms: keys of `STRATEGY_OF`: in which forms the model can be exported at all, by what PyTorch is.
        since: the first opset that can say what the model does.
        shapes: dynamic axes as `dynamic_shapes` instead.
        names: the names of inputs and outputs, where the case is about them.
        lowerings: of operators of its own that the model calls, by name.
        tolerance: absolute and relative, where the model computes with fewer digits than float32 has.
    """

    name: str
    family: str
    make: Callable[[], Any]
    calls: tuple[tuple[Any, ...], ...]
    axes: Mapping[str, Any] = attrs.field(factory=dict)
    forms: Sequence[str] = FORMS
    since: int = 7
    shapes: Any = None
    names: tuple[Sequence[str], Sequence[str]] | None = None
    lowerings: Mapping[str, Callable[..., Any]] = attrs.field(factory=dict)
    tolerance: float | None = None

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._in_form(made, form)

    def _in_form(self, made: Any, form: str) -> Any:
        if form == "script":
            return torch.jit.script(made)
        if form == "frozen":
            return torch.jit.freeze(torch.jit.script(made))
        if form == "optimized":
            return torch.jit.optimize_for_inference(torch.jit.script(made))
        if form == "traced":
            return torch.jit.trace(made, self.arguments()[0], check_trace=False)
        if form == "program":
            args, kwargs = self.arguments()
            return torch.export.export(made, args, kwargs, dynamic_shapes=self.program_shapes())
        return made

    def arguments(self, number: int = 0) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return copies of the arguments of a call, by position and by keyword."""
        call = copy.deepcopy(self.calls[number])
        if call and isinstance(call[-1], Keywords):
            return call[:-1], dict(call[-1])
        return call, {}

    def program_shapes(self) -> Any:
        """Return the dynamic axes as `torch.export` takes them, None where there are none."""
        if self.shapes is not None or not self.axes:
            return self.shapes
        made = self.make()
        parameters = inspect.signature(made.forward if isinstance(made, torch.nn.Module) else made).parameters
        return {name: dict.fromkeys(self.axes.get(name, ()), Dim.DYNAMIC) or None for name in parameters}


REGISTRY: list[Construct] = []


def construct(*calls: tuple[Any, ...], **options: Any) -> Callable[[Made], Made]:
    """Put a function or a module class into the table; the options are the further attributes of `Construct`."""

    def register(made: Made) -> Made:
        is_class = isinstance(made, type)
        family = made.__module__.rpartition(".")[2]
        make = made if is_class else lambda: made
        REGISTRY.append(Construct(made.__name__, family, make, calls, **options))
        return made

    return register


def layer(name: str, make: Callable[[], torch.nn.Module], *calls: tuple[Any, ...], **options: Any) -> None:
    """Put a layer of torch.nn, made by a function, into the table under the family of that function."""
    family = make.__module__.rpartition(".")[2]
    REGISTRY.append(Construct(name, family, make, calls, **options))


SCRIPT_ONLY = ("script",)
EAGER_ONLY = ("eager",)
EVERY_FORM = tuple(STRATEGY_OF)
AS_SCRIPT = ("script", "frozen", "optimized")


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


def cases(
    forms: Sequence[str] = tuple(STRATEGY_OF), opsets: Sequence[int] = OPSETS
) -> Iterator[tuple[Construct, str, int]]:
    """Yield every construct in every form and at every opset that can say it."""
    for one in REGISTRY:
        for form in forms:
            if form in one.forms:
                for opset in opsets:
                    if opset >= one.since:
                        yield one, form, opset
