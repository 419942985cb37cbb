# SPDX-License-Identifier: Apache-2.0
"""Lists of tuples whose length only the run knows, kept as one list for each place in the tuples.

A graph has sequences of tensors and none of tuples. `[(0, a), (1, b)]` is kept as `[0, 1]` and `[a, b]`, which grow and
are read in step. A member may be a tuple, a NamedTuple or a list of known length, nested in one another; a list among
the members may not change any more, for what is kept are its members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from lading.passes.trace.script.values import Appended, Columns, Items, List


@attrs.frozen
class Shape:
    """A container among the members of a list: its class, and what stands in its places (None for a single value)."""

    kind: type
    places: tuple[Shape | None, ...]


def shape_of(member: Any) -> Shape | None:
    """Return what a member is made of, None for a single value."""
    if isinstance(member, tuple):
        return Shape(type(member), tuple(shape_of(part) for part in member))
    if isinstance(member, List) and isinstance(member.state, Items):
        return Shape(List, tuple(shape_of(part) for part in member.state.members))
    return None


def shape_in(state: Any) -> Shape | None:
    """Return what the members of a list are made of, None where they are single values or there are none."""
    if isinstance(state, Columns):
        found: Shape | None = state.shape
        return found
    members = state.members if isinstance(state, Items) else state.added if isinstance(state, Appended) else ()
    return shape_of(members[0]) if members else None


def of(state: Any, shape: Shape) -> Columns:
    """Return a list's state as columns, without changing it.

    Raises:
        NotAlike: its members are made of something else.
    """
    if isinstance(state, Columns):
        if state.shape != shape:
            raise NotAlike
        return state
    members = state.members if isinstance(state, Items) else ()
    rows = [parts_of(member, shape) for member in members]
    return Columns(tuple(List(row[place] for row in rows) for place in range(_width(shape))), shape)


class NotAlike(Exception):
    """The members of a list are tuples of different kinds."""

    def __init__(self) -> None:
        super().__init__("the members of a list differ in what they are made of")


def parts_of(member: Any, shape: Shape) -> list[Any]:
    """Return the single values of a member, whose lists may not change any more.

    Raises:
        NotAlike: it is made of something else.
    """
    if shape_of(member) != shape:
        raise NotAlike
    return list(_parts(member))


def _parts(member: Any) -> Iterator[Any]:
    if isinstance(member, tuple):
        for part in member:
            yield from _parts(part)
    elif isinstance(member, List) and isinstance(member.state, Items):
        member.lent = True
        for part in member.state.members:
            yield from _parts(part)
    else:
        yield member


def whole(state: Columns, take: Callable[[List], Any]) -> Any:
    """Return a member again, each of its single values taken from its column."""
    return _built(state.shape, iter([take(column) for column in state.lists]))


def _built(shape: Shape | None, values: Iterator[Any]) -> Any:
    if shape is None:
        return next(values)
    parts = [_built(place, values) for place in shape.places]
    if shape.kind is List:
        made = List(parts)
        made.lent = True
        return made
    return shape.kind(*parts) if hasattr(shape.kind, "_fields") else shape.kind(parts)


def _width(shape: Shape | None) -> int:
    return 1 if shape is None else sum(_width(place) for place in shape.places)


def each(state: Columns, change: Callable[[List], Any]) -> Columns:
    """Return columns of which each is what `change` makes of it."""
    return Columns(tuple(change(column) for column in state.lists), state.shape)
