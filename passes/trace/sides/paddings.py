# SPDX-License-Identifier: Apache-2.0
"""Decisions that change by how much a tensor is padded, and nothing else.

``pad = 1 if height % 2 == 0 else 2 - height % 2`` comes before many a convolution, once for each axis. Taken apart into
two sides each, ten of them are a thousand ways through the model. But both sides are one program if the amount is a
number that the file chooses: then whatever is asked later is asked of sizes that are right on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import sympy
from lading.passes.trace.sides.answers import answer
from lading.pipeline.errors import CaptureError


class OtherAmount(CaptureError):
    """A recording pads by something else than the choice that was settled for that call."""

    def __init__(self, choice: Choice, where: str | None) -> None:
        super().__init__(f"the amount of {choice.name} depends on more than the decision that chooses it", where=where)
        self.choice = choice


Amounts = tuple[Any, ...]
"""By how much one call pads, as ints and expressions over names; None for what only the run knows."""


@attrs.frozen
class Choice:
    """A number that a decision chooses.

    Attributes:
        name: stands for it in expressions, beside the names of axes.
        condition: the question, over the names of axes and of earlier choices.
        number: where the answer is yes.
        other: where it is no.
    """

    name: str
    condition: sympy.Basic
    number: sympy.Expr
    other: sympy.Expr

    @property
    def symbol(self) -> sympy.Symbol:
        """What stands for it in the expressions of guards."""
        return sympy.Symbol(self.name, integer=True)

    @property
    def expression(self) -> sympy.Expr:
        """The number over what it is chosen by."""
        return sympy.Piecewise((self.number, self.condition), (self.other, True))

    @property
    def needs(self) -> set[sympy.Symbol]:
        """What the number is chosen by, and what both numbers are made of."""
        return set(self.condition.free_symbols | self.number.free_symbols | self.other.free_symbols)

    def at(self, sizes: Mapping[str, int]) -> int | None:
        """Return the number at some sizes, None where it cannot be computed."""
        taken = answer(self.condition, sizes)
        found = None if taken is None else answer(self.number if taken else self.other, sizes)
        return None if found is None else int(found)


@attrs.frozen
class Settled:
    """The decisions of a way that are settled in the amounts of paddings.

    Attributes:
        choices: by the number of the call that pads, and the place among its amounts.
        questions: the decisions; their answers say nothing of sizes any more.
    """

    choices: Mapping[tuple[int, int], Choice] = attrs.field(factory=dict)
    questions: frozenset[sympy.Basic] = frozenset()

    def with_choices(self, question: sympy.Basic, call: int, here: Amounts, there: Amounts) -> Settled:
        """Return this with the amounts of one call chosen by a question: those of `here` where its answer is yes."""
        found = dict(self.choices)
        for place, (number, other) in enumerate(zip(here, there, strict=True)):
            if number != other:
                name = f"padding_{call}_{place}"
                found[call, place] = Choice(name, question, sympy.sympify(number), sympy.sympify(other))
        return Settled(found, self.questions | {question})

    def extended(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return sizes with the numbers that are chosen at them."""
        found = dict(sizes)
        for choice in self.choices.values():
            number = choice.at(found)
            if number is not None:
                found[choice.name] = number
        return found

    def is_in(self, expression: sympy.Basic) -> bool:
        """Whether an expression is about a number that is chosen."""
        return any(choice.symbol in expression.free_symbols for choice in self.choices.values())

    def over_axes(self, expression: sympy.Basic) -> sympy.Basic:
        """Return an expression over the names of axes alone, as it comes: simplifying nested choices takes minutes."""
        with sympy.evaluate(False):
            for choice in reversed(list(self.choices.values())):
                if choice.symbol in expression.free_symbols:
                    expression = expression.xreplace({choice.symbol: choice.expression})
        return expression

    def axes(self, expression: sympy.Basic) -> set[str]:
        """Return the names of the axes on which an expression depends."""
        chosen = {choice.symbol: choice for choice in self.choices.values()}
        found: set[str] = set()
        seen: set[sympy.Symbol] = set()
        waiting = list(expression.free_symbols)
        while waiting:
            symbol = waiting.pop()
            if symbol in seen:
                continue
            seen.add(symbol)
            choice = chosen.get(symbol)
            if choice is None:
                found.add(symbol.name)
            else:
                waiting += choice.needs
        return found


NOTHING_SETTLED = Settled()


def first_apart(left: Sequence[Amounts], right: Sequence[Amounts]) -> int | None:
    """Return the first call that pads by other amounts in another recording; None where there is none to choose."""
    if len(left) != len(right):
        return None
    for call, (here, there) in enumerate(zip(left, right, strict=True)):
        if len(here) != len(there) or None in here or None in there:
            return None
        if here != there:
            return call
    return None
