# SPDX-License-Identifier: Apache-2.0
"""Sizes of axes at which a question on sizes has the other answer than in the example."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sympy
from lading.passes.signature.arguments import AxisRange
from lading.passes.trace.capture import Guard, states_equality
from lading.passes.trace.sides.answers import answer
from lading.passes.trace.sides.paddings import NOTHING_SETTLED, Settled

_SMALL = (1, 2, 3, 4, 5, 7, 8, 12, 16, 31)
_FAR = 8
"""How many times larger than a number in a question a size is that has nothing to do with it."""
_NEAR = 65
"""Sizes below this one are all looked at in the end."""
_LARGEST_DIVISOR = 512
_WIDEST = 512
_LARGEST = 1 << 20
"""Sizes beyond this one are not looked for."""
_TRIED_BESIDE = 10000
"""Combinations of sizes of other axes that are looked at."""
TRIED = 4000
"""Combinations of sizes that a search looks at before it gives up."""

Sizes = Mapping[str, int]


def keeps(guard: Guard, sizes: Sizes) -> bool:
    """Whether a decision has the same answer at some sizes, with what is chosen at them."""
    return guard.expression is None or answer(guard.expression, sizes) == guard.outcome


def _question(guard: Guard) -> sympy.Basic:
    assert guard.expression is not None
    return guard.expression


def has_two_sides(guard: Guard) -> bool:
    """Whether a decision is one between two sides, on nothing but sizes of inputs."""
    return guard.expression is not None and isinstance(guard.outcome, bool) and not guard.declared


def witnesses(
    asked: Guard,
    kept: Sequence[Guard],
    sizes: Sizes,
    ranges: Mapping[str, AxisRange],
    settled: Settled = NOTHING_SETTLED,
    tried: int = TRIED,
) -> Iterator[dict[str, int]]:
    """Yield sizes at which `asked` has its other answer and all of `kept` their own.

    Sizes inside of the other side come before those at its border, where differences of sizes happen to be 0.

    Args:
        asked: the decision to turn.
        kept: the decisions that were taken before it on the way, and are to stay.
        sizes: the sizes so far, one for each axis.
        ranges: what the user promises about sizes.
        settled: what is chosen at sizes, which decisions may be about too.
        tried: how many combinations of sizes are looked at.

    Yields:
        A size for each axis; nothing where the decision has no other side, as far as can be seen.
    """
    equations = _equations(kept, settled)
    moved = _independent(settled.axes(_question(asked)), equations)
    constants = sorted({abs(int(number)) for number in _question(asked).atoms(sympy.Integer)})
    likely = itertools.islice(_combinations(moved, sizes, constants, ranges), tried)
    further = _windows(moved, sizes, asked, kept, ranges) if tried == TRIED else ()
    others = sorted(_beside(moved, kept, settled) - equations.keys())
    column = range(1, 2 * _NEAR) if len(others) == 1 else _SMALL
    left = _TRIED_BESIDE
    for chosen in itertools.chain(likely, further):
        trial = {**sizes, **chosen}
        if not _solve(equations, trial, ranges):
            continue
        at = settled.extended(trial)
        turned = answer(_question(asked), at)
        if turned is None or turned == asked.outcome:
            continue
        if all(keeps(one, at) for one in kept):
            yield trial
            continue
        # What is kept may need other sizes of axes that are not asked about.
        for beside in itertools.product(column, repeat=len(others)) if others and tried == TRIED else ():
            left -= 1
            if left < 0:
                break
            trial = {**sizes, **chosen, **dict(zip(others, beside, strict=True))}
            if not _solve(equations, trial, ranges) or not all(
                _within(trial[name], ranges.get(name)) for name in others
            ):
                continue
            at = settled.extended(trial)
            if answer(_question(asked), at) == turned and all(keeps(one, at) for one in kept):
                yield trial
                break


def _beside(moved: Collection[str], kept: Sequence[Guard], settled: Settled) -> set[str]:
    """Return the axes on which kept decisions depend together with those that are moved."""
    found: set[str] = set()
    for guard in kept:
        names = set() if guard.expression is None else settled.axes(guard.expression)
        if names.intersection(moved):
            found |= names - set(moved)
    return found


def _windows(
    moved: Sequence[str], sizes: Sizes, asked: Guard, kept: Sequence[Guard], ranges: Mapping[str, AxisRange]
) -> Iterator[dict[str, int]]:
    """Yield every size near to the numbers at which the question may turn, so that remainders are met that are kept."""
    numbers = [abs(int(number)) for number in _question(asked).atoms(sympy.Integer) if abs(int(number)) > 1]
    expressions = [guard.expression for guard in kept if guard.expression is not None]
    asked_of = [abs(int(number)) for one in expressions for number in one.atoms(sympy.Integer) if abs(int(number)) > 1]
    products = [left * right for left, right in itertools.combinations(numbers, 2)]
    marks = {*numbers, *products, math.prod(numbers), *asked_of}
    divisors = {number for number in (*numbers, *asked_of) if number <= _LARGEST_DIVISOR}
    width = min(_WIDEST, 2 * math.lcm(*divisors)) if divisors else _NEAR
    for name in moved:
        starts = sorted(mark for mark in {*marks, sizes[name]} if mark <= _LARGEST)
        near = dict.fromkeys(size for start in starts for size in range(max(1, start - width), start + width + 1))
        yield from ({name: size} for size in near if _within(size, ranges.get(name)))


def _combinations(
    moved: Sequence[str], sizes: Sizes, constants: Sequence[int], ranges: Mapping[str, AxisRange]
) -> Iterator[dict[str, int]]:
    columns = []
    for name in moved:
        size = sizes[name]
        # Large sizes come first: small ones are more often equal to others by chance.
        inside = [near for number in reversed(constants) for near in (number + 3, 2 * number + 3, number - 2)]
        border = [near for number in constants for near in (number + 1, number - 1, number, 2 * number)]
        larger = 2 * size + 3
        # Numbers far below the size are divisors rather than borders, and a model may have a least size.
        first = [larger, *inside] if max(constants, default=0) * _FAR < size else [*inside, larger]
        found = dict.fromkeys([size, *first, *_SMALL, size + 1, size - 1, 2 * size, *border, *range(1, _NEAR)])
        columns.append([number for number in found if number >= 1 and _within(number, ranges.get(name))])
    for combination in itertools.product(*columns):
        yield dict(zip(moved, combination, strict=True))


def _within(size: int, promised: AxisRange | None) -> bool:
    if promised is None:
        return True
    return (promised.low is None or size >= promised.low) and (promised.high is None or size <= promised.high)


def _equations(kept: Sequence[Guard], settled: Settled) -> dict[str, sympy.Basic]:
    """Return the axes that equations among the kept decisions give from other axes."""
    found: dict[str, sympy.Basic] = {}
    for guard in kept:
        question: Any = guard.expression
        if not states_equality(question, guard.outcome) or settled.is_in(question):
            continue
        difference = question.lhs - question.rhs
        for symbol in sorted(difference.free_symbols, key=lambda symbol: symbol.name, reverse=True):
            taken = {other.name for other in difference.free_symbols - {symbol}}
            rate = difference.coeff(symbol)
            rest = difference - rate * symbol
            if symbol.name not in found and not taken & found.keys() and rate in (1, -1) and not rest.has(symbol):
                found[symbol.name] = -rest / rate
                break
    return found


def _independent(asked: Collection[str], equations: Mapping[str, sympy.Basic]) -> list[str]:
    """Return the axes to move: those asked about, or those that these follow from."""
    moved: dict[str, None] = {}
    for name in sorted(asked):
        given = equations.get(name)
        names = [name] if given is None else sorted(other.name for other in given.free_symbols)
        moved.update(dict.fromkeys(names))
    return list(moved)


def _solve(equations: Mapping[str, sympy.Basic], trial: dict[str, int], ranges: Mapping[str, AxisRange]) -> bool:
    for name, expression in equations.items():
        value = answer(expression, trial)
        if value is None or isinstance(value, bool) or value < 1 or not _within(value, ranges.get(name)):
            return False
        trial[name] = value
    return True
