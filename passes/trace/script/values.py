# SPDX-License-Identifier: Apache-2.0
"""What a TorchScript value is during capture, where Python's own value does not do.

Tensors are functional fake tensors, integers that depend on sizes or values are `torch.SymInt`, and everything that is
known is the Python value itself. The classes here are for what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import onnx_ir as ir
import torch


@attrs.define(eq=False)
class Number:
    """A float or a bool that is known at run time only: a tensor of no dimensions (float64 or bool)."""

    tensor: torch.Tensor
    kind: type


@attrs.frozen(eq=False)
class Unset:
    """The value of a variable on a path that never reads it (`prim::Uninitialized`)."""


@attrs.frozen(eq=False)
class Maybe:
    """An Optional of which only the run knows whether it is None.

    Attributes:
        present: a bool, `torch.SymBool` or `Number`.
        value: what it is where it is present; anything of the same kind elsewhere.
    """

    present: Any
    value: Any


@attrs.frozen(eq=False)
class Unusable:
    """A value that cannot be told before the run; using it is an error that says why."""

    why: str


@attrs.frozen
class FunctionName:
    """A TorchScript function as a value: its qualified name."""

    name: str


@attrs.frozen
class Items:
    """A list whose length is known: its members."""

    members: tuple[Any, ...]


@attrs.frozen(eq=False)
class Stack:
    """A list whose length is known at run time and whose members are alike: a tensor of them along dimension 0.

    `kind` is that of a member: `torch.Tensor`, int, float or bool.
    """

    tensor: torch.Tensor
    kind: type


@attrs.frozen(eq=False)
class Chain:
    """A list whose length is known at run time and whose members differ in shape: a sequence in the graph.

    `dims` are the sizes that all members share, None where they differ.
    """

    value: ir.Value
    dtype: torch.dtype
    dims: tuple[Any, ...]


@attrs.frozen(eq=False)
class Columns:
    """A list of tuples (or of lists of one length) whose own length is known at run time: one list for each place.

    `shape` says what the members are made of, as `columns.shape_of` gives it.
    """

    lists: tuple[List, ...]
    shape: Any


@attrs.frozen(eq=False)
class Appended:
    """A list inside a loop that only adds to it: what this iteration has added so far."""

    added: tuple[Any, ...] = ()


class List:
    """A TorchScript list: an object with identity, whose state changes by what is done to it.

    Attributes:
        state: `Items`, `Stack`, `Chain`, `Columns` or `Appended`.
        stale: the line of a write that the list does not show and in PyTorch does, None where there is none.
        lent: whether it is a member of a list that keeps columns, so that nobody would see a change of it.
    """

    def __init__(self, members: Iterable[Any] = ()) -> None:
        self.lent = False
        self.stale: str | None = None
        self._state: Items | Stack | Chain | Columns | Appended = Items(tuple(members))

    @property
    def state(self) -> Items | Stack | Chain | Columns | Appended:
        """What is known of the members.

        Raises:
            Lent: when it is set for a list whose changes nobody would see.
        """
        return self._state

    @state.setter
    def state(self, state: Items | Stack | Chain | Columns | Appended) -> None:
        if self.lent and state is not self._state:
            raise Lent
        self._state = state

    @property
    def members(self) -> tuple[Any, ...] | None:
        """The members where the length is known, else None."""
        return self.state.members if isinstance(self.state, Items) else None

    def __repr__(self) -> str:
        return f"List({self.state!r})"


class ListRead(Exception):
    """A loop does more to a list than append to it, the same number of members each time."""

    def __init__(self, subject: List) -> None:
        super().__init__("a list is read inside the loop that appends to it")
        self.subject = subject


class NotUniform(Exception):
    """The members of a list differ in shape, so that they cannot be kept as one tensor."""

    def __init__(self, subject: List | None) -> None:
        super().__init__("the members of a list differ in shape")
        self.subject = subject


class Lent(Exception):
    """A list changes that is itself a member of a list which grows at run time."""

    def __init__(self) -> None:
        super().__init__("a list changes after it has become a member of a list that grows at run time")


class Raised(Exception):
    """The TorchScript code raises."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ModuleObject:
    """A module (or another TorchScript object) of the model: attributes are read once, writes stay here.

    Attributes:
        path: the dotted name in the module tree.
        handle: the C++ object.
        kind: the class name.
        written: attributes that the model has set.
    """

    def __init__(self, path: str, handle: Any, kind: str) -> None:
        self.path = path
        self.handle = handle
        self.kind = kind
        self.read: dict[str, Any] = {}
        self.written: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"ModuleObject({self.path!r}, {self.kind})"


class Record:
    """An instance of a TorchScript class that the model itself makes (`prim::CreateObject`)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.written: dict[str, Any] = {}


def tensors_in(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the tensors, lists, dicts and objects that are reachable from a value, each once."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return
    if id(value) in seen:
        return
    if isinstance(value, torch.Tensor):
        seen.add(id(value))
        yield value
    elif isinstance(value, List):
        seen.add(id(value))
        yield value
        if isinstance(value.state, Items):
            for member in value.state.members:
                yield from tensors_in(member, seen)
        elif isinstance(value.state, Stack):
            yield from tensors_in(value.state.tensor, seen)
        elif isinstance(value.state, Columns):
            yield from tensors_in(value.state.lists, seen)
    elif isinstance(value, tuple):
        for member in value:
            yield from tensors_in(member, seen)
    elif isinstance(value, dict):
        seen.add(id(value))
        yield value
        for member in value.values():
            yield from tensors_in(member, seen)
    elif isinstance(value, Maybe):
        yield from tensors_in(value.value, seen)
    elif isinstance(value, (ModuleObject, Record)):
        seen.add(id(value))
        yield value
        held = {**value.read, **value.written} if isinstance(value, ModuleObject) else value.written
        for member in list(held.values()):
            yield from tensors_in(member, seen)


def plain_number(value: Any) -> Any:
    """Return a symbolic number as Python's where it is a constant, anything else as it is."""
    if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        expression = value.node.expr
        if expression.is_number or (getattr(expression, "is_Boolean", False) and not expression.free_symbols):
            kind = int if isinstance(value, torch.SymInt) else float if isinstance(value, torch.SymFloat) else bool
            return kind(expression)
    return value
