# SPDX-License-Identifier: Apache-2.0
"""The sizes for which a file is right: conditions over the user's axis names, from the decisions that capture took."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from .settled_conditions import always_holds
from .trace.capture import Guard
from .verification.limits import keeping_test

if TYPE_CHECKING:
    import sympy
    from lading.passes.signature.arguments import AxisRange

METADATA_KEY = "lading.limits"
"""Where the limits stand in the file's metadata: a JSON list of their words."""


@attrs.frozen
class SizeLimit:
    """One condition that sizes of axes have to keep.

    Attributes:
        words: the condition for people, "height divisible by 32".
        condition: the same as an expression over axis names, "height % 32 == 0".
        source: "path.py:line" of the user's code that decided, or "".
        declared: the caller has promised it, as by the range of a `Dim`.
    """

    words: str
    condition: str
    source: str
    declared: bool

    def __str__(self) -> str:
        return f"{self.words} ({self.source})" if self.source else self.words

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether sizes keep the condition; what is not known of them speaks not against them."""
        test = keeping_test(self.condition)
        return test is None or test(sizes)


def size_limits(guards: Iterable[Guard]) -> tuple[SizeLimit, ...]:
    """Return the limits that decisions put on sizes, each once, those declared by the caller last."""
    found: dict[str, SizeLimit] = {}
    for guard in sorted(guards, key=lambda guard: guard.declared):
        if guard.harmless:
            continue
        limit = _limit(guard)
        if always_holds(limit.condition):
            continue
        if guard.declared:
            # What is promised is no surprise, whoever else asks for it.
            found.pop(limit.condition, None)
        found.setdefault(limit.condition, limit)
    return tuple(found.values())


def _limit(guard: Guard) -> SizeLimit:
    if guard.expression is None or not isinstance(guard.outcome, bool):
        condition = guard.condition
        if guard.outcome is False:
            condition = f"not ({condition})"
        elif guard.outcome is not True:
            condition = f"({condition}) == {guard.outcome}"
        return SizeLimit(condition, condition, guard.source, guard.declared)
    import sympy

    from .trace.symbols import text_of

    kept = guard.expression if guard.outcome else sympy.Not(guard.expression)
    kept = _about_one_axis(kept)
    condition = text_of(kept)
    return SizeLimit(_in_words(kept) or condition, condition, guard.source, guard.declared)


def _about_one_axis(condition: sympy.Basic) -> sympy.Basic:
    """Write `length - 5 < 0` as `length < 5`."""
    import sympy

    if not isinstance(condition, sympy.core.relational.Relational) or not condition.rhs.is_number:
        return condition
    number, rest = condition.lhs.as_coeff_Add()
    if number.is_zero or not isinstance(rest, sympy.Symbol):
        return condition
    return condition.func(rest, condition.rhs - number)


def _in_words(condition: sympy.Basic) -> str:
    import sympy

    from .trace.symbols import text_of

    if not isinstance(condition, sympy.core.relational.Relational):
        return ""
    left, right = condition.lhs, condition.rhs
    if left.is_number and not right.is_number:
        condition = condition.reversed
        left, right = condition.lhs, condition.rhs
    if not right.is_Integer:
        return f"{text_of(left)} equal to {text_of(right)}" if isinstance(condition, sympy.Eq) else ""
    remainder = type(left).__name__ in ("Mod", "PythonMod")
    if remainder and right == 0 and isinstance(condition, (sympy.Eq, sympy.Ne)):
        verb = "divisible by" if isinstance(condition, sympy.Eq) else "not divisible by"
        return f"{text_of(left.args[0])} {verb} {text_of(left.args[1])}"
    said = {
        sympy.Eq: ("equal to", 0),
        sympy.Ne: ("other than", 0),
        sympy.LessThan: ("at most", 0),
        sympy.StrictLessThan: ("at most", -1),
        sympy.GreaterThan: ("at least", 0),
        sympy.StrictGreaterThan: ("at least", 1),
    }.get(type(condition))
    return "" if said is None else f"{text_of(left)} {said[0]} {right + said[1]}"


_LARGEST = 64
"""How many times as large as the example's an axis may be made to test a border."""


def telling_sizes(
    guards: Sequence[Guard], sizes: Mapping[str, int], ranges: Mapping[str, AxisRange], most: int
) -> list[tuple[str, dict[str, int]]]:
    """Return sizes at which a fault would show: the other side of decisions, and the ends of limits.

    Args:
        guards: the decisions of capture.
        sizes: the size of each axis in the example.
        ranges: what the caller promises about sizes.
        most: how many there may be.

    Returns:
        Why, and a size for each axis.
    """
    from .trace.sides.witnesses import has_two_sides, witnesses

    decided = [guard for guard in guards if has_two_sides(guard) and names_of(guard) <= sizes.keys()]
    kept = [guard for guard in decided if not guard.harmless]
    found: dict[tuple[int, ...], tuple[str, dict[str, int]]] = {}
    # The model's own decisions first: PyTorch asks much, and mostly about the same.
    for guard in sorted(decided, key=lambda guard: not guard.by_user):
        if len(found) >= most:
            break
        if not guard.harmless:
            continue
        for other in itertools.islice(witnesses(guard, kept, sizes, ranges), 1):
            if all(size <= _LARGEST * max(sizes[name], 1) for name, size in other.items()):
                found.setdefault(tuple(other.values()), (f"other side of {guard.condition}", other))
    return list(found.values())


def names_of(guard: Guard) -> set[str]:
    """Return the names of the axes that a decision is about."""
    symbols: Any = () if guard.expression is None else guard.expression.free_symbols
    return {symbol.name for symbol in symbols}
