# SPDX-License-Identifier: Apache-2.0
"""`int(size)` in the code of a model, as a size.

Python lets no class answer `int(x)` with anything but a plain number, so a model that rounds a size that way (`int(h *
0.5)`, `int(math.ceil(h / 8))`) would fix it, and one that takes a size from a tensor (`x[:, : int(length)]`) could not
run. While the model runs, its modules have another `int` among their globals, which hands symbolic sizes on, and what
tensors hold as such, and is like Python's for everything else.
"""

from __future__ import annotations

import contextlib
import dis
import itertools
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any

import torch

_MISSING = object()


def needs_the_class(code: CodeType) -> bool:
    """Whether code asks if something is the class `int` itself (`type(x) is int`), which no likeness of it answers."""
    following = [one for one in dis.get_instructions(code) if one.opname != "CACHE"]
    if any(
        load.opname in ("LOAD_GLOBAL", "LOAD_NAME") and load.argval == "int" and then.opname == "IS_OP"
        for load, then in itertools.pairwise(following)
    ):
        return True
    return any(needs_the_class(inner) for inner in code.co_consts if isinstance(inner, CodeType))


@contextlib.contextmanager
def kept_symbolic(modules: Iterable[dict[str, Any]]) -> Iterator[None]:
    """Open a context in which functions with these globals keep sizes symbolic that they hand to `int`.

    Args:
        modules: the globals; those that have an `int` of their own are left alone.
    """

    class Likeness(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if len(args) == 1 and not kwargs:
                number = args[0].item() if isinstance(args[0], torch.Tensor) and args[0].numel() == 1 else args[0]
                if isinstance(number, (torch.SymInt, torch.SymFloat)):
                    return torch.sym_int(number)
            return int(*args, **kwargs)

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, int)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, int)

        def __eq__(cls, other: object) -> bool:
            return other is cls or other is int

        def __hash__(cls) -> int:
            return hash(int)

    with _among(modules, "int", Likeness("int", (int,), {})):
        yield


def lengths_kept_symbolic(modules: Iterable[dict[str, Any]]) -> contextlib.AbstractContextManager[None]:
    """Return a context in which functions with these globals get a size where they ask a tensor for its `len`."""

    def length(value: Any) -> Any:
        size: Any = value.shape[0] if isinstance(value, torch.Tensor) and value.dim() else None
        return size if isinstance(size, torch.SymInt) else len(value)

    return _among(modules, "len", length)


@contextlib.contextmanager
def divided_with_remainder() -> Iterator[None]:
    """Open a context in which `divmod` of a symbolic size gives sizes; PyTorch's have everything but that."""
    kind: Any = torch.SymInt
    if hasattr(kind, "__divmod__"):
        yield
        return
    kind.__divmod__ = lambda left, right: (left // right, left % right)
    kind.__rdivmod__ = lambda right, left: (left // right, left % right)
    try:
        yield
    finally:
        del kind.__divmod__, kind.__rdivmod__


@contextlib.contextmanager
def _among(modules: Iterable[dict[str, Any]], name: str, likeness: Any) -> Iterator[None]:
    changed = [module for module in modules if module.get(name, _MISSING) is _MISSING]
    for module in changed:
        module[name] = likeness
    try:
        yield
    finally:
        for module in changed:
            del module[name]
