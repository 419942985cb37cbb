# SPDX-License-Identifier: Apache-2.0
"""Symbolic sizes, and exported programs that have them."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lading.passes.torch_private.names import find


@contextlib.contextmanager
def sizes_undecided() -> Iterator[None]:
    """Let sizes of 0 and 1 in an example of `torch.export` stand for any size, as long as the context is open."""
    config = importlib.import_module("torch.fx.experimental._config")
    with config.patch(backed_size_oblivious=True):
        yield


def dim_names(shape_env: Any) -> dict[Any, str]:
    """Return the name of the `Dim` that the user gave for each symbol of an exported program, where it is known.

    A program that was loaded from a file has forgotten them.
    """
    said: dict[str, str] = getattr(shape_env, "source_name_to_debug_name", None) or {}
    names: dict[Any, Any] = {}
    for symbol, sources in (getattr(shape_env, "var_to_sources", None) or {}).items():
        for source in sources:
            name = said.get(_source_name(source))
            if name is not None and name.isidentifier():
                names.setdefault(symbol, name)
    return names


def shape_env_of(inputs: Sequence[Any]) -> Any:
    """Return the `ShapeEnv` of a program's inputs, None where no input is a tensor."""
    for node in inputs:
        mode = getattr(node.meta.get("val"), "fake_mode", None)
        if mode is not None:
            return mode.shape_env
    return None


def guard_code(program: Any) -> list[str]:
    """Return what an exported program checks of the sizes of its inputs, as Python over `L['x'].size()[0]`."""
    return list(getattr(program, "_guards_code", None) or ())


def sizes_by_source(shape_env: Any) -> dict[str, Any]:
    """Return the expression of each size that became a symbol, by what guards call it: `L['x'].size()[0]`."""
    return {
        _source_name(source): shape_env.replace(symbol)
        for symbol, sources in (getattr(shape_env, "var_to_sources", None) or {}).items()
        for source in sources
    }


def _source_name(source: Any) -> str:
    name: str = source.name if isinstance(source.name, str) else source.name()
    return name


def range_limits(symbol: Any, bounds: Any) -> list[Any]:
    """Return the conditions that a range of an exported program puts on a symbol.

    Lower ends of up to 2 are PyTorch's own: it holds every size that is not a constant to be at least 2.
    """
    infinite = find("torch.utils._sympy.numbers", "int_oo")
    limits = []
    if bounds.lower > 2:
        limits.append(symbol >= bounds.lower)
    if bounds.upper != infinite and bounds.upper.is_finite:
        limits.append(symbol <= bounds.upper)
    return limits


def unbacked_integer(shape_env: Any, *, size: bool) -> torch.SymInt:
    """Return a symbolic integer of which nothing is known, or only that it is not negative."""
    made: torch.SymInt = shape_env.create_unbacked_symint()
    if size:
        find("torch.fx.experimental.symbolic_shapes", "_constrain_range_for_size")(made)
    return made


def required(holds: Any) -> None:
    """Hold a condition on sizes to be so, as operators of PyTorch's check theirs; sizes it is not so at are outside."""
    torch._check(holds)
