# SPDX-License-Identifier: Apache-2.0
"""A normal form for whole numbers with remainders by a fixed number, as padding to a multiple makes them.

``x + (n - x % n) % n`` is ``n * ((x + n - 1) // n)``, and nothing in sympy says so. Left alone, such a size grows with
each window, patch and chunk that is cut from it, and no rule of sympy sees that it divides by ``n``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy
from lading.passes.torch_private.names import find

_FUNCTIONS = find("torch.utils._sympy.functions", "")
_FloorDiv, _Mod, _PythonMod = (getattr(_FUNCTIONS, name) for name in ("FloorDiv", "Mod", "PythonMod"))
_REMAINDERS = (_Mod, _PythonMod)
_ToFloat, *_QUOTIENT_KINDS = (getattr(_FUNCTIONS, name) for name in ("ToFloat", "IntTrueDiv", "FloatTrueDiv"))
_ORDERS = (sympy.StrictLessThan, sympy.LessThan, sympy.StrictGreaterThan, sympy.GreaterThan)
_QUOTIENTS = tuple(_QUOTIENT_KINDS)


def remainder(number: sympy.Expr, divisor: int) -> sympy.Expr | None:
    """Return ``number % divisor`` (at least 0, as Python has it) with as little in it as can be.

    Remainders inside of the number are taken away, and coefficients are brought near to 0.

    Args:
        number: a whole number.
        divisor: at least 2.

    Returns:
        None where there is nothing to take away.
    """
    reduced = _reduced(number, divisor)
    if reduced == number:
        return None
    if reduced.is_Integer:
        return sympy.Integer(int(reduced) % divisor)
    return (_Mod if reduced.is_nonnegative else _PythonMod)(reduced, sympy.Integer(divisor))


def shortened(number: sympy.Expr, divisor: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Return dividend and divisor without what divides the divisor and every term of the dividend.

    Their floored quotient is the same. PyTorch finds it too, and then simplifies both by every means of sympy, which
    takes longer than all other arithmetic on the size of an image.
    """
    if divisor.is_Add or divisor == 0:
        return number, divisor
    terms = [_factors(term) for term in sympy.Add.make_args(number)]
    coefficient, factors = _factors(divisor)
    if not all(part.is_Integer for part in (coefficient, *(term[0] for term in terms))):
        return number, divisor
    common = math.gcd(int(coefficient), *(int(term[0]) for term in terms))
    shared = {
        factor: least
        for factor, power in factors.items()
        if (least := min(power, *(term[1].get(factor, 0) for term in terms))) > 0
    }
    if common < 2 and not shared:
        return number, divisor
    return sympy.Add(*(_without(term, common, shared) for term in terms)), _without(
        (coefficient, factors), common, shared
    )


_Factors = tuple[sympy.Expr, dict[sympy.Expr, int]]


def _factors(term: sympy.Expr) -> _Factors:
    """Return the coefficient of a product and its other factors, each with its power."""
    coefficient, rest = term.as_coeff_Mul()
    found: dict[sympy.Expr, int] = {}
    for factor in sympy.Mul.make_args(rest):
        base, power = factor.as_base_exp()
        if power.is_Integer and power > 0 and base != 1:
            found[base] = int(power)
        elif factor != 1:
            found[factor] = 1
    return coefficient, found


