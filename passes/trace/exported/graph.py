# SPDX-License-Identifier: Apache-2.0
"""The ATen-dialect graph that grows while an exported program is walked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch
from lading.passes import dialect
from lading.passes.control_flow import BodyNames
from lading.passes.signature.structure import unused_name
from lading.passes.trace.exported.places import ProgramPlaces
from lading.passes.trace.exported.sizes import ScopedArithmetic, Sizes
from lading.passes.trace.recorder import _number_form as number_form
from lading.passes.trace.recorder import type_of
from lading.passes.weights import Weight
from lading.pipeline.origin import META_KEY, NOWHERE, Origin

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_NUMBERS = (bool, int, float, complex, *_SYMBOLIC)
_NUMBER_TYPES: dict[Any, ir.TensorType] = {
    torch.SymInt: ir.TensorType(ir.DataType.INT64),
    torch.SymFloat: ir.TensorType(ir.DataType.DOUBLE),
    torch.SymBool: ir.TensorType(ir.DataType.BOOL),
}
_SCALAR = ir.Shape((), frozen=True)
_aten = torch.ops.aten


class ProgramGraph:
    """Nodes, initializers and numbers of one graph, or of the body of a control-flow operator.

    Args:
        sizes: the names of symbolic sizes.
        outer: the graph around a body.
        places: gives the program's nodes their origins; that of the graph around a body if not given.
    """

    def __init__(self, sizes: Sizes, outer: ProgramGraph | None = None, *, places: ProgramPlaces | None = None) -> None:
        self.sizes = sizes
        self.outer = outer
        self.places: ProgramPlaces = places or (ProgramPlaces(wrapped=False) if outer is None else outer.places)
        self.nodes: list[ir.Node] = []
        self.graph_inputs: list[ir.Value] = []
        self.origin: Origin = NOWHERE if outer is None else outer.origin
        self.names: BodyNames = BodyNames() if outer is None else outer.names
        self.initializers: dict[str, ir.Value] = {} if outer is None else outer.initializers
        self.numbers: dict[str, None] = {} if outer is None else outer.numbers
        self.arithmetic: ScopedArithmetic = ScopedArithmetic(
            self.append, lambda: self.origin.source, None if outer is None else outer.arithmetic
        )

    def scope(self) -> ProgramGraph:
        """Return a graph that writes its nodes here, and in which symbols may have values that they lack here."""
        inner = ProgramGraph(self.sizes, self)
        inner.nodes = self.nodes
        return inner

    def append(self, node: ir.Node) -> None:
        """Add a node that comes from where the walk is now."""
        node.meta[META_KEY] = self.origin
        self.nodes.append(node)

    # ---- values ------------------------------------------------------------------------------------------------------

    def weight(self, name: str, tensor: torch.Tensor) -> ir.Value:
        """Make an initializer over a tensor."""
        shape = ir.Shape([int(size) for size in tensor.shape])
        value = ir.Value(name=name, type=type_of(tensor.dtype), shape=shape, const_value=Weight(tensor, name))
        self.initializers[name] = value
        return value

    def number(self, number: bool | int | float | complex) -> ir.Value:
        """Make a scalar initializer."""
        name = unused_name("constant", self.initializers)
        self.numbers[name] = None
        return self.weight(name, torch.tensor(number))

    def scalar(self, kind: type, name: str) -> ir.Value:
        """Make a value for a number of a kind: `torch.SymInt`, `torch.SymFloat` or `torch.SymBool`."""
        return ir.Value(name=name, type=_NUMBER_TYPES[kind], shape=_SCALAR)

    def tensor(self, fake: torch.Tensor, name: str | None = None) -> ir.Value:
        """Make a value of a tensor's dtype and shape; sizes that are new here can be read from it from now on."""
        value = ir.Value(name=name, type=type_of(fake.dtype), shape=ir.Shape([self.sizes.dim(n) for n in fake.shape]))
        self.read_sizes(fake, value)
        return value

    def read_sizes(self, fake: torch.Tensor, value: ir.Value) -> None:
        """Let the symbols that a tensor's shape consists of be read from a value."""
        for axis, size in enumerate(fake.shape):
            if type(size) is not int:
                expression = self.sizes.expression(size)
                if expression.is_Symbol and not self.arithmetic.knows(expression):
                    self.arithmetic.read_from(expression, value, axis)

    def value_of(self, item: Any) -> ir.Value:
        """Return the value of an argument: a wrapped value, a symbolic number or a plain one."""
        if isinstance(item, _SYMBOLIC):
            node: Any = item.node
            if isinstance(node, dialect.Held):
                return node.value
            expression = self.sizes.expression(item)
            if expression.is_number:
                return self.number(int(expression) if expression.is_integer else float(expression))
            return self.arithmetic.value(expression)
        if isinstance(item, ir.Value):
            return item
        return self.number(item)

    def symbolic_scalar(self, number: Any) -> ir.Value:
        """Return a symbolic number as a tensor without dimensions."""
        kinds = {torch.SymInt: torch.int64, torch.SymFloat: torch.get_default_dtype(), torch.SymBool: torch.bool}
        kind = kinds[type(number)]
        output = ir.Value(type=type_of(kind), shape=_SCALAR)
        self._encode(_aten.scalar_tensor.default, (number,), {"dtype": kind}, [output])
        return output

    def alias(self, value: ir.Value) -> ir.Value:
        """Return another value that equals `value`."""
        output = ir.Value(type=value.type, shape=value.shape)
        self.copy(value, output)
        return output

    def copy(self, value: ir.Value, output: ir.Value) -> None:
        """Let another value equal one."""
        self._encode(_aten.alias.default, (dialect.held(value),), {}, [output])

    def size(self, tensor: ir.Value, axis: int, output: ir.Value) -> None:
        """Let a value be the size of a tensor along an axis."""
        self._encode(_aten.sym_size.int, (dialect.held(tensor), axis), {}, [output])

    # ---- nodes -------------------------------------------------------------------------------------------------------

    def call(self, overload: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Any:
        """Write a call down.

        Args:
            overload: the ATen operator.
            args: positional arguments; tensors as `as_argument` makes them.
            kwargs: keyword arguments.
            result: what the call returned in the program, on fake tensors.

        Returns:
            `result` with a graph value in the place of each tensor.
        """
        outputs: list[ir.Value] = []
        if isinstance(result, (tuple, list)):
            returned: Any = [self._result(item, outputs) for item in result]
        else:
            returned = self.results(result, outputs)
        if any(output.type is not None for output in outputs):
            if len(args) > 1 and isinstance(args[1], _NUMBERS) and not _is_value(args[1]):
                overload = number_form(overload) or overload
            self._encode(overload, args, kwargs, outputs)
        return returned

    def _result(self, item: Any, outputs: list[ir.Value]) -> Any:
        if item is None:
            outputs.append(ir.Value())  # a tensor left out keeps its place
            return None
        return self.results(item, outputs)

    def results(self, result: Any, outputs: list[ir.Value]) -> Any:
        """Return a result with a new graph value, added to `outputs`, for each tensor in it.
        A symbolic number in it stays, and its symbol is from now on the value that is added.
        """
        if isinstance(result, torch.Tensor):
            outputs.append(self.tensor(result))
            return outputs[-1]
        if isinstance(result, (tuple, list)):
            return [self.results(item, outputs) for item in result]
        if isinstance(result, _SYMBOLIC):
            value = ir.Value(type=_NUMBER_TYPES[type(result)], shape=_SCALAR)
            outputs.append(value)
            self.bind_number(result, value)
        return result

    def bind_number(self, number: Any, value: ir.Value) -> None:
        """Let the symbol that a number consists of be a graph value from now on."""
        expression = self.sizes.expression(number)
        if expression.is_Symbol:
            self.arithmetic.is_value(expression, value)
            return
        unknown = [symbol for symbol in expression.free_symbols if not self.arithmetic.knows(symbol)]
        if isinstance(number, torch.SymBool) and len(unknown) == 1:
            # PyTorch has the truth value of a tensor as `u == 1`; as a number, it is its own symbol.
            value.type = _NUMBER_TYPES[torch.SymInt]
            self.arithmetic.is_value(unknown[0], value)

    def _encode(self, overload: Any, args: Sequence[Any], kwargs: Mapping[str, Any], outputs: list[ir.Value]) -> None:
        dialect.encode(overload, args, kwargs, outputs, value_of=self.value_of, append=self.append)


def _is_value(item: Any) -> bool:
    return isinstance(item, torch.SymInt) and isinstance(item.node, dialect.Held)
