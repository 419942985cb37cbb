# SPDX-License-Identifier: Apache-2.0
"""The two tables: which ONNX operators an ATen operator becomes, and how an ONNX operator is written per opset.

Both follow the floor rule: of the implementations registered for a name, the one with the highest ``since`` that is not
above the target opset is used.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs

from ...pipeline.errors import UsageError

OLDEST_OPSET = 7

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen
class Entry:
    """One registered implementation: the function, the first opset it serves and the module that registered it."""

    name: str
    since: int
    function: Callable[..., Any]

    @property
    def where(self) -> str:
        """``module:function`` of the implementation."""
        return f"{self.function.__module__}:{self.function.__qualname__}"


class Table:
    """Implementations by name, newest first."""

    def __init__(self, kind: str, package: str) -> None:
        self._kind = kind
        self._package = package
        self._entries: dict[str, list[Entry]] = {}
        self._floor: dict[tuple[str, int], Entry | None] = {}
        self._by_namespace: dict[str, frozenset[str]] | None = None
        self._loaded = False

    def load(self) -> None:
        """Import the modules that fill this table, once."""
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
            importlib.import_module(f"{self._package}.{module}")

    def add(self, name: str, since: int, function: Callable[..., Any]) -> None:
        """Register an implementation.

        Raises:
            UsageError: another one is registered for the same name and opset.
        """
        if not _is_shipped(function):
            # What comes with lading is there first: a clash is the newcomer's, at its own line.
            self.load()
        entries = self._entries.setdefault(name, [])
        for entry in list(entries):
            if entry.since == since and _is_again(entry.function, function):
                entries.remove(entry)
            elif entry.since == since:
                raise UsageError(
                    f"{name} already has a {self._kind} since opset {since}: {entry.where}",
                    where=f"{function.__module__}:{function.__qualname__}",
                    hint="unregister the other one first, or give this one another since=",
                )
        entries.append(Entry(name, since, function))
        entries.sort(key=lambda entry: -entry.since)
        self._floor.clear()
        self._by_namespace = None

    def remove(self, name: str, since: int | None = None) -> None:
        """Take implementations of a name out again: all of them, or the one of an opset.

        Raises:
            UsageError: there is none.
        """
        self.load()
        entries = self._entries.get(name, [])
        kept = [entry for entry in entries if since is not None and entry.since != since]
        if len(kept) == len(entries):
            raise UsageError(f"{name} has no {self._kind}" + (f" since opset {since}" if since is not None else ""))
        if kept:
            self._entries[name] = kept
        else:
            del self._entries[name]
        self._floor.clear()
        self._by_namespace = None

    def floor(self, name: str, opset: int) -> Entry | None:
        """Return the implementation of a name for an opset, or None."""
        key = (name, opset)
        if key not in self._floor:
            self.load()
            self._floor[key] = next((entry for entry in self._entries.get(name, ()) if entry.since <= opset), None)
        return self._floor[key]

    def entries(self, name: str) -> list[Entry]:
        """Return all implementations of a name, newest first."""
        self.load()
        return list(self._entries.get(name, ()))

    def in_namespace(self, namespace: str) -> frozenset[str]:
        """Return the names, without the namespace, of what is registered in one; overloads as ``name.overload``."""
        self.load()
        if self._by_namespace is None:
            found: dict[str, set[str]] = {}
            for name in self._entries:
                space, _, rest = name.partition("::")
                found.setdefault(space, set()).add(rest)
            self._by_namespace = {space: frozenset(names) for space, names in found.items()}
        return self._by_namespace.get(namespace, frozenset())

    def __iter__(self) -> Iterator[str]:
        self.load()
        return iter(sorted(self._entries))


def _is_shipped(function: Callable[..., Any]) -> bool:
    return function.__module__.startswith("lading.passes.")


def _is_again(old: Any, new: Any) -> bool:
    """Whether a function is registered already: its file was loaded again, or its cell of a notebook run again."""
    if (old.__module__, old.__qualname__) != (new.__module__, new.__qualname__):
        return False
    was, now = getattr(old, "__code__", None), getattr(new, "__code__", None)
    if was is None or now is None:
        return old is new
    if was.co_filename != now.co_filename:
        return bool(new.__module__ == "__main__")
    return bool(was.co_firstlineno == now.co_firstlineno)


LOWERINGS = Table("lowering", "lading.passes.lower.ops")
SPELLINGS = Table("spelling", "lading.passes.lower.spellings")


def users_files() -> list[str]:
    """Return the Python files outside of lading that have registered lowerings or spellings, in order of name."""
    found = set()
    for table in (LOWERINGS, SPELLINGS):
        for name in table:
            for entry in table.entries(name):
                code = getattr(entry.function, "__code__", None)
                if code is not None and not _is_shipped(entry.function) and code.co_filename.endswith(".py"):
                    found.add(code.co_filename)
    return sorted(found)


def lowers(*names: str, since: int = OLDEST_OPSET) -> Callable[[F], F]:
    """Register a function as the lowering of ATen (or custom) operators from an opset on.

    Args:
        names: ``"aten::add"`` for every overload of an operator, ``"aten::add.Tensor"`` for one of them.
        since: the oldest opset that the function serves.

    A function whose file is loaded again, or whose cell of a notebook is run again, takes the place of itself.

    The function receives the emitter first, then the operator's tensor arguments in schema order, then every other
    argument as a keyword of its schema name (``from`` as ``from_``).  Arguments that the function does not name must
    stand at their default, else the lowering declines by itself.  It returns one value, or a sequence of them.

    Raises:
        UsageError: a name has a lowering for that opset already.
    """

    def register(function: F) -> F:
        for name in names:
            LOWERINGS.add(name, since, function)
        return function

    return register


def spells(op_type: str, since: int = OLDEST_OPSET) -> Callable[[F], F]:
    """Register a function as the way an ONNX operator is written from an opset on.

    The function's signature is the operator's newest form: inputs positional, attributes keyword-only.

    Raises:
        UsageError: the operator has a spelling for that opset already.
    """

    def register(function: F) -> F:
        SPELLINGS.add(op_type, since, function)
        return function

    return register


def unregister_lowering(name: str, since: int | None = None) -> None:
    """Take the lowerings of an operator out again, or only the one of an opset.

    Raises:
        UsageError: there is none.
    """
    LOWERINGS.remove(name, since)


def find_lowering(qualified_name: str, overload: str, opset: int) -> Entry | None:
    """Return the lowering of an operator at an opset; one for the very overload goes before one for the name."""
    if overload:
        exact = LOWERINGS.floor(f"{qualified_name}.{overload}", opset)
        if exact is not None:
            return exact
    return LOWERINGS.floor(qualified_name, opset)


def has_lowering(qualified_name: str, overload: str) -> bool:
    """Whether an operator has a lowering at any opset."""
    return bool(LOWERINGS.entries(f"{qualified_name}.{overload}") or LOWERINGS.entries(qualified_name))
