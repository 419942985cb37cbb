# SPDX-License-Identifier: Apache-2.0
"""Conditions on sizes that a file relies on, read from the words in which capture states them."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_CALLED: dict[str, Callable[..., Any]] = {
    "max": max,
    "min": min,
    "floor": math.floor,
    "ceil": math.ceil,
    "abs": abs,
    "sqrt": math.sqrt,
}


def keeping_test(condition: str) -> Callable[[Mapping[str, int]], bool] | None:
    """Return the test whether sizes keep a condition, or None if its words cannot be evaluated.

    Args:
        condition: an expression over axis names, such as "(width % 8) == 0", in Python's grammar.
    """
    try:
        tree = ast.parse(condition, mode="eval").body
        _check(tree)
    except (SyntaxError, _Unknown):
        return None

    def holds(sizes: Mapping[str, int]) -> bool:
        try:
            return bool(_value(tree, sizes))
        except (_Unknown, ArithmeticError):
            # A symbol that is no axis, or a division by a size of zero: nothing is known against these sizes.
            return True

    return holds


def formula(name: str) -> tuple[frozenset[str], Callable[[Mapping[str, int]], int]] | None:
    """Return which axes the name of an axis computes a size from and how, None for one that is no such expression.

    "2*n" and "n - 1" are such names, by which `torch.export` calls dimensions that follow from others.
    """
    try:
        tree = ast.parse(name, mode="eval").body
        _check(tree)
    except (SyntaxError, ValueError, _Unknown):
        return None
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)) - _CALLED.keys()
    if not isinstance(tree, (ast.BinOp, ast.Call)) or not names:
        return None
    return names, lambda sizes: int(_value(tree, sizes))


class _Unknown(Exception):
    """The expression has a part that is not understood."""


def _check(tree: ast.expr) -> None:
    allowed = (ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.BoolOp, ast.IfExp)
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and not isinstance(node, allowed):
            raise _Unknown
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _CALLED):
            raise _Unknown


def _value(tree: ast.expr, sizes: Mapping[str, int]) -> Any:
    match tree:
        case ast.Constant(value=value):
            return value
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, sizes) else orelse, sizes)
        case ast.Name(id=name) if name in sizes:
            return sizes[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, sizes), _value(right, sizes))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, sizes)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, sizes)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
            return _COMPARED[type(op)](_value(left, sizes), _value(right, sizes))
        case ast.BoolOp(op=op, values=values):
            parts = [bool(_value(part, sizes)) for part in values]
            return all(parts) if isinstance(op, ast.And) else any(parts)
        case ast.Call(func=ast.Name(id=name), args=args):
            return _CALLED[name](*(_value(part, sizes) for part in args))
    raise _Unknown
