# SPDX-License-Identifier: Apache-2.0
"""What PyTorch computes for each value of a graph in the ATen dialect: its operators are called one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import onnx_ir as ir
import torch

from ...pipeline.origin import NOWHERE, Origin, origin_of
from ..control_flow import BODY, ELSE_BRANCH, IF, THEN_BRANCH, is_control_flow, is_sequence_operator, values_read
from ..dialect import bind, find_overload, is_dialect_list
from ..trace.custom_operators import NAMESPACE, kept_function
from .runtimes import from_numpy


class NoValue(Exception):
    """Why an operator of the dialect cannot be called by itself; half a sentence."""


@attrs.frozen(eq=False)
class EagerNode:
    """One operator of the graph, with what it gave.

    Attributes:
        operator: the name of its schema: "aten::add.Tensor".
        numbers: the number of its node in the run that captured it, if it has one.
        origin: the module and the line that called it.
        sources: the operators whose results it reads, by their place in the graph.
        results: what it gave, in order; None where nothing is known, or where it is no tensor.
        outputs: for each result, its place among the outputs of the graph, or None.
        why_unknown: why it could not be called, or None.
        is_number: whether it computes with sizes alone.
    """

    operator: str
    numbers: tuple[int, ...]
    origin: Origin
    sources: tuple[int, ...]
    results: tuple[torch.Tensor | None, ...]
    outputs: tuple[int | None, ...]
    why_unknown: str | None = None
    is_number: bool = False


@attrs.define
class EagerGraph:
    """A graph of the ATen dialect, run in PyTorch.

    Attributes:
        nodes: its operators in order, without those that only make lists.
        values: what each value came to; numbers are Python's.
    """

    nodes: list[EagerNode] = attrs.field(factory=list)
    values: dict[ir.Value, Any] = attrs.field(factory=dict)


def run_eagerly(graph: ir.Graph, inputs: Mapping[str, torch.Tensor]) -> EagerGraph:
    """Call the operators of a graph of the ATen dialect in order.

    What an operator gives is unknown where it cannot be called by itself (it is none of PyTorch's, or has no
    implementation), and so is what depends on it.

    Args:
        graph: the graph, before lowering.
        inputs: a tensor for each input of the graph that is no weight, by name.
    """
    runner = _Runner()
    values = runner.values
    for value in graph.inputs:
        if value.name and value.name in inputs:
            values[value] = inputs[value.name].detach()
    found = EagerGraph(values=values)
    places: dict[ir.Value, tuple[int, ...]] = {}
    wanted = {value: index for index, value in reversed(list(enumerate(graph.outputs)))}
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for node in graph:
            why = None
            try:
                runner.run(node)
            except NoValue as reason:
                why = str(reason)
            sources = tuple(dict.fromkeys(place for value in values_read(node) for place in places.get(value, ())))
            if is_dialect_list(node):
                places[node.outputs[0]] = sources
                continue
            for output in node.outputs:
                places[output] = (len(found.nodes),)
            origin = origin_of(node) or NOWHERE
            overload = f".{node.overload}" if node.overload else ""
            found.nodes.append(
                EagerNode(
                    operator=f"{node.domain}::{node.op_type}{overload}",
                    numbers=origin.numbers,
                    origin=origin,
                    sources=sources,
                    results=tuple(
                        _as_tensor(values.get(output)) if _is_read(output) else None for output in node.outputs
                    ),
                    outputs=tuple(wanted.get(output) for output in node.outputs),
                    why_unknown=why,
                    is_number=why is None and not any(isinstance(values.get(o), torch.Tensor) for o in node.outputs),
                )
            )
    return found


def constant_tensor(value: ir.Value) -> torch.Tensor | None:
    """Return the tensor that a weight or constant of a graph holds."""
    return None if value.const_value is None else from_numpy(value.const_value.numpy())


def _called(overload: Any, given: Mapping[str, Any]) -> Any:
    try:
        return overload(**given)
    except RuntimeError:
        # A view asks for strides that what made its input here need not have given it.
        contiguous = {name: _contiguous(value) for name, value in given.items()}
        return overload(**contiguous)


def _contiguous(value: Any) -> Any:
    if isinstance(value, list):
        return [_contiguous(item) for item in value]
    return value.contiguous() if isinstance(value, torch.Tensor) else value


def _is_read(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def _as_tensor(value: Any) -> torch.Tensor | None:
    if isinstance(value, torch.Tensor):
        return value
    return torch.tensor(value) if isinstance(value, (bool, int, float)) else None


class _Runner:
    """Values by graph value; bodies of control flow are run over the same table."""

    def __init__(self) -> None:
        self.values: dict[ir.Value, Any] = {}

    def of(self, value: Any) -> Any:
        """Return what an argument as `bind` gives it came to.

        Raises:
            NoValue: it is not known.
        """
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if not isinstance(value, ir.Value):
            return value
        if value in self.values:
            return self.values[value]
        tensor = constant_tensor(value)
        if tensor is None:
            raise NoValue(f"what it reads, {value.name or 'a value'}, is not known")
        self.values[value] = tensor
        return tensor

    def number(self, value: Any) -> Any:
        """Return an argument that is a number or a list of numbers, as Python's."""
        if isinstance(value, list):
            return [self.number(item) for item in value]
        known = self.of(value)
        return known.item() if isinstance(known, torch.Tensor) and isinstance(value, ir.Value) else known

    def run(self, node: ir.Node) -> None:
        """Call one node, and keep what it gives.

        Raises:
            NoValue: it cannot be called.
        """
        if is_dialect_list(node):
            return
        if is_sequence_operator(node):
            results = [self._sequence(node)]
        elif is_control_flow(node):
            results = self._if(node) if node.op_type == IF else self._loop(node)
        else:
            results = self._call(node)
        for output, result in zip(node.outputs, results, strict=False):
            if result is not None:
                self.values[output] = result

    def _call(self, node: ir.Node) -> list[Any]:
        try:
            bound = bind(node)
            overload = find_overload(node.domain, node.op_type, node.overload)
            function = kept_function(node.op_type) if node.domain == NAMESPACE else None
        except (LookupError, TypeError) as error:
            raise NoValue(str(error)) from error
        positional = iter(bound.positional)
        given: dict[str, Any] = {}
        for parameter in bound.schema.parameters:
            if parameter.is_tensor:
                tensor = self.of(next(positional))
                given[parameter.name] = torch.tensor(tensor) if isinstance(tensor, (bool, int, float)) else tensor
            elif not parameter.ambient:
                given[parameter.name] = self.number(bound.keywords[parameter.name])
        try:
            result = _called(overload, given) if function is None else function.apply(*given.values())
        except Exception as error:
            first = (str(error).splitlines() or [""])[0].partition(". ")[0]
            raise NoValue(f"PyTorch does not call it by itself: {type(error).__name__}: {first}") from error
        flat: list[Any] = []
        for item in result if isinstance(result, (tuple, list)) else (result,):
            flat.extend(item if isinstance(item, (tuple, list)) else (item,))
        return flat

    def _body(self, graph: ir.Graph, given: Sequence[Any]) -> list[Any]:
        self.values.update(zip(graph.inputs, given, strict=True))
        for node in graph:
            # A loop runs its body again: what an iteration before it has left is not to be read.
            for output in node.outputs:
                self.values.pop(output, None)
            self.run(node)
        return [self.of(value) for value in graph.outputs]

    def _if(self, node: ir.Node) -> list[Any]:
        taken = THEN_BRANCH if bool(self.of(node.inputs[0])) else ELSE_BRANCH
        return self._body(node.attributes[taken].as_graph(), ())

    def _loop(self, node: ir.Node) -> list[Any]:
        trips, condition, *carried = node.inputs
        limit = None if trips is None else int(self.of(trips))
        going = condition is None or bool(self.of(condition))
        body = node.attributes[BODY].as_graph()
        state = [self.of(value) for value in carried]
        stacked: list[list[Any]] = [[] for _ in range(len(node.outputs) - len(carried))]
        iteration = 0
        while going and (limit is None or iteration < limit):
            again, *results = self._body(body, [torch.tensor(iteration), torch.tensor(True), *state])
            state = results[: len(carried)]
            for kept, result in zip(stacked, results[len(carried) :], strict=True):
                kept.append(_as_tensor(result))
            going = bool(again)
            iteration += 1
        return [*state, *(torch.stack(items) if items else None for items in stacked)]

    def _sequence(self, node: ir.Node) -> Any:
        given: list[Any] = [None if value is None else self.of(value) for value in node.inputs]
        kind = node.op_type
        if kind == "SequenceConstruct":
            return list(given)
        if kind == "SequenceSplit":
            return list(given[0].unbind(0))
        items = list(given[0])
        position: Any = given[-1] if len(given) > 1 else None
        if kind == "SequenceInsert":
            at = len(items) if len(given) < 3 or given[2] is None else int(given[2])
            return [*items[:at], given[1], *items[at:]]
        if kind == "SequenceAt":
            return items[int(position)]
        if kind == "SequenceErase":
            del items[-1 if position is None else int(position)]
            return items
        if kind == "SequenceLength":
            return len(items)
        if kind == "SequencePass":
            return items
        dim = node.attributes["dim"].as_int() if "dim" in node.attributes else 0
        return torch.cat(items, dim) if kind == "SequenceConcat" else torch.stack(items, dim)
