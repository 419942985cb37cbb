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
    return _function(expression)(sizes)


@functools.lru_cache(maxsize=4096)
def _function(expression: sympy.Basic) -> Callable[[Mapping[str, int]], Number]:
    """Return an expression as a function of sizes: a search asks it hundreds of thousands of times."""
    steps, rules = _steps(expression), _rules()
    # Where no part can be a float, none can be nearly equal to another one.
    exact = not expression.has(sympy.Float) and all(part.func in _whole() or not places for part, places in steps)
    names: dict[str, Any] = {"of_sympy": _of_sympy, "related": _related}
    lines = []
    for place, (part, places) in enumerate(steps):
        given = [f"v{at}" for at in places]
        sign = _signs().get(part.func)
        if isinstance(part, sympy.Symbol):
            text = f"sizes[{part.name!r}]"
        elif not places:
            names[f"number{place}"] = _number(part)
            text = f"number{place}"
        elif isinstance(part, sympy.core.relational.Relational) and not exact:
            names[f"kind{place}"], names[f"rule{place}"] = part.func, rules.get(part.func)
            text = f"related(kind{place}, rule{place}, [{', '.join(given)}])"
        elif sign is not None:
            text = f" {sign} ".join(given)
        elif part.func in rules:
            names[f"rule{place}"] = rules[part.func]
            text = f"rule{place}({', '.join(given)})"
        else:
            names[f"kind{place}"] = part.func
            text = f"of_sympy(kind{place}, [{', '.join(given)}])"
        lines.append(f"    v{place} = {text}")
    source = "\n".join(("def function(sizes):", *lines, f"    return v{len(steps) - 1}"))
    exec(source, names)
    found: Callable[[Mapping[str, int]], Number] = names["function"]
    return found


def _related(kind: Any, rule: Callable[..., Number] | None, given: list[Number]) -> Number:
    # Floats that are nearly equal sympy compares in its own way.
    return _of_sympy(kind, given) if rule is None or _nearly_equal(given) else rule(*given)


@functools.cache
def _whole() -> frozenset[Any]:
    """Return the functions that make no float of whole numbers."""
    plain = {sympy.Min, sympy.Max, sympy.Not, sympy.Piecewise, ExprCondPair}
    return frozenset(plain | {find(_FUNCTIONS, name) for name in ("Min", "Max", "Where")} | _signs().keys())


@functools.cache
def _signs() -> Mapping[Any, str]:
    """Return the functions of whole numbers that Python has a sign for."""
    signs = {
        sympy.Add: "+",
        sympy.Mul: "*",
        sympy.Eq: "==",
        sympy.Ne: "!=",
        sympy.Lt: "<",
        sympy.Le: "<=",
        sympy.Gt: ">",
        sympy.Ge: ">=",
        sympy.And: "and",
        sympy.Or: "or",
    }
    own = {"FloorDiv": "//", "CleanDiv": "//", "Mod": "%", "PythonMod": "%"}
    return signs | {find(_FUNCTIONS, name): sign for name, sign in own.items()}


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
