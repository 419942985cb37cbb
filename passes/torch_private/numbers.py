# SPDX-License-Identifier: Apache-2.0
"""Symbolic numbers whose arithmetic is done once: what two expressions make together is kept.

PyTorch's `SymNode` builds each result with sympy, though a capture computes the same few products and comparisons over
and over. `Number` is a `SymNode` that looks the result up, in tables that captures share.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import sympy
from lading.passes.torch_private import normal_form
from lading.passes.torch_private.names import find

SymNode: Any = find("torch.fx.experimental.sym_node", "SymNode")
_NO_HINT = find("torch.fx.experimental.sym_node", "_NO_HINT")

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "int_floordiv": operator.floordiv,
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "lt": operator.lt,
    "le": operator.le,
    "ge": operator.ge,
    "sym_max": max,
    "sym_min": min,
}
"""Methods on two whole numbers whose result depends on nothing but the expressions, and what they do to hints."""

_LIMIT = 50_000
_RESULTS: dict[Any, tuple[sympy.Basic, type, bool]] = {}


class Number(SymNode):  # type: ignore[misc]
    """A `SymNode` with remembered results."""

    _expr_ver: int
    _expr_cache: Any

    @classmethod
    def like(cls, node: Any) -> Number:
        """Return a node as one of these."""
        if type(node) is cls:
            return node
        made = cls(
            node._expr,
            node.shape_env,
            node.pytype,
            _NO_HINT if node._hint is None else node._hint,
            constant=node.constant,
            fx_node=node.fx_node,
            optimized_summation=node._optimized_summation,
        )
        return made

    @property
    def expr(self) -> sympy.Basic:
        """The expression, with what is known to be equal put in."""
        version = self.shape_env._replacements_version_counter
        if version == 0:
            return self._expr
        if version != self._expr_ver:
            expression = self._expr
            self._expr_cache = expression if expression.is_number else self.shape_env.replace(expression)
            self._expr_ver = version
        return self._expr_cache

    def maybe_as_int(self) -> int | None:
        """Return the number of Python's that this is, if it is one."""
        expression = self.expr
        if expression.is_Symbol or expression.is_Add:
            return None  # sympy looks at every symbol for what is plain to see: a sum of numbers alone is a number
        return int(expression) if expression.is_number else None

    def wrap_int(self, num: int) -> Number:
        """Return a number of Python's as a node."""
        made = self.shape_env.whole_numbers
        known = made.get(num)
        if known is None:
            known = made[num] = Number.like(super().wrap_int(num))
        return known

    def expect_true(self, file: str, line: int) -> bool:
        """Return the answer to a check, which raises an error where it is no."""
        with self.shape_env.checking():
            answer: bool = super().expect_true(file, line)
            return answer

    def mod(self, other: Any) -> Number:
        """Return the remainder, which is not remembered: it depends on what is known of the dividend."""
        made = Number.like(super().mod(other))
        divisor = other.expr
        if self.pytype is int and divisor.is_Integer and divisor > 1:
            simpler = normal_form.remainder(self.expr, int(divisor))
            if simpler is not None:
                made._expr = simpler
        return made

    def int_truediv(self, other: Any) -> Number:
        """Return the quotient as a float."""
        return Number.like(super().int_truediv(other))

    def float_truediv(self, other: Any) -> Number:
        """Return the quotient of floats."""
        return Number.like(super().float_truediv(other))

    def sym_float(self) -> Number:
        """Return the number as a float."""
        return Number.like(super().sym_float())

    def trunc(self) -> Number:
        """Return the number without what is behind the point."""
        return self._whole(super().trunc)

    def floor(self) -> Number:
        """Return the greatest whole number that is not greater."""
        return self._whole(super().floor)

    def ceil(self) -> Number:
        """Return the least whole number that is not less."""
        return self._whole(super().ceil)

    def _whole(self, rounded: Callable[[], Any]) -> Number:
        """Return a rounded number, which is the number itself where that is whole for all sizes."""
        number = normal_form.whole(self.expr) if self.pytype is float else None
        if number is None:
            return Number.like(rounded())
        return Number(number, self.shape_env, int, _NO_HINT if self._hint is None else int(self._hint))

    def sym_sum(self, args: Any) -> Number:
        """Return the sum of several numbers."""
        made = Number.like(super().sym_sum(args))
        made._expr, made._optimized_summation = _in_form(made, normal_form.total)
        return made


def _in_form(made: Any, form: Callable[[Any], Any]) -> tuple[sympy.Basic, bool]:
    """Return the expression of a result in its normal form, and whether it still is a sum of different symbols."""
    expression = form(made._expr)
    return expression, made._optimized_summation and expression is made._expr


def _quotient(dividend: Number, divisor: Any) -> Any:
    """Return the floored quotient, with nothing in common left above and below the line; None where that is as is."""
    left, right = normal_form.shortened(dividend.expr, divisor.expr)
    if right is divisor.expr:
        return None
    hints = dividend._hint, divisor._hint
    hint = _NO_HINT if None in hints else operator.floordiv(*hints)
    return Number(normal_form.floor_quotient(left, right), dividend.shape_env, int, hint)


_FORMS: dict[str, Callable[[Any], Any]] = {
    "add": normal_form.total,
    "sub": normal_form.total,
    "eq": normal_form.is_multiple,
    "ne": normal_form.is_multiple,
    "lt": normal_form.ordered,
    "le": normal_form.ordered,
    "gt": normal_form.ordered,
    "ge": normal_form.ordered,
}


def _remembering(name: str, on_hints: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    plain = getattr(SymNode, f"_{name}")

    def compute(self: Number, other: Any) -> Any:
        if self.pytype is not int or other.pytype is not int:
            return Number.like(plain(self, other))
        left, right = self.expr, other.expr
        key = (name, left, right, self._optimized_summation, other._optimized_summation)
        found = _RESULTS.get(key)
        if found is None:
            made = (_quotient(self, other) if name == "int_floordiv" else None) or plain(self, other)
            form = _FORMS.get(name)
            if form is not None:
                made._expr, made._optimized_summation = _in_form(made, form)
            if len(_RESULTS) >= _LIMIT:
                _RESULTS.clear()
            _RESULTS[key] = (made._expr, made.pytype, made._optimized_summation)
            return Number.like(made)
        expression, kind, summation = found
        hint: Any = _NO_HINT
        if self._hint is not None and other._hint is not None:
            hint = on_hints(self._hint, other._hint)
        return Number(expression, self.shape_env, kind, hint, optimized_summation=summation)

    return compute


for _name, _on_hints in _BINARY.items():
    setattr(Number, _name, _remembering(_name, _on_hints))
    setattr(Number, f"_{_name}", getattr(Number, _name))
