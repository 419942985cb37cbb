# SPDX-License-Identifier: Apache-2.0
"""What expressions over sizes come to at some sizes.

A search for sizes asks thousands of times, and sympy simplifies every part of an expression anew each time. Here the
parts stand in the order in which they are computed, with Python's own numbers: integers, fractions and floats as sympy
has them. What has no rule is left to sympy, part by part.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import sympy
from lading.passes.torch_private.names import find
from sympy.functions.elementary.piecewise import ExprCondPair

Number = Any
"""An int, a Fraction, a float or a bool."""

_ROUNDING = 1e-9
"""Part of a float below which a difference is not decided here."""

_FUNCTIONS = "torch.utils._sympy.functions"


def answer(expression: sympy.Basic, sizes: Mapping[str, int]) -> bool | int | None:
    """Return what an expression over axis names comes to at some sizes; None where it divides by zero, say."""
    try:
        found = _computed(expression, sizes)
    except ZeroDivisionError:
        # sympy's quotients and remainders fail alike, but for those that it writes as powers.
        return _by_sympy(expression, sizes) if expression.has(sympy.Pow) else None
    except (ArithmeticError, ValueError, TypeError, AssertionError):
        # A part that is not needed may be what cannot be computed.
        return _by_sympy(expression, sizes)
    if isinstance(found, (bool, int)):
        return found
    return int(found) if isinstance(found, Fraction) and found.denominator == 1 else None


def _by_sympy(expression: sympy.Basic, sizes: Mapping[str, int]) -> bool | int | None:
    values = {symbol: sympy.Integer(sizes[symbol.name]) for symbol in expression.free_symbols}
    try:
        found = _number(expression.xreplace(values))
    except (ArithmeticError, ValueError, TypeError, AssertionError):
        return None
    return found if isinstance(found, (bool, int)) else None


def _computed(expression: sympy.Basic, sizes: Mapping[str, int]) -> Number:
    parts, rules = _steps(expression), _rules()
    values: list[Number] = []
    for part, places in parts:
        if isinstance(part, sympy.Symbol):
            values.append(sizes[part.name])
        elif not places:
            values.append(_number(part))
        else:
            rule = rules.get(part.func)
            given = [values[place] for place in places]
            if isinstance(part, sympy.core.relational.Relational) and _nearly_equal(given):
                rule = None  # such floats sympy compares in its own way
            values.append(_of_sympy(part.func, given) if rule is None else rule(*given))
    return values[-1]


@functools.lru_cache(maxsize=4096)
def _steps(expression: sympy.Basic) -> tuple[tuple[sympy.Basic, tuple[int, ...]], ...]:
    """Return the different parts of an expression, each after its arguments, with the places of these."""
    places: dict[sympy.Basic, int] = {}
    steps = []
    for part in sympy.postorder_traversal(expression):
        if part not in places:
            steps.append((part, tuple(places[argument] for argument in part.args)))
            places[part] = len(places)
    return tuple(steps)


def _number(part: sympy.Basic) -> Number:
    if part in (sympy.true, sympy.false):
        return bool(part)
    if isinstance(part, sympy.Integer):
        return int(part)
    if isinstance(part, sympy.Rational):
        return Fraction(int(part.p), int(part.q))
    if isinstance(part, sympy.Float):
        return float(part)
    raise TypeError(f"{part} is no number")


def _of_sympy(function: Any, given: list[Number]) -> Number:
    return _number(function(*(sympy.sympify(value) for value in given)))


def _nearly_equal(given: list[Number]) -> bool:
    """Whether two numbers, one of them a float, differ by nothing or by what may be rounding."""
    left, right = given
    if not isinstance(left, float) and not isinstance(right, float):
        return False
    return not abs(left - right) > _ROUNDING * max(abs(left), abs(right))


def _power(base: Number, exponent: Number) -> Number:
    if not isinstance(exponent, int) or isinstance(base, float):
        return _of_sympy(sympy.Pow, [base, exponent])
    return Fraction(base) ** exponent if exponent < 0 else base**exponent


def _chosen(condition: bool, one: Number, other: Number) -> Number:
    return one if condition else other


@functools.cache
def _rules() -> Mapping[Any, Callable[..., Number]]:
    rules: dict[Any, Callable[..., Number]] = {
        sympy.Add: lambda *terms: sum(terms),
        sympy.Mul: lambda *factors: math.prod(factors),
        sympy.Pow: _power,
        sympy.Min: min,
        sympy.Max: max,
        sympy.floor: math.floor,
        sympy.ceiling: math.ceil,
        sympy.Eq: operator.eq,
        sympy.Ne: operator.ne,
        sympy.Lt: operator.lt,
        sympy.Le: operator.le,
        sympy.Gt: operator.gt,
        sympy.Ge: operator.ge,
        sympy.And: lambda *parts: all(parts),
        sympy.Or: lambda *parts: any(parts),
        sympy.Not: operator.not_,
        ExprCondPair: lambda number, condition: (number, condition),
        sympy.Piecewise: lambda *pieces: next(number for number, condition in pieces if condition),
    }
    own: dict[str, Callable[..., Number]] = {
        "FloorDiv": operator.floordiv,
        "CleanDiv": operator.floordiv,
        "Mod": operator.mod,
        "PythonMod": operator.mod,
        "Min": min,
        "Max": max,
        "ToFloat": float,
        "IntTrueDiv": operator.truediv,
        "FloatTrueDiv": operator.truediv,
        "FloorToInt": math.floor,
        "CeilToInt": math.ceil,
        "TruncToInt": math.trunc,
        "Where": _chosen,
    }
    return rules | {find(_FUNCTIONS, name): rule for name, rule in own.items()}
