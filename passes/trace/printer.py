# SPDX-License-Identifier: Apache-2.0
"""How expressions over sizes are written: in the grammar that ONNX shape expressions use."""

from __future__ import annotations

from typing import Any

import sympy
from sympy.printing.str import StrPrinter


def _is_enclosed(text: str) -> bool:
    """Whether the parenthesis that a text begins with is closed by its last character."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place == len(text) - 1 and text.startswith("(")
    return False


class Printer(StrPrinter):  # type: ignore[misc]
    """Writes an expression over the user's axis names, in the grammar that ONNX shape expressions use."""

    printmethod = "_lading_text"  # PyTorch's functions bring a text of their own, in another grammar

    def __init__(self, names: dict[sympy.Symbol, str]) -> None:
        super().__init__()
        self._names = names

    def _print_Symbol(self, expr: sympy.Symbol) -> str:
        return self._names.get(expr, expr.name)

    def _infix(self, expr: sympy.Expr, operator: str) -> str:
        left, right = (self._atom(part) for part in expr.args[:2])
        return f"{left} {operator} {right}"

    def _atom(self, part: sympy.Basic) -> str:
        text = self._print(part)
        return text if part.is_Symbol or part.is_number or _is_enclosed(text) else f"({text})"

    def _print_FloorDiv(self, expr: sympy.Expr) -> str:
        return self._infix(expr, "//")

    def _print_PythonMod(self, expr: sympy.Expr) -> str:
        return self._infix(expr, "%")

    _print_CleanDiv = _print_FloorDiv
    _print_Mod = _print_PythonMod

    def _print_IntTrueDiv(self, expr: sympy.Expr) -> str:
        return self._infix(expr, "/")

    _print_FloatTrueDiv = _print_IntTrueDiv

    def _print_ModularIndexing(self, expr: sympy.Expr) -> str:
        value, divisor, modulus = (self._atom(part) for part in expr.args)
        return f"({value} // {divisor} % {modulus})"

    def _print_FloorToInt(self, expr: sympy.Expr) -> str:
        return f"floor({self._print(expr.args[0])})"

    def _print_CeilToInt(self, expr: sympy.Expr) -> str:
        return f"ceil({self._print(expr.args[0])})"

    def _print_Max(self, expr: sympy.Expr) -> str:
        return f"max({', '.join(self._print(part) for part in expr.args)})"

    def _print_Min(self, expr: sympy.Expr) -> str:
        return f"min({', '.join(self._print(part) for part in expr.args)})"

    def _print_ToFloat(self, expr: sympy.Expr) -> str:
        return self._print(expr.args[0])

    def _print_Or(self, expr: Any) -> str:
        return " or ".join(sorted(self._atom(part) for part in expr.args))

    def _print_And(self, expr: Any) -> str:
        return " and ".join(sorted(self._atom(part) for part in expr.args))

    def _print_Not(self, expr: Any) -> str:
        return f"not {self._atom(expr.args[0])}"

    def _print_Piecewise(self, expr: Any) -> str:
        *pieces, (text, _) = [(self._atom(number), self._print(condition)) for number, condition in expr.args]
        for number, condition in reversed(pieces):
            text = f"({number} if {condition} else {text})"
        return str(text)

    def _print_Relational(self, expr: Any) -> str:
        left, right = self._print(expr.lhs), self._print(expr.rhs)
        return f"{left} {'==' if expr.rel_op == '==' else expr.rel_op} {right}"
