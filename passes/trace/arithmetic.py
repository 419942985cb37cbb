# SPDX-License-Identifier: Apache-2.0
"""Writes a symbolic number down as nodes: sizes are read from inputs, and the rest is computed from them.

A number that a module computes from sizes reaches an operator as one sympy expression. It becomes the fewest nodes that
compute it, each made when first needed and shared by every later use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir
import sympy
import torch
from lading.passes import dialect
from lading.passes.torch_private import sympy_functions as torch_sympy
from lading.pipeline.errors import CaptureError

_INT = ir.TensorType(ir.DataType.INT64)
_FLOAT = ir.TensorType(ir.DataType.DOUBLE)
_BOOL = ir.TensorType(ir.DataType.BOOL)
_SCALAR = ir.Shape((), frozen=True)

_aten = torch.ops.aten
_prim = torch.ops.prim

_BINARY_INT: Mapping[type, Any] = {
    torch_sympy.FloorDiv: _aten.floordiv.int,
    torch_sympy.CleanDiv: _aten.floordiv.int,
    torch_sympy.Mod: _aten.remainder.int,
    torch_sympy.PythonMod: _aten.remainder.int,
    torch_sympy.PowByNatural: _aten.pow.int_to_int,
}
_ROUNDING: Mapping[type, Any] = {
    torch_sympy.FloorToInt: _aten.floor.float,
    torch_sympy.CeilToInt: _aten.ceil.float,
    torch_sympy.TruncToInt: _aten.Int.float,
}
_RELATIONS: Mapping[type, Any] = {
    sympy.Eq: _aten.eq.int,
    sympy.Ne: _aten.ne.int,
    sympy.StrictLessThan: _aten.lt.int,
    sympy.LessThan: _aten.le.int,
    sympy.StrictGreaterThan: _aten.gt.int,
    sympy.GreaterThan: _aten.ge.int,
}
_CONNECTIVES: Mapping[type, Any] = {sympy.And: _aten.__and__.bool, sympy.Or: _aten.__or__.bool}
_UNARY_FLOAT: Mapping[str, Any] = {
    "OpaqueUnaryFn_sqrt": _aten.sqrt.float,
    "OpaqueUnaryFn_exp": _aten.exp.float,
    "OpaqueUnaryFn_sin": _aten.sin.float,
    "OpaqueUnaryFn_cos": _aten.cos.float,
    "OpaqueUnaryFn_tanh": _aten.tanh.float,
    "OpaqueUnaryFn_log2": None,
}


class Arithmetic:
    """The symbolic numbers of one graph, by expression.

    `append` takes finished nodes in order; `line` gives the user's line for an error.
    """

    def __init__(self, append: Callable[[ir.Node], None], line: Callable[[], str]) -> None:
        self._append = append
        self._line = line
        self._values: dict[sympy.Basic, ir.Value] = {}
        self._readers: dict[sympy.Symbol, Callable[[], ir.Value]] = {}
        self._derived_readers: dict[sympy.Symbol, Callable[[], ir.Value]] = {}
        self._wholes: dict[sympy.Basic, sympy.Symbol] = {}

    def knows(self, symbol: sympy.Symbol) -> bool:
        """Whether a symbol can be read from somewhere."""
        return symbol in self._readers or symbol in self._derived_readers or symbol in self._values

    def tell_line(self, line: Callable[[], str]) -> None:
        """Take the user's line for errors from elsewhere."""
        self._line = line

    def tables(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Return copies of what is known so far, to go back to with `go_back`."""
        return dict(self._values), dict(self._readers)

    def go_back(self, tables: tuple[dict[Any, Any], dict[Any, Any]]) -> None:
        """Forget every value but those of `tables`: what a body computes is not seen around it."""
        self._values, self._readers = tables

    def read_from(self, symbol: sympy.Symbol, tensor: ir.Value, axis: int) -> None:
        """Let a symbol be read as the size of `tensor` along `axis`; the first such place wins."""
        if symbol not in self._readers:
            self._readers[symbol] = lambda: self._node(_aten.sym_size.int, (tensor, axis), _INT)

    def read_from_derived(self, symbol: sympy.Symbol, tensor: ir.Value, axis: int, factor: int, offset: int) -> None:
        """Let a symbol be read from a size that is `factor` times it and `offset`, if nothing else shows it."""

        def read() -> ir.Value:
            size = self._node(_aten.sym_size.int, (tensor, axis), _INT)
            if offset:
                size = self._node(_aten.sub.int, (size, offset), _INT)
            return self._node(_aten.floordiv.int, (size, factor), _INT) if factor != 1 else size

        self._derived_readers.setdefault(symbol, read)

    def is_part(self, part: sympy.Symbol, whole: sympy.Symbol, divisor: int) -> None:
        """Let a symbol be another one divided by a number, of which that one is a multiple."""
        self._wholes[divisor * part] = whole
        self._derived_readers[part] = lambda: self._node(_aten.floordiv.int, (self.value(whole), divisor), _INT)

    def is_choice(self, symbol: sympy.Symbol, choice: sympy.Piecewise) -> None:
        """Let a symbol be a number that is chosen by a condition."""
        self._derived_readers.setdefault(symbol, lambda: self.value(choice))

    def is_value(self, symbol: sympy.Symbol, value: ir.Value) -> None:
        """Let a symbol be a value that an operator returned."""
        self._values.setdefault(symbol, value)

    def value(self, expression: sympy.Basic) -> ir.Value:
        """Return the value of an expression, writing what is missing of it.

        Raises:
            CaptureError: it holds a symbol that nothing in the graph defines, or a function without an operator.
        """
        known = self._values.get(expression)
        if known is None:
            known = self._values[expression] = self._write(expression)
        return known

    def _operand(self, expression: sympy.Basic) -> Any:
        if isinstance(expression, sympy.Integer):
            return int(expression)
        if isinstance(expression, (sympy.Float, sympy.Rational)):
            return float(expression)
        return self.value(expression)

    def _float(self, expression: sympy.Basic) -> Any:
        """Return an operand as a float: integers are converted, constants written as floats."""
        operand = self._operand(expression)
        if isinstance(operand, int):
            return float(operand)
        if isinstance(operand, ir.Value) and operand.type is _INT:
            return self._node(_aten.Float.int, (operand,), _FLOAT)
        return operand

    def _write(self, expression: sympy.Basic) -> ir.Value:
        kind = type(expression)
        if expression in self._wholes:
            return self.value(self._wholes[expression])
        if isinstance(expression, sympy.Symbol):
            reader = self._readers.get(expression) or self._derived_readers.get(expression)
            if reader is None:
                raise self._cannot(expression, "no input and no operator of the graph defines it")
            return reader()
        if kind is sympy.Add:
            return self._sum(expression)
        if kind is sympy.Mul:
            return self._product(expression)
        if kind in _BINARY_INT:
            left, right = expression.args
            return self._node(_BINARY_INT[kind], (self._operand(left), self._operand(right)), _INT)
        if kind is torch_sympy.ModularIndexing:
            value, divisor, modulus = expression.args
            quotient = torch_sympy.FloorDiv(value, divisor)
            return self._node(_aten.remainder.int, (self._operand(quotient), self._operand(modulus)), _INT)
        if kind in (torch_sympy.Max, torch_sympy.Min):
            return self._extreme(expression)
        if kind in _ROUNDING:
            return self._node(_ROUNDING[kind], (self._float(expression.args[0]),), _INT)
        if kind is torch_sympy.RoundToInt:
            rounded = self._node(_aten.round.float, (self._float(expression.args[0]),), _FLOAT)
            return self._node(_aten.Int.float, (rounded,), _INT)
        if kind in (torch_sympy.IntTrueDiv, torch_sympy.FloatTrueDiv):
            left, right = expression.args
            return self._node(_aten.div.float, (self._float(left), self._float(right)), _FLOAT)
        if kind is torch_sympy.ToFloat:
            return self._node(_aten.Float.int, (self._operand(expression.args[0]),), _FLOAT)
        if kind is sympy.Pow:
            return self._power(expression)
        if kind is torch_sympy.FloatPow:
            left, right = expression.args
            return self._node(_aten.pow.float, (self._float(left), self._float(right)), _FLOAT)
        unary = _UNARY_FLOAT.get(kind.__name__)
        if unary is not None:
            return self._node(unary, (self._float(expression.args[0]),), _FLOAT)
        if kind in _RELATIONS:
            left, right = expression.args
            return self._node(_RELATIONS[kind], (self._operand(left), self._operand(right)), _BOOL)
        if kind in _CONNECTIVES:
            return self._connected(expression)
        if kind is sympy.Not:
            return self._node(_aten.__not__.default, (self._operand(expression.args[0]),), _BOOL)
        if kind is sympy.Piecewise and expression.is_integer:
            return self._chosen(expression)
        raise self._cannot(expression, f"lading has no operator for {kind.__name__}")

    def _connected(self, expression: sympy.Basic) -> ir.Value:
        first, *rest = sorted(expression.args, key=lambda part: part.sort_key())
        result = self._operand(first)
        for part in rest:
            result = self._node(_CONNECTIVES[type(expression)], (result, self._operand(part)), _BOOL)
        return result

    def _chosen(self, expression: sympy.Piecewise) -> ir.Value:
        """Choose between whole numbers: ``other + condition * (number - other)``, from the last piece to the first."""
        *pieces, (other, always) = expression.args
        if always is not sympy.true:
            raise self._cannot(expression, "it says nothing where none of its conditions holds")
        result = self._operand(other)
        for number, condition in reversed(pieces):
            chosen = self._node(_aten.Int.bool, (self._operand(condition),), _INT)
            value = self._operand(number)
            if not isinstance(value, int) or not isinstance(result, int):
                difference = self._node(_aten.sub.int, (value, result), _INT)
                chosen = self._node(_aten.mul.int, (difference, chosen), _INT)
            elif value - result != 1:
                chosen = self._node(_aten.mul.int, (chosen, value - result), _INT)
            result = chosen if result == 0 else self._node(_aten.add.int, (chosen, result), _INT)
        return result

    def _sum(self, expression: sympy.Add) -> ir.Value:
        positive: list[sympy.Expr] = []
        negative: list[sympy.Expr] = []
        for term in expression.args:
            (negative if term.could_extract_minus_sign() else positive).append(term)
        if not positive:
            return self._negated(-expression)
        floating = not expression.is_integer
        operand = self._float if floating else self._operand
        add, subtract, kind = (
            (_aten.add.float, _aten.sub.float, _FLOAT) if floating else (_aten.add.int, _aten.sub.int, _INT)
        )
        # Constants last, so that a sum of symbols is shared by sums that differ in the constant only.
        positive.sort(key=lambda term: (term.is_number, term.sort_key()))
        total = operand(positive[0])
        for term in positive[1:]:
            total = self._node(add, (total, operand(term)), kind)
        for term in sorted(negative, key=lambda term: (term.is_number, term.sort_key())):
            total = self._node(subtract, (total, operand(-term)), kind)
        return total

    def _negated(self, expression: sympy.Basic) -> ir.Value:
        floating = not expression.is_integer
        operand = self._float(expression) if floating else self._operand(expression)
        return self._node(_aten.neg.float if floating else _aten.neg.int, (operand,), _FLOAT if floating else _INT)

    def _product(self, expression: sympy.Mul) -> ir.Value:
        if expression.could_extract_minus_sign():
            return self._negated(-expression)
        floating = not expression.is_integer
        operand = self._float if floating else self._operand
        operator, kind = (_aten.mul.float, _FLOAT) if floating else (_aten.mul.int, _INT)
        factors = sorted(expression.args, key=lambda factor: (factor.is_number, factor.sort_key()))
        result = operand(factors[0])
        for factor in factors[1:]:
            result = self._node(operator, (result, operand(factor)), kind)
        return result

    def _power(self, expression: sympy.Pow) -> ir.Value:
        base, exponent = expression.args
        if expression.is_integer and isinstance(exponent, sympy.Integer) and exponent > 0:
            operand = result = self._operand(base)
            for _ in range(int(exponent) - 1):
                result = self._node(_aten.mul.int, (result, operand), _INT)
            return result
        return self._node(_aten.pow.float, (self._float(base), self._float(exponent)), _FLOAT)

    def _extreme(self, expression: sympy.Basic) -> ir.Value:
        operator = _prim.max.int if isinstance(expression, torch_sympy.Max) else _prim.min.int
        parts = sorted(expression.args, key=lambda part: (part.is_number, part.sort_key()))
        result = self._operand(parts[0])
        for part in parts[1:]:
            result = self._node(operator, (result, self._operand(part)), _INT)
        return result

    def _node(self, overload: Any, operands: Sequence[Any], kind: ir.TensorType) -> ir.Value:
        output = ir.Value(type=kind, shape=_SCALAR)
        inputs = [dialect.held(item) if isinstance(item, ir.Value) else item for item in operands]
        dialect.encode(overload, inputs, {}, [output], value_of=dialect.held_value, append=self._append)
        return output

    def _cannot(self, expression: sympy.Basic, why: str) -> CaptureError:
        return CaptureError(
            f"the size {expression} is needed at run time, and {why}",
            where=self._line() or None,
            hint="compute the size from the shapes of the inputs",
        )
