# SPDX-License-Identifier: Apache-2.0
"""Symbolic sizes as keys of dicts and members of sets: `self.tables[length]`, `length in {4, 8}`.

Python finds a key by its hash, which a symbolic size has none of, since nobody knows which number it will be. While a
model is recorded it has one: each number that the containers at hand have for a key is asked for first, as the model's
own question, and both answers to it are followed like those to any other. A size that equals none of them is a key of
its own, which is found again under the same expression.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import sympy
import torch
from lading.passes.trace.sources import path_of
from lading.pipeline.errors import CaptureError

if TYPE_CHECKING:
    from lading.passes.trace.symbols import Axes

_MOST = 12
"""Keys up to which each is asked for."""
_LOOKS_UP = frozenset(
    {"BINARY_SUBSCR", "STORE_SUBSCR", "DELETE_SUBSCR", "CONTAINS_OP", "BUILD_MAP", "BUILD_SET", "MAP_ADD", "SET_ADD"}
)
_METHODS = frozenset({"get", "setdefault", "pop", "add", "discard"})
_NAMES = frozenset({"LOAD_METHOD", "LOAD_ATTR"})
_NEAR = 24
"""Instructions of the arguments between the name of a method and its call."""


@contextlib.contextmanager
def hashed_sizes(axes: Axes) -> Iterator[None]:
    """Open a context in which symbolic sizes can be keys where the user's Python looks them up.

    Args:
        axes: decides whether a size is one of the keys that there are.
    """
    plain = torch.SymInt.__hash__

    def hashed(size: torch.SymInt) -> int:
        frame = sys._getframe(1)
        if not path_of(frame.f_code) or not _looks_up(frame.f_code, frame.f_lasti):
            return plain(size)
        return _hash(size.node.expr, list(dict.fromkeys(_keys_at_hand(frame))), axes)

    torch.SymInt.__hash__ = hashed  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        torch.SymInt.__hash__ = plain  # type: ignore[method-assign]


def _hash(size: sympy.Basic, keys: Sequence[sympy.Basic], axes: Axes) -> int:
    others = [key for key in keys if key != size and key.is_nonnegative is not False]
    if len(others) > _MOST:
        raise CaptureError(
            f"the model's Python looks a free size up among {len(others)} keys",
            hint="index a tensor by the size, or take the axis out of dynamic_axes",
        )
    equal = next((key for key in others if axes.asked_for_the_model(sympy.Eq(size, key))), size)
    return hash(int(equal)) if equal.is_number else hash(("a size", equal))


@functools.lru_cache(maxsize=256)
def _instructions(code: CodeType) -> tuple[list[dis.Instruction], dict[int, int]]:
    found = list(dis.get_instructions(code))
    return found, {one.offset: place for place, one in enumerate(found)}


def _looks_up(code: CodeType, at: int) -> bool:
    """Whether the instruction at an offset asks a container for a key: not a cache of results for its arguments."""
    instructions, places = _instructions(code)
    place = places.get(at)
    if place is None:
        return False
    name = instructions[place].opname
    if name in _LOOKS_UP or (name == "BINARY_OP" and instructions[place].argrepr == "[]"):
        return True
    if not name.startswith(("CALL", "PRECALL")):
        return False
    before = instructions[max(0, place - _NEAR) : place]
    called = next((one.argval for one in reversed(before) if one.opname in _NAMES and one.argval in _METHODS), None)
    return called is not None


def _keys_at_hand(frame: FrameType) -> Iterator[sympy.Basic]:
    """Yield the numbers and sizes that are keys in the containers which a frame names, or parts of such keys."""
    code = frame.f_code
    names = frozenset(code.co_names)
    for constant in code.co_consts:
        if type(constant) is int and constant > 1:
            yield sympy.Integer(constant)  # of a dict that is written in place
        elif isinstance(constant, (frozenset, tuple)):
            yield from _parts(constant)
    holders = [*frame.f_locals.values(), *(frame.f_globals.get(name) for name in names)]
    for _ in range(2):
        inner: list[Any] = []
        for holder in holders:
            if isinstance(holder, (dict, set, frozenset)):
                for key in list(holder):
                    yield from _parts((key,))
            elif not isinstance(holder, (torch.Tensor, int, float, str, type(None))):
                inner += [_attribute(holder, name) for name in names]
        holders = inner


def _attribute(holder: Any, name: str) -> Any:
    own = getattr(holder, "__dict__", {})
    return own.get(name, getattr(type(holder), "__dict__", {}).get(name)) if isinstance(own, dict) else None


def _parts(key: Any) -> Iterator[sympy.Basic]:
    for part in key:
        if type(part) is int:
            yield sympy.Integer(part)
        elif isinstance(part, torch.SymInt):
            yield part.node.expr
        elif isinstance(part, (tuple, frozenset)):
            yield from _parts(part)