def _without(term: _Factors, common: int, shared: dict[sympy.Expr, int]) -> sympy.Expr:
    coefficient, factors = term
    return sympy.Mul(coefficient // common, *(base ** (n - shared.get(base, 0)) for base, n in factors.items()))


def floor_quotient(number: sympy.Expr, divisor: sympy.Expr) -> sympy.Expr:
    """Return ``number // divisor``."""
    return _FloorDiv(number, divisor)


def total(number: sympy.Expr) -> sympy.Expr:
    """Return a sum in which a number with its remainder, or what it lacks to a multiple, is that multiple."""
    while (found := _without_a_remainder(number)) is not None:
        number = found
    return number


def whole(number: sympy.Expr) -> sympy.Expr | None:
    """Return the whole number that a float always is, as ``h * w / 8 / 8`` is where ``h`` and ``w`` are multiples of 8.

    Each quotient on the way has to be whole by itself: then floats hold it as it is, being sizes.

    Returns:
        None where that is not so for all sizes.
    """
    if number.is_Integer:
        return number
    if number.is_Float:
        return sympy.Integer(int(number)) if float(number).is_integer() else None
    if isinstance(number, _ToFloat):
        return number.args[0]
    if isinstance(number, _QUOTIENTS):
        dividend, divisor = (part if part.is_integer else whole(part) for part in number.args)
        if dividend is not None and divisor is not None:
            return _quotient(dividend, divisor)
    return None


def _quotient(dividend: sympy.Expr, divisor: sympy.Expr) -> sympy.Expr | None:
    """Return a quotient if it is a sum of products of whole numbers, as it stands."""
    if divisor.is_Add:
        return sympy.S.One if dividend == divisor else None
    terms = [term / divisor for term in sympy.Add.make_args(dividend)]
    factors = [factor for term in terms for factor in sympy.Mul.make_args(term)]
    if any((factor.is_Rational and not factor.is_Integer) or _is_below_the_line(factor) for factor in factors):
        return None
    return sympy.Add(*terms)


def _is_below_the_line(factor: sympy.Expr) -> bool:
    return bool(factor.is_Pow and not (factor.exp.is_Integer and factor.exp > 0))


def is_multiple(question: sympy.Basic) -> sympy.Basic:
    """Return a question of whether ``-x % n`` is 0 as the one of whether ``x % n`` is."""
    if isinstance(question, (sympy.Eq, sympy.Ne)) and question.rhs == 0 and isinstance(question.lhs, _PythonMod):
        number, divisor = question.lhs.args
        if (-number).is_nonnegative:
            return type(question)(_Mod(-number, divisor), 0)
    return question


def ordered(question: sympy.Basic) -> sympy.Basic:
    """Return the answer to a comparison with rounded sizes that is the same wherever they are rounded to.

    ``n * ((x + n - 1) // n)`` is at least x and less than x + n, whatever x is.
    """
    if not isinstance(question, _ORDERS) or not question.has(_FloorDiv):
        return question
    difference = question.lhs - question.rhs
    low = high = difference
    for term in sympy.Add.make_args(difference):
        coefficient, part = term.as_coeff_Mul()
        if isinstance(part, _FloorDiv) and part.args[1].is_Integer and part.args[1] > 0 and coefficient.is_Integer:
            dividend, divisor = part.args
            ends = [coefficient * (dividend - lost) / divisor for lost in (divisor - 1, 0)]
            below, above = ends if coefficient > 0 else ends[::-1]
            low, high = low - term + below, high - term + above
    if not (low.is_number and high.is_number):
        return question
    answers = {question.func(end, 0) for end in (low, high)}
    return answers.pop() if len(answers) == 1 else question


def _remainders(number: sympy.Expr) -> Iterator[tuple[int, Any, sympy.Expr, int]]:
    """Yield the remainders among the terms of a sum: coefficient 1 or -1, term, dividend, divisor."""
    for term in number.args if number.is_Add else ():
        sign, part = (-1, -term) if isinstance(-term, _REMAINDERS) else (1, term)
        if isinstance(part, _REMAINDERS) and part.args[1].is_Integer and part.args[1] > 1:
            yield sign, part, part.args[0], int(part.args[1])


def _without_a_remainder(number: sympy.Expr) -> sympy.Expr | None:
    for sign, part, dividend, divisor in _remainders(number):
        rest = number - sign * part
        # What `rest` lacks to a multiple is congruent to -rest, what it has beyond one is congruent to it.
        if _reduced(rest + sign * dividend, divisor) == 0:
            return _multiple(rest, divisor, sign)
        own = -sign * dividend
        left = rest - own
        if len(sympy.Add.make_args(left)) < len(sympy.Add.make_args(rest)):
            return left + _multiple(own, divisor, sign)
    return None


def _multiple(number: sympy.Expr, divisor: int, sign: int) -> sympy.Expr:
    """Return the multiple of `divisor` that is next to a number, above it for the sign 1, below it for -1."""
    return divisor * _FloorDiv(number + (divisor - 1 if sign == 1 else 0), sympy.Integer(divisor))


def _reduced(number: sympy.Expr, divisor: int) -> sympy.Expr:
    """Return a small number that is congruent to `number`."""
    found: dict[sympy.Expr, int] = {}
    waiting = [(1, term) for term in sympy.Add.make_args(number)]
    while waiting:
        factor, term = waiting.pop()
        coefficient, part = term.as_coeff_Mul()
        if not coefficient.is_Integer:
            coefficient, part = sympy.S.One, term
        factor *= int(coefficient)
        if isinstance(part, _REMAINDERS) and part.args[1].is_Integer and part.args[1] % divisor == 0:
            waiting += [(factor, inner) for inner in sympy.Add.make_args(part.args[0])]
        else:
            found[part] = found.get(part, 0) + factor
    kept = []
    for part, factor in found.items():
        factor %= divisor
        if 2 * factor > divisor and part != 1:
            factor -= divisor
        kept.append(factor * part)
    return sympy.Add(*kept)
