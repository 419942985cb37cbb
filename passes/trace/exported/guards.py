# SPDX-License-Identifier: Apache-2.0
"""What `torch.export` decided on sizes while it made a program, and what the program is therefore limited to."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy
import torch
from lading.passes import torch_private
from lading.passes.trace.exported.sizes import Sizes
from lading.passes.trace.sources import users_path
from torch.export import ExportedProgram

_SIZE = re.compile(r"L(?:\[(?:'[^']*'|\d+)\]|\.(?!size\(\))\w+)+\.size\(\)\[\d+\]")
_NUMBER = re.compile(r"-?\d+")


class Guards:
    """The guards of one program, over the sizes of its inputs.

    Args:
        program: the program.
        inputs: its user inputs, in order.
    """

    def __init__(self, program: ExportedProgram, inputs: Sequence[torch.fx.Node]) -> None:
        self._conditions = torch_private.guard_code(program)
        shape_env = torch_private.shape_env_of(inputs)
        self._lines = _lines(shape_env, len(self._conditions))
        self._sizes = {**_by_name(inputs), **torch_private.sizes_by_source(shape_env)}

    def fix(self, sizes: Sizes) -> None:
        """Make constants of the symbols that the program takes for constants though its inputs still show them."""
        for condition, line in zip(self._conditions, self._lines, strict=True):
            left, equals, right = condition.partition(" == ")
            expression = self._sizes.get(left)
            if equals and isinstance(expression, sympy.Symbol) and _NUMBER.fullmatch(right):
                sizes.fix(expression, int(right), line)

    def state(self, sizes: Sizes) -> None:
        """State the others as limits, in the names of the axes."""
        for condition, line in zip(self._conditions, self._lines, strict=True):
            found = {text: self._sizes[text] for text in _SIZE.findall(condition) if text in self._sizes}
            if found and not any(sizes.is_fixed(expression) for expression in found.values()):
                sizes.rely_on_text(
                    _named(condition, found, sizes), line, expression=_comparison(condition, found, sizes)
                )


def _named(condition: str, found: Mapping[str, sympy.Basic], sizes: Sizes) -> str:
    return _SIZE.sub(lambda text: _shown(text[0], found, sizes), condition)


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Mod: torch_private.sympy_functions.Mod,
    ast.FloorDiv: torch_private.sympy_functions.FloorDiv,
}
_RELATIONS: Mapping[type[ast.cmpop], Callable[..., Any]] = {
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
    ast.Lt: sympy.Lt,
    ast.LtE: sympy.Le,
    ast.Gt: sympy.Gt,
    ast.GtE: sympy.Ge,
}


def _comparison(condition: str, found: Mapping[str, sympy.Basic], sizes: Sizes) -> sympy.Basic | None:
    """Return a condition over symbols that are called as the axes; None for one that is no plain comparison of sizes.

    As an expression, a condition is simplified (`-1 + (n + 1) != 1` is about `n`) and said in words.
    """
    names = {text: f"size_{index}" for index, text in enumerate(found)}
    values = {name: sizes.over_names(found[text]) for text, name in names.items()}

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() as number):
                return sympy.Integer(number)
            case ast.Name(id=name):
                return values[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _ARITHMETIC[type(op)](value(left), value(right))
        raise KeyError(type(node))

    try:
        match ast.parse(_SIZE.sub(lambda text: names[text[0]], condition), mode="eval").body:
            case ast.Compare(left=left, ops=[relation], comparators=[right]):
                made: sympy.Basic = _RELATIONS[type(relation)](value(left), value(right))
                return made if made.free_symbols else None
    except (KeyError, SyntaxError):
        # A size that no axis has, or an operator that is none of these.
        return None
    return None


def _shown(text: str, found: Mapping[str, sympy.Basic], sizes: Sizes) -> str:
    expression = found.get(text)
    if expression is None:
        return text
    shown = sizes.text(expression)
    return shown if expression.is_Symbol or expression.is_number else f"({shown})"


def _by_name(inputs: Sequence[torch.fx.Node]) -> dict[str, sympy.Basic]:
    """Return the sizes of inputs by the ways in which guards call them, for a program that came from a file."""
    sizes: dict[str, sympy.Basic] = {}
    for index, node in enumerate(inputs):
        fake: Any = node.meta.get("val")
        if isinstance(fake, torch.Tensor):
            for axis, size in enumerate(fake.shape):
                expression = sympy.Integer(size) if isinstance(size, int) else size.node.expr
                sizes[f"L['{node.name}'].size()[{axis}]"] = expression
                sizes[f"L['flat_args'][{index}].size()[{axis}]"] = expression
    return sizes


def _lines(shape_env: Any, count: int) -> list[str]:
    """Return the user's line for each guard; "" where it is not known, as after loading from a file."""
    lines = []
    for guard in getattr(shape_env, "guards", ()):
        frame = getattr(getattr(guard, "sloc", None), "framework_loc", None)
        path = users_path(getattr(frame, "filename", "<"))
        lines.append(f"{path}:{frame.lineno}" if path and frame is not None else "")
    return lines if len(lines) == count else [""] * count
