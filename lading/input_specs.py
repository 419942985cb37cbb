# SPDX-License-Identifier: Apache-2.0
"""``--input "ids:int64[batch=2,sequence=16](0..99)"``: an example input, and which of its axes are free."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from .pipeline.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import torch

    from .model_reference import NamedModel

DTYPES = (
    *("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"),
    *("complex64", "complex128"),
)

_SPEC = re.compile(
    r"""\s*(?P<name>[A-Za-z_][\w.]*)\s*:\s*(?P<dtype>\w+)\s*
        (?:\[(?P<dims>[^\]]*)\])?\s*
        (?:\((?P<low>-?[\d.]+)\s*\.\.\s*(?P<high>-?[\d.]+)\))?\s*""",
    re.VERBOSE,
)
_DIM = re.compile(r"\s*(?:(?P<axis>[A-Za-z_]\w*)\s*=\s*)?(?P<size>\d+)\s*")
FORM = 'NAME:DTYPE[SIZE or AXIS=SIZE, ...](LOW..HIGH), for example "x:float32[batch=2,3,224,224]"'


@attrs.frozen(kw_only=True)
class InputSpec:
    """One example input: its name, dtype, sizes, named (free) axes, and the range of its random values."""

    name: str
    dtype: str
    sizes: tuple[int, ...]
    axes: Mapping[int, str]
    low: float | None = None
    high: float | None = None

    def tensor(self, seed: int) -> torch.Tensor:
        """Make the example: normal floats, integers in the range (0 and 1 by default), the same for the same seed."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        dtype: torch.dtype = getattr(torch, self.dtype)
        if dtype.is_floating_point or dtype.is_complex:
            base = torch.complex64 if dtype.is_complex else torch.float32
            if self.low is not None and self.high is not None:
                made = torch.rand(self.sizes, generator=generator) * (self.high - self.low) + self.low
            else:
                made = torch.randn(self.sizes, generator=generator, dtype=base)
            return made.to(dtype)
        low = 0 if self.low is None else int(self.low)
        high = 1 if self.high is None else int(self.high)
        return torch.randint(low, high + 1, self.sizes, generator=generator).to(dtype)


def parse_input(text: str) -> InputSpec:
    """Read one ``--input``.

    Raises:
        UsageError: the text does not have the form, or names an unknown dtype.
    """
    found = _SPEC.fullmatch(text)
    if found is None:
        raise UsageError(f"--input '{text}' is not understood", hint=FORM)
    dtype = found["dtype"]
    if dtype not in DTYPES:
        raise UsageError(f"--input '{text}' has the unknown dtype '{dtype}'", hint=did_you_mean(dtype, DTYPES))
    sizes: list[int] = []
    axes: dict[int, str] = {}
    for index, part in enumerate((found["dims"] or "").split(",")) if (found["dims"] or "").strip() else ():
        dim = _DIM.fullmatch(part)
        if dim is None:
            raise UsageError(f"--input '{text}': '{part.strip()}' is not a size", hint=FORM)
        sizes.append(int(dim["size"]))
        if dim["axis"]:
            axes[index] = dim["axis"]
    low, high = (None if found[key] is None else float(found[key]) for key in ("low", "high"))
    if low is not None and high is not None and low > high:
        raise UsageError(f"--input '{text}': the range {low:g}..{high:g} is empty", hint=FORM)
    return InputSpec(name=found["name"], dtype=dtype, sizes=tuple(sizes), axes=axes, low=low, high=high)


@attrs.frozen
class ExampleCall:
    """How the model is called, which axes are free, and what the inputs are called where they have no names yet."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    axes: dict[str, Any]
    input_names: tuple[str, ...] | None = None

    def overrides(self) -> dict[str, Any]:
        """Return the axes and names as recipe values by dotted key."""
        found: dict[str, Any] = {}
        if self.axes:
            found["normalize-arguments.dynamic_axes"] = self.axes
        if self.input_names:
            found["normalize-arguments.input_names"] = tuple(self.input_names)
        return found


def named_call(named: NamedModel, specs: Iterable[InputSpec]) -> ExampleCall:
    """Put specified inputs into the example call of a named model, with the axes of its factory where there are none.

    Raises:
        UsageError: as `example_call` raises it.
    """
    specs = list(specs)
    call = example_call(specs, named.model, named.args, named.kwargs)
    return call if specs else attrs.evolve(call, axes=dict(named.dynamic_axes or {}))


def example_call(
    specs: Iterable[InputSpec], model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> ExampleCall:
    """Put specified inputs into an example call.

    An input whose name is a parameter of the model's forward takes its place; otherwise the inputs are positional, in
    order, and only where the model came without arguments.

    Raises:
        UsageError: two specifications of one name, or names that cannot be placed.
    """
    given: dict[str, Any] = {}
    axes: dict[str, dict[int, str]] = {}
    for seed, spec in enumerate(specs):
        if spec.name in given:
            raise UsageError(f"--input names '{spec.name}' twice")
        given[spec.name] = spec.tensor(seed)
        if spec.axes:
            axes[spec.name] = dict(spec.axes)
    if not given:
        return ExampleCall(args, dict(kwargs), axes)
    signature = inspect.signature(getattr(model.module() if _is_program(model) else model, "forward", model))
    placeable = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    unknown = [name for name in given if name not in placeable]
    if not unknown:
        bound = signature.bind_partial(*args, **kwargs)
        bound.arguments.update(given)
        ordered = inspect.BoundArguments(
            signature,
            type(bound.arguments)(
                (name, bound.arguments[name]) for name in signature.parameters if name in bound.arguments
            ),
        )
        return ExampleCall(ordered.args, ordered.kwargs, axes)
    if args or kwargs or any(name in placeable for name in given):
        raise UsageError(
            f"the model has no input '{unknown[0]}'", where="--input", hint=did_you_mean(unknown[0], placeable)
        )
    return ExampleCall(tuple(given.values()), {}, axes, tuple(given))


def _is_program(model: Any) -> bool:
    """Whether a model is an exported program, whose signature is that of the module that runs it."""
    return callable(getattr(model, "module", None)) and hasattr(model, "graph_signature")
