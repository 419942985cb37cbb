# SPDX-License-Identifier: Apache-2.0
"""Numbers that an operator reads off sizes, such as how many pieces `chunk` gives, as decisions between few values."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator

import attrs
import sympy
from lading.passes.trace.capture import Guard
from lading.passes.trace.sides.answers import answer
from lading.passes.trace.symbols import text_of

_FEW = 6
"""Values up to which a number is a decision between them; one of more values grows with the sizes."""
_ALONE = (*range(1, 130), 255, 256, 257, 1000, 1023, 4096)
_TOGETHER = (*range(1, 14), 16, 31, 32, 64, 100)


def by_values(guards: tuple[Guard, ...]) -> Iterator[Guard]:
    """Yield decisions, with a number of few values as questions whether it is this one, the most frequent first.

    A number that Python reads (`range(size // 4)`) stays one: its code may do with it what it likes.
    """
    for guard in guards:
        values = () if guard.by_user or guard.harmless or isinstance(guard.outcome, bool) else _values(guard)
        if guard.outcome not in values:
            yield guard
            continue
        for value in values:
            asked = sympy.Eq(guard.expression, value)
            outcome = value == guard.outcome
            yield attrs.evolve(guard, condition=text_of(asked), outcome=outcome, by_user=True, expression=asked)
            if outcome:
                break


def _values(guard: Guard) -> tuple[int, ...]:
    """Return what a number comes to at many sizes, the most frequent first; nothing where those are too many."""
    if guard.expression is None:
        return ()
    names = sorted(symbol.name for symbol in guard.expression.free_symbols)
    if len(names) > 2:
        return ()
    counts: collections.Counter[int] = collections.Counter()
    for sizes in itertools.product(_ALONE if len(names) == 1 else _TOGETHER, repeat=len(names)):
        found = answer(guard.expression, dict(zip(names, sizes, strict=True)))
        if found is not None:
            counts[int(found)] += 1
        if len(counts) > _FEW:
            return ()
    return tuple(sorted(counts, key=lambda value: (-counts[value], value)))
