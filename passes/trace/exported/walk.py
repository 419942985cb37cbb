# SPDX-License-Identifier: Apache-2.0
"""The nodes of an exported program, one after the other, as nodes of the ATen dialect."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch
from lading.passes.dialect import held
from lading.passes.torch_private import HigherOrderOperator
from lading.passes.trace.exported.graph import ProgramGraph
from lading.passes.trace.exported.places import line_of
from lading.passes.trace.exported.writes import functional_form
from lading.passes.trace.storage import STRIDED, strided_call
from lading.pipeline.errors import CaptureError

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_aten = torch.ops.aten

# The result is the argument.
_TRANSPARENT = frozenset(
    {
        _aten.alias.default,
        _aten.detach.default,
        _aten.detach_.default,
        _aten.lift_fresh.default,
        _aten.lift_fresh_copy.default,
    }
)

# What the program promises about a number; nothing is computed.
_PROMISES = frozenset(
    {
        _aten._assert_scalar.default,
        _aten.sym_constrain_range.default,
        _aten.sym_constrain_range_for_size.default,
        torch._check,
    }
)
_NAMESPACES_OF_CHECKS = ("_assert", "_functional_assert")


class Walk:
    """One pass over the nodes of one graph module.

    `graph` takes what the nodes compute; `values` has what each `fx` node stands for: a graph value, a number, a list
    of those, or the body of a control-flow operator.
    """

    def __init__(self, module: torch.fx.GraphModule, graph: ProgramGraph) -> None:
        self.module = module
        self.graph = graph
        self.values: dict[torch.fx.Node, Any] = {}
        self._same: dict[torch.fx.Node, torch.fx.Node] = {}

    def run(self) -> Any:
        """Walk the nodes behind the placeholders, whose values are given; return what the graph returns."""
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                continue
            if node.op == "output":
                return torch.fx.map_arg(node.args[0], self.value)
            self.graph.origin = self.graph.places.origin_of(node)
            if node.op == "get_attr":
                self.values[node] = self._attribute(node)
            elif node.op == "call_function":
                self._call(node)
            else:
                raise CaptureError(f"an exported program has a node of kind {node.op}", where=line_of(node) or None)
        raise CaptureError("an exported program has no output node")

    def value(self, node: torch.fx.Node) -> Any:
        """Return what a node stands for by now."""
        return self.values[self._same.get(node, node)]

    def _argument(self, node: torch.fx.Node) -> Any:
        return _as_arguments(self.value(node))

    def _attribute(self, node: torch.fx.Node) -> Any:
        found: Any = self.module
        for part in str(node.target).split("."):
            found = getattr(found, part)
        if isinstance(found, torch.Tensor):
            known = self.graph.initializers.get(str(node.target))
            return known if known is not None else self.graph.weight(str(node.target), found)
        return found

    # ---- calls -------------------------------------------------------------------------------------------------------

    def _call(self, node: torch.fx.Node) -> None:
        target: Any = node.target
        result = node.meta.get("val")
        if target is operator.getitem:
            source, index = node.args
            self.values[node] = self.value(source)[index]  # type: ignore[arg-type]
        elif isinstance(target, HigherOrderOperator):
            from lading.passes.trace.exported.regions import call_region

            self.values[node] = call_region(self, node)
        elif target in _PROMISES:
            self._promise(node)
        elif not isinstance(target, torch._ops.OpOverload):
            self.values[node] = self._number(node, result)
        elif target._schema.name.partition("::")[2].startswith(_NAMESPACES_OF_CHECKS):
            self.values[node] = None
        elif isinstance(result, _SYMBOLIC) and self._computable(result):
            self.values[node] = result
        elif target in _TRANSPARENT:
            self.values[node] = self.value(node.args[0])  # type: ignore[arg-type]
        else:
            self._operator(node, target, result)

    def _operator(self, node: torch.fx.Node, target: Any, result: Any) -> None:
        written = None
        if target._schema.is_mutable:
            written = node.args[0]
            target = functional_form(target)
        args = torch.fx.map_arg(node.args, self._argument)
        kwargs = torch.fx.map_arg(node.kwargs, self._argument)
        if target in STRIDED:
            args, kwargs = self._by_place_in_memory(node, target, args, kwargs), {}
        value = self.graph.call(target, args, kwargs, result)
        if isinstance(written, torch.fx.Node):
            written = self._same.get(written, written)
            self.values[written] = value
            self._same[node] = written
        else:
            self.values[node] = value

    def _by_place_in_memory(
        self, node: torch.fx.Node, target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        tensor = node.args[0].meta["val"]  # type: ignore[union-attr]
        call = strided_call(target, tensor, args, kwargs, lambda: line_of(node))
        if call.order is None:
            return call.args
        permuted = self.graph.call(_aten.permute.default, (args[0], list(call.order)), {}, tensor.permute(call.order))
        return (held(permuted), *call.args[1:])

    def _computable(self, number: Any) -> bool:
        expression = self.graph.sizes.expression(number)
        return all(self.graph.arithmetic.knows(symbol) for symbol in expression.free_symbols)

    def _number(self, node: torch.fx.Node, result: Any) -> Any:
        if isinstance(result, (*_SYMBOLIC, int, float, bool)):
            # Numbers are computed from their expressions, where they are needed.
            return result
        raise CaptureError(
            f"an exported program calls {getattr(node.target, '__name__', node.target)}, which is no operator",
            where=line_of(node) or None,
        )

    def _promise(self, node: torch.fx.Node) -> None:
        self.values[node] = None
        if node.target is _aten._assert_scalar.default:
            condition = node.args[0]
            number = condition.meta.get("val") if isinstance(condition, torch.fx.Node) else condition
            if isinstance(number, torch.SymBool):
                self.graph.sizes.rely(self.graph.sizes.expression(number), line_of(node))


def _as_arguments(value: Any) -> Any:
    if isinstance(value, ir.Value):
        return held(value)
    if isinstance(value, (list, tuple)):
        return [_as_arguments(item) for item in value]
    if isinstance(value, _SYMBOLIC):
        expression = value.node.expr
        if expression.is_number and isinstance(value, torch.SymInt):
            return int(expression)
    return value
