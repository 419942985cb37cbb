# SPDX-License-Identifier: Apache-2.0
"""Conditions on sizes that hold whatever the sizes are, such as `(2*n) // 2 == n`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sympy


def always_holds(condition: str) -> bool:
    """Whether a comparison over axis names is true for all sizes of 1 and more; False where that cannot be told.

    Args:
        condition: in Python's grammar, as the conditions of limits are written.
    """
    import sympy

    try:
        tree = ast.parse(condition, mode="eval").body
    except SyntaxError:
        return False
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
        return False
    try:
        left, right = _number(tree.left), _number(tree.comparators[0])
        difference = sympy.expand(left - right)
    except (_NotUnderstood, ArithmeticError, TypeError, ValueError):
        return False
    match tree.ops[0]:
        case ast.Eq():
            return bool(difference.is_zero)
        case ast.NotEq():
            return bool(difference.is_positive or difference.is_negative)
        case ast.GtE():
            return bool(difference.is_nonnegative)
        case ast.Gt():
            return bool(difference.is_positive)
        case ast.LtE():
            return bool(difference.is_nonpositive)
        case ast.Lt():
            return bool(difference.is_negative)
    return False


class _NotUnderstood(Exception):
    """The condition has a part that is not arithmetic."""


def _number(tree: ast.expr) -> sympy.Expr:
    import sympy

    match tree:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return sympy.Integer(value)
        case ast.Name(id=name):
            # As 1 and something that is not negative, a size has a sign that sympy can see in sums.
            return 1 + sympy.Symbol(name, integer=True, nonnegative=True)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(op, _number(left), _number(right))
    raise _NotUnderstood


def _combined(op: ast.operator, left: Any, right: Any) -> Any:
    import sympy

    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return sympy.expand(left * right)
        case ast.FloorDiv():
            return sympy.floor(sympy.cancel(left / right))
        case ast.Mod():
            return sympy.expand(left - right * sympy.floor(sympy.cancel(left / right)))
    raise _NotUnderstood
