# SPDX-License-Identifier: Apache-2.0
"""What PyTorch computes for each value of a graph in the ATen dialect: its operators are called one after another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
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
        is_constant: whether it depends on no input, so that a pass may have stored what it gives.
    """

    operator: str
    numbers: tuple[int, ...]
    origin: Origin
    sources: tuple[int, ...]
    results: tuple[torch.Tensor | None, ...]
    outputs: tuple[int | None, ...]
    why_unknown: str | None = None
    is_number: bool = False
    is_constant: bool = False


UNROLLED = 64
"""How many iterations of a loop are kept with what each of its operators gave."""


@attrs.define
class EagerGraph:
    """A graph of the ATen dialect, run in PyTorch.

    Attributes:
        nodes: its operators in the order in which they ran, without those that only make lists. Those in the branch
            that an If took, in the iterations of a Loop (the first ones of many), and in functions stand before the
            node that has them, once for each run.
        values: what each value came to in the end; numbers are Python's.
    """

    nodes: list[EagerNode] = attrs.field(factory=list)
    values: dict[ir.Value, Any] = attrs.field(factory=dict)


def run_eagerly(
    graph: ir.Graph, inputs: Mapping[str, torch.Tensor], functions: Iterable[ir.Function] = ()
) -> EagerGraph:
    """Call the operators of a graph of the ATen dialect in order.

    What an operator gives is unknown where it cannot be called by itself (it is none of PyTorch's, or has no
    implementation), and so is what depends on it.

    Args:
        graph: the graph, before lowering.
        inputs: a tensor for each input of the graph that is no weight, by name.
        functions: what the graph may call.
    """
    runner = _Runner(graph, functions)
    for value in graph.inputs:
        if value.name and value.name in inputs:
            runner.values[value] = inputs[value.name].detach()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for node in graph:
            # What is not known is on record.
            with contextlib.suppress(NoValue):
                runner.run(node)
    return runner.found


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
    """Values by graph value; bodies of control flow are run over the same table.

    Attributes:
        found: what has run so far.
        places: the operators that a value comes from, by their place among those that have run.
    """

    def __init__(self, graph: ir.Graph, functions: Iterable[ir.Function]) -> None:
        self.found = EagerGraph()
        self.values = self.found.values
        self.places: dict[ir.Value, tuple[int, ...]] = {}
        self._functions = {function.identifier(): function for function in functions}
        self._wanted = {value: index for index, value in reversed(list(enumerate(graph.outputs)))}
        self._fixed: set[ir.Value] = set()
        self._is_kept = True

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
        """Call one node, and keep what it gives and that it has run.

        Raises:
            NoValue: it cannot be called.
        """
        read = [place for value in values_read(node) for place in self.places.get(value, ())]
        sources = tuple(dict.fromkeys(read))
        if is_dialect_list(node):
            self.places[node.outputs[0]] = sources
            return
        why: NoValue | None = None
        try:
            for output, result in zip(node.outputs, self._results(node), strict=False):
                if result is not None:
                    self.values[output] = result
        except NoValue as reason:
            why = reason
        if all(self._is_fixed(value) for value in values_read(node)):
            self._fixed.update(node.outputs)
        else:
            self._fixed.difference_update(node.outputs)
        if self._is_kept:
            self._keep(node, sources, why)
        if why is not None:
            raise why

    def _is_fixed(self, value: ir.Value) -> bool:
        return value in self._fixed or value.const_value is not None

    def _keep(self, node: ir.Node, sources: tuple[int, ...], why: NoValue | None) -> None:
        origin = origin_of(node) or NOWHERE
        overload = f".{node.overload}" if node.overload else ""
        for output in node.outputs:
            self.places[output] = (len(self.found.nodes),)
        given = [self.values.get(output) for output in node.outputs]
        self.found.nodes.append(
            EagerNode(
                operator=f"{node.domain}::{node.op_type}{overload}",
                numbers=origin.numbers,
                origin=origin,
                sources=sources,
                results=tuple(
                    _as_tensor(value) if _is_read(output) else None
                    for output, value in zip(node.outputs, given, strict=True)
                ),
                outputs=tuple(self._wanted.get(output) for output in node.outputs),
                why_unknown=None if why is None else str(why),
                is_number=why is None and not any(isinstance(value, torch.Tensor) for value in given),
                is_constant=all(output in self._fixed for output in node.outputs),
            )
        )

    def _results(self, node: ir.Node) -> list[Any]:
        if is_sequence_operator(node):
            return [self._sequence(node)]
        if is_control_flow(node):
            return self._if(node) if node.op_type == IF else self._loop(node)
        function = self._functions.get(node.op_identifier())
        if function is None:
            return self._call(node)
        if function.attributes:
            raise NoValue("it calls a function with attributes")
        return self._body(function, [None if value is None else self.of(value) for value in node.inputs], node.inputs)

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

    def _body(
        self, graph: ir.Graph | ir.Function, given: Sequence[Any], given_by: Sequence[ir.Value | None]
    ) -> list[Any]:
        places = [() if value is None else self.places.get(value, ()) for value in given_by]
        self.places.update(zip(graph.inputs, places, strict=True))
        self.values.update(zip(graph.inputs, given, strict=True))
        self._fixed.difference_update(graph.inputs)
        self._fixed.update(
            inner
            for inner, value in zip(graph.inputs, given_by, strict=True)
            if value is not None and self._is_fixed(value)
        )
        for node in graph:
            # A loop runs its body again: what an iteration before it has left is not to be read.
            for output in node.outputs:
                self.values.pop(output, None)
            self.run(node)
        return [self.of(value) for value in graph.outputs]

    def _if(self, node: ir.Node) -> list[Any]:
        taken = THEN_BRANCH if bool(self.of(node.inputs[0])) else ELSE_BRANCH
        return self._body(node.attributes[taken].as_graph(), (), ())

    def _loop(self, node: ir.Node) -> list[Any]:
        trips, condition, *carried = node.inputs
        limit = None if trips is None else int(self.of(trips))
        going = condition is None or bool(self.of(condition))
        body = node.attributes[BODY].as_graph()
        state = [self.of(value) for value in carried]
        given_by: Sequence[ir.Value | None] = carried
        stacked: list[list[Any]] = [[] for _ in range(len(node.outputs) - len(carried))]
        iteration = 0
        while going and (limit is None or iteration < limit):
            kept, self._is_kept = self._is_kept, self._is_kept and iteration < UNROLLED
            try:
                again, *results = self._body(
                    body, [torch.tensor(iteration), torch.tensor(True), *state], [None, None, *given_by]
                )
            finally:
                self._is_kept = kept
            given_by = body.outputs[1 : 1 + len(carried)]
            state = results[: len(carried)]
            for items, result in zip(stacked, results[len(carried) :], strict=True):
                items.append(_as_tensor(result))
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
