# SPDX-License-Identifier: Apache-2.0
"""The symbolic sizes of an exported program: what they are called, and what the program relies on about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import sympy
import torch
from lading.passes.torch_private import sympy_functions
from lading.passes.trace.arithmetic import Arithmetic
from lading.passes.trace.capture import Guard, Specialisation
from lading.passes.trace.printer import Printer
from lading.passes.trace.symbols import axis_symbol

Number = torch.SymInt | torch.SymFloat | torch.SymBool


class _Inside(dict[sympy.Symbol, str]):
    """The names of symbols as parts of an expression: one such as `2*n` stands in parentheses."""

    def __init__(self, names: dict[sympy.Symbol, str]) -> None:
        super().__init__()
        self._whole = names

    def get(self, symbol: sympy.Symbol, default: Any = None) -> Any:
        """Return the name of a symbol as it stands inside of an expression."""
        name = self._whole.get(symbol, default)
        return name if name is None or name.isidentifier() else f"({name})"


class Sizes:
    """The symbols of one program.

    A symbol is called what the user calls the axis; one that nobody named keeps the name that the program prints.

    Attributes:
        asked: the size in the example of each named axis.
    """

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self._names: dict[sympy.Symbol, str] = {}
        self._printer = Printer(_Inside(self._names))
        self._constants: dict[sympy.Symbol, sympy.Integer] = {}
        self._fixed_at: dict[sympy.Symbol, str] = {}
        self._guards: list[Guard] = []
        self._fixed: dict[str, Specialisation] = {}

    # ---- names -------------------------------------------------------------------------------------------------------

    def name(self, size: Any, name: str, example: int, place: str) -> None:
        """Call the size of an axis `name`.

        Args:
            size: the axis's size in the program: an int or a symbolic one.
            name: the user's name for it.
            example: its size in the example call.
            place: which axis it is, for messages.
        """
        self.asked.setdefault(name, example)
        expression = self.expression(size)
        if expression.is_number:
            source = "" if type(size) is int else self._fixed_at.get(size.node.expr, "")
            condition = f"{place} == {expression}, a constant of the exported program"
            self._fixed.setdefault(name, Specialisation(name, int(expression), condition, source))
        elif isinstance(expression, sympy.Symbol):
            known = self._names.setdefault(expression, name)
            if known != name:
                equal = sympy.Eq(axis_symbol(known), axis_symbol(name))
                self._guards.append(Guard(f"{known} == {name}", True, "", False, expression=equal))
        elif str(expression) != name and self.text(expression) != name:
            equal = sympy.Eq(axis_symbol(name), self.over_names(expression))
            self._guards.append(Guard(f"{name} == {self.text(expression)}", True, "", False, expression=equal))

    def over_names(self, size: sympy.Basic) -> sympy.Basic:
        """Return the size of an axis over symbols that are called as the axes."""
        return size.xreplace({symbol: axis_symbol(self.text(symbol)) for symbol in size.free_symbols})

    def name_from_program(self, names: Mapping[sympy.Symbol, str]) -> None:
        """Take over the names of the `Dim`s that the program was exported with, where the user gave no others."""
        taken = set(self._names.values())
        for symbol, name in names.items():
            if name not in taken:
                self._names.setdefault(symbol, name)

    def fix(self, symbol: sympy.Symbol, value: int, source: str = "") -> None:
        """Take a symbol for a constant from now on; `source` is the user's line that made it one."""
        self._constants[symbol] = sympy.Integer(value)
        self._fixed_at[symbol] = source

    def is_fixed(self, expression: sympy.Basic) -> bool:
        """Whether a size has been made a constant."""
        return any(symbol in self._constants for symbol in expression.free_symbols)

    # ---- expressions -------------------------------------------------------------------------------------------------

    def expression(self, number: Any) -> sympy.Basic:
        """Return the expression of a size."""
        if isinstance(number, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            expression = number.node.expr
            return expression.subs(self._constants) if self._constants else expression
        return sympy.sympify(number)

    def text(self, expression: sympy.Basic) -> str:
        """Write an expression over the names of the axes."""
        if isinstance(expression, sympy.Symbol):
            return self._names.get(expression, expression.name)
        return str(self._printer.doprint(expression))

    def dim(self, size: Any) -> int | str:
        """Return a size as a dimension of a value's shape."""
        if type(size) is int:
            return size
        expression = self.expression(size)
        return int(expression) if expression.is_number else self.text(expression)

    # ---- what the program relies on ----------------------------------------------------------------------------------

    def rely(self, condition: sympy.Basic, source: str, *, declared: bool = False) -> None:
        """Keep in mind that the program is right only where a condition on sizes holds, `declared` if it says so."""
        if condition in (sympy.true, sympy.false) or not condition.free_symbols:
            return
        self.rely_on_text(self.text(condition), source, declared=declared)

    def rely_on_text(
        self, condition: str, source: str, *, declared: bool = False, expression: sympy.Basic | None = None
    ) -> None:
        """Keep in mind a condition over the names of the axes, as text, and as an expression where it is one."""
        guard = Guard(condition, True, source, False, declared, expression=expression)
        if guard not in self._guards:
            self._guards.append(guard)

    @property
    def guards(self) -> tuple[Guard, ...]:
        """Everything that the program relies on."""
        return tuple(self._guards)

    @property
    def specialisations(self) -> tuple[Specialisation, ...]:
        """Axes that were asked to be free and that the program has as constants."""
        return tuple(self._fixed.values())


class ScopedArithmetic(Arithmetic):
    """Symbolic numbers of a body, computed outside of it wherever they can be."""

    def __init__(
        self, append: Callable[[ir.Node], None], line: Callable[[], str], outer: Arithmetic | None = None
    ) -> None:
        super().__init__(append, line)
        self._outer = outer

    def knows(self, symbol: sympy.Symbol) -> bool:
        """Whether a symbol can be read here or outside."""
        return super().knows(symbol) or (self._outer is not None and self._outer.knows(symbol))

    def value(self, expression: sympy.Basic) -> ir.Value:
        """Return the value of an expression, written outside if it has no symbol that is known here alone."""
        outer = self._outer
        if outer is not None and all(
            outer.knows(symbol) and not super(ScopedArithmetic, self).knows(symbol)
            for symbol in expression.free_symbols
        ):
            return outer.value(expression)
        return super().value(expression)

    def read_solved(self, expression: sympy.Basic, tensor: ir.Value, axis: int) -> None:
        """Let the one unknown symbol of a size such as `2*n + 1` be read by solving for it."""
        unknown = [symbol for symbol in expression.free_symbols if not self.knows(symbol)]
        if len(unknown) != 1 or not expression.is_polynomial(unknown[0]) or sympy.degree(expression, unknown[0]) != 1:
            return
        size = sympy.Symbol(f"size_{id(tensor)}_{axis}", integer=True, nonnegative=True)
        factor = expression.coeff(unknown[0])
        rest = sympy.expand(expression - factor * unknown[0])
        self.read_from(size, tensor, axis)
        divided = size - rest if factor == 1 else sympy_functions.FloorDiv(size - rest, factor)
        self.is_value(unknown[0], self.value(divided))
