# SPDX-License-Identifier: Apache-2.0
"""Sizes that a model has found to be multiples of a number: `if height % 8: ...`, or a view as windows of 8.

While such a size is a symbol, nothing that is computed from ``size // 8`` simplifies, and every view asks anew whether
it fits. So it becomes 8 times another symbol, with which windows, patches and what is put together from them again are
products that need no question. What is stated, named and written down is over the size of the axis as before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy
from lading.passes.torch_private import sympy_functions
from lading.passes.trace.sides.answers import answer as answer_at
from sympy.core.function import Application

_FloorDiv = sympy_functions.FloorDiv
_PERIODIC = (_FloorDiv, sympy_functions.Mod, sympy_functions.PythonMod)
_LONGEST = 128
"""The longest period in the sizes for which a question holds that is looked at."""


def found_in(question: sympy.Basic, answer: Any) -> Iterator[tuple[sympy.Symbol, int]]:
    """Yield the symbols that are multiples of a number where a question has this answer, with the number.

    Either the question is about quotients and remainders of one size, or it is whether a product of sizes is that of
    rounded ones: ``h * w == 64 * (h // 8) * (w // 8)`` holds for multiples of 8 alone, since no factor on the right is
    the larger.
    """
    if not isinstance(question, sympy.Eq if answer else sympy.Ne):
        return
    symbols = question.free_symbols
    if len(symbols) == 1:
        (symbol,) = symbols
        divisor = _divisor(question, symbol, bool(answer))
        if divisor > 1:
            yield symbol, divisor
        return
    for plain, rounded in (question.args, question.args[::-1]):
        if rounded.is_Mul and (plain.is_Mul or plain.is_Symbol):
            yield from _of_a_product(plain, rounded)


def _divisor(question: sympy.Basic, symbol: sympy.Symbol, outcome: bool) -> int:
    """Return the number of which a size is a multiple wherever a question has this outcome; 1 where there is none."""
    period = _period(question.lhs - question.rhs, symbol)
    if not 1 < period <= _LONGEST:
        return 1
    # Such a difference grows by the same number from each period to the next: two of them show all.
    held = [size for size in range(4 * period, 6 * period) if answer_at(question, {symbol.name: size}) == outcome]
    if not held or [size + period for size in held if size < 5 * period] != [s for s in held if s >= 5 * period]:
        return 1
    return math.gcd(period, *held)


def _period(number: sympy.Expr, symbol: sympy.Symbol) -> int:
    """Return after how many sizes the rounding in a number begins anew, 0 where it is made of other things as well."""
    if number == symbol or number.is_Integer:
        return 1
    if number.is_Add:
        return math.lcm(*(_period(term, symbol) for term in number.args))
    if number.is_Mul:
        coefficient, rest = number.as_coeff_Mul()
        return _period(rest, symbol) if coefficient.is_Integer and coefficient != 1 else 0
    if isinstance(number, _PERIODIC) and number.args[1].is_Integer:
        return int(abs(number.args[1])) * _period(number.args[0], symbol)
    return 0


def _of_a_product(plain: sympy.Expr, rounded: sympy.Expr) -> Iterator[tuple[sympy.Symbol, int]]:
    quotients = [factor for factor in sympy.Mul.make_args(rounded) if isinstance(factor, _FloorDiv)]
    if not quotients or not all(q.args[0].is_Symbol and q.args[1].is_Integer and q.args[1] > 1 for q in quotients):
        return
    factors = {quotient: quotient.args[0] / quotient.args[1] for quotient in quotients}
    if rounded.xreplace(factors) == plain and all(factor.is_positive for factor in sympy.Mul.make_args(plain)):
        yield from {quotient.args[0]: int(quotient.args[1]) for quotient in quotients}.items()


class Multiples:
    """The symbols that stand for parts of sizes: ``part`` is ``whole / divisor``."""

    def __init__(self) -> None:
        self._wholes: dict[sympy.Symbol, tuple[sympy.Symbol, int]] = {}

    def __contains__(self, symbol: sympy.Symbol) -> bool:
        return symbol in self._wholes

    def add(self, part: sympy.Symbol, whole: sympy.Symbol, divisor: int) -> None:
        """Let a symbol be a size divided by a number."""
        root, factor = self._wholes.get(whole, (whole, 1))
        self._wholes[part] = root, factor * divisor

    def whole(self, symbol: sympy.Symbol) -> sympy.Symbol:
        """Return the symbol of the size that a symbol is a part of, itself where it is none."""
        return self._wholes.get(symbol, (symbol, 1))[0]

    def over_wholes(self, expression: sympy.Basic) -> sympy.Basic:
        """Return an expression over the sizes of axes alone."""
        parts = self._wholes.keys() & expression.free_symbols
        if not parts:
            return expression
        if not expression.atoms(Application):
            exact = {part: self._wholes[part][0] / sympy.Integer(self._wholes[part][1]) for part in parts}
            found = _on_each_side(expression, exact)
            if all(number.is_Integer for number in found.atoms(sympy.Rational)):
                return found
        return expression.xreplace({part: _FloorDiv(*self._wholes[part]) for part in parts})


def _on_each_side(expression: sympy.Basic, parts: dict[sympy.Basic, sympy.Basic]) -> sympy.Basic:
    """Put expressions in the place of symbols without letting a relation be simplified for it."""
    if not expression.is_Relational:
        return expression.xreplace(parts)
    return expression.func(*(side.xreplace(parts) for side in expression.args), evaluate=False)
