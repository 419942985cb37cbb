# SPDX-License-Identifier: Apache-2.0
"""A recording as a list of calls that can be compared with that of another length.

What two iterations of a loop, or two recordings of different lengths, have in common is a call's *form*: operator,
place in the model, constants, dtypes. What may differ stands beside it: whole numbers as expressions over the free
axes, and what the call reads. Arithmetic on sizes of inputs is no call; it is part of the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias

import attrs
import onnx_ir as ir
import sympy
from lading.passes.control_flow import is_control_flow, is_sequence_operator
from lading.passes.dialect import bind, is_dialect_list
from lading.passes.torch_private import sympy_functions
from lading.passes.trace.sides.numbering import tensor_key
from lading.passes.trace.symbols import axis_symbol
from lading.pipeline.origin import origin_of


class CannotRoll(Exception):
    """The loop stays written out; the text says why."""


@attrs.frozen
class FromInput:
    """An input of the model."""

    index: int


@attrs.frozen
class FromWeight:
    """A weight or a literal of the model; `content` is equal for equal values."""

    name: str
    content: Hashable


@attrs.frozen
class FromCall:
    """Output `output` of the call at place `call` of the program."""

    call: int
    output: int


Read: TypeAlias = FromInput | FromWeight | FromCall
Leaf: TypeAlias = "sympy.Basic | Read | tuple[Read, ...]"
"""A whole number, what is read, or a list of what is read."""


@attrs.frozen(eq=False)
class Call:
    """One operator call.

    Attributes:
        node: the recorded node.
        form: what calls of other iterations and lengths have in common with it.
        leaves: the rest, in the order of `form`.
        dims: for each output, its dimensions: a whole number as an expression, or the text of a size.
    """

    node: ir.Node
    form: Hashable
    leaves: tuple[Leaf, ...]
    dims: tuple[tuple[Any, ...] | None, ...]


@attrs.frozen(eq=False)
class Program:
    """A recording of one length.

    Attributes:
        length: the size of the axis that is unrolled.
        model: the recorded graph.
        calls: in the order of the run.
        results: what the outputs of the graph, then the buffers that it writes, are.
    """

    length: int
    model: ir.Model
    calls: tuple[Call, ...]
    results: tuple[Leaf, ...]


_ARITHMETIC: Mapping[tuple[str, str, str], Callable[..., Any]] = {
    ("aten", "add", "int"): lambda a, b: a + b,
    ("aten", "sub", "int"): lambda a, b: a - b,
    ("aten", "mul", "int"): lambda a, b: a * b,
    ("aten", "neg", "int"): lambda a: -a,
    ("aten", "floordiv", "int"): sympy_functions.FloorDiv,
    ("aten", "remainder", "int"): sympy_functions.PythonMod,
    ("prim", "max", "int"): sympy_functions.Max,
    ("prim", "min", "int"): sympy_functions.Min,
}


class _Reader:
    def __init__(self, model: ir.Model) -> None:
        self.known: dict[ir.Value, Any] = {}
        for index, value in enumerate(model.graph.inputs):
            self.known[value] = FromInput(index)
        for value in model.graph.initializers.values():
            self.known[value] = FromWeight(value.name or "", tensor_key(value))
        self.calls: list[Call] = []

    def read(self, value: ir.Value) -> Leaf:
        found = self.known.get(value)
        if found is None:
            raise CannotRoll("a value comes from outside of the recording")
        return found

    def take(self, node: ir.Node) -> None:
        if is_dialect_list(node):
            return
        if is_control_flow(node) or is_sequence_operator(node):
            raise CannotRoll("the model has control flow of its own beside the loop")
        number = self._number(node)
        if number is not None:
            self.known[node.outputs[0]] = number
            return
        form, leaves = self._arguments(node)
        for index, output in enumerate(node.outputs):
            self.known[output] = FromCall(len(self.calls), index)
        kinds = tuple((repr(value.type), None if value.shape is None else len(value.shape)) for value in node.outputs)
        origin = origin_of(node)
        place = (origin.module, origin.source) if origin is not None else ()
        key = (node.domain, node.op_type, node.overload, place, form, kinds[:1] if is_unbinding(node) else kinds)
        self.calls.append(Call(node, key, tuple(leaves), tuple(_dims(value) for value in node.outputs)))

    def _number(self, node: ir.Node) -> sympy.Basic | None:
        """Return what a node computes from sizes of inputs alone, None for any other node."""
        identity = (node.domain, node.op_type, node.overload)
        if identity == ("aten", "sym_size", "int"):
            tensor = node.inputs[0]
            if tensor is None or tensor.shape is None or not isinstance(self.known.get(tensor), FromInput):
                return None
            dim = tensor.shape[bind(node).keywords["dim"]]
            return sympy.Integer(dim) if isinstance(dim, int) else axis_symbol(str(dim.value))
        if identity not in _ARITHMETIC:
            return None
        operands = [
            sympy.Integer(value) if isinstance(value, int) else self.known.get(value)
            for value in bind(node).keywords.values()
        ]
        return _ARITHMETIC[identity](*operands) if all(isinstance(one, sympy.Basic) for one in operands) else None

    def _arguments(self, node: ir.Node) -> tuple[Hashable, list[Leaf]]:
        leaves: list[Leaf] = []

        def taken(value: Any) -> Hashable:
            if isinstance(value, ir.Value):
                leaf = self.read(value)
                leaves.append(leaf)
                return "number" if isinstance(leaf, sympy.Basic) else "value"
            if isinstance(value, int) and not isinstance(value, bool):
                leaves.append(sympy.Integer(value))
                return "number"
            if isinstance(value, (list, tuple)):
                return tuple(taken(one) for one in value)
            return type(value).__name__, repr(value)

        def tensors(value: Any) -> Hashable:
            if not isinstance(value, list):
                return taken(value)
            if None in value:
                return tuple(taken(one) for one in value)
            leaves.append(tuple(self.read(one) for one in value))
            return "values"

        try:
            bound = bind(node)
        except LookupError:  # an operator of the user's own
            attributes = tuple((name, repr(attribute.value)) for name, attribute in sorted(node.attributes.items()))
            return (attributes, *map(taken, node.inputs)), leaves
        form = (*map(tensors, bound.positional), *((name, taken(value)) for name, value in bound.keywords.items()))
        return form, leaves


def is_unbinding(node: ir.Node) -> bool:
    """Whether a node takes a tensor apart along one dimension, so that the number of its outputs is a length."""
    return (node.domain, node.op_type, node.overload) in (("aten", "unbind", "int"), ("aten", "split", "Tensor"))


def _dims(value: ir.Value) -> tuple[Any, ...] | None:
    if value.shape is None:
        return None
    return tuple(sympy.Integer(dim) if isinstance(dim, int) else dim.value for dim in value.shape)


def program(model: ir.Model, results: tuple[ir.Value, ...], length: int) -> Program:
    """Read a recording.

    Args:
        model: the recorded graph, in which the unrolled axis is a symbol and Python's reads of it are numbers.
        results: what the graph is for.
        length: the size of the axis at which it was recorded.

    Raises:
        CannotRoll: it has nodes with bodies.
    """
    reader = _Reader(model)
    for node in model.graph:
        reader.take(node)
    return Program(length, model, tuple(reader.calls), tuple(reader.read(value) for value in results))
