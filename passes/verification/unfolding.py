# SPDX-License-Identifier: Apache-2.0
"""What a function call, an If or a Loop does, written out in its place for one run of the graph.

With the inputs of a run given, an If is the branch that it takes, and a Loop so many copies of its body. Written out
they compute the same for these inputs, and each of their values can be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

ITERATIONS = 64
"""Loops that run more often are not written out."""

_UNFOLDED = "lading.unfolded"
_COUNT = "lading.iterations"


class CannotUnfold(Exception):
    """Why a node cannot be written out: "it runs 4096 times"."""


@attrs.frozen
class Inside:
    """Something that was written out.

    Attributes:
        text: what it is, for people: "the then branch of /If".
        function: the function that was called, as the file identifies it; None for a body.
        call: the name of the node that calls it.
        iteration: which run of a loop's body it is, from 0; None for a branch or a call.
        iterations: how many of them there are.
    """

    text: str
    function: tuple[str, str, str] | None = None
    call: str = ""
    iteration: int | None = None
    iterations: int = 1


@attrs.frozen
class FileNode:
    """Which node of the file a node of an unfolded graph is.

    Attributes:
        scope: the name of the function that it stands in; "" for the main graph and the bodies in it.
        name: its name there.
        inside: what was written out to get to it, from the outermost on.
    """

    scope: str
    name: str
    inside: tuple[Inside, ...] = ()

    @property
    def shown(self) -> str:
        """Its name for people, as ``lading audit`` has it: names in a function begin with that of the function."""
        return f"{self.scope}:{self.name}" if self.scope else self.name


def file_node(node: ir.Node) -> FileNode:
    """Return which node of the file a node is."""
    known: FileNode | None = node.meta.get(_UNFOLDED)
    return known if known is not None else FileNode("", _name(node))


def _name(node: ir.Node) -> str:
    """The name of a node, or where it has none that of what it makes."""
    return node.name or next((value.name for value in node.outputs if value.name), node.op_type)


def infer_types(model: ir.Model) -> None:
    """Give a type to each value of the main graph that has none: files need not say those of inner values."""
    from onnx_ir.passes.common import ShapeInferencePass

    if any(value.type is None for node in model.graph for value in node.outputs if value.name):
        ShapeInferencePass()(model)


def can_be_unfolded(model: ir.Model, node: ir.Node) -> bool:
    """Whether a node is a function call, an If or a Loop."""
    return node.op_identifier() in model.functions or (node.domain == "" and node.op_type in ("If", "Loop"))


def border(model: ir.Model, node: ir.Node) -> str | None:
    """Return what hides the inside of a node, or None where nothing does."""
    if node.op_identifier() in model.functions:
        return "it calls a function of the file"
    if any(attribute.type.name in ("GRAPH", "GRAPHS") for attribute in node.attributes.values()):
        return f"it has bodies ({node.op_type})"
    return None


def unfold(model: ir.Model, node: ir.Node, got: Mapping[str, torch.Tensor], iterations: int = 0) -> ir.Model:
    """Return a copy of a model in which a node of the main graph is written out.

    Args:
        model: the model, which is left as it is.
        node: a function call, an If or a Loop of its main graph.
        got: what the run gives for values of the main graph, by name.
        iterations: how often a Loop runs.

    Raises:
        CannotUnfold: the condition of an If is not known, or a Loop runs too often or never.
    """
    place = list(model.graph).index(node)
    copy = model.clone()
    target = list(copy.graph)[place]
    return _Unfolding(copy, target, file_node(node)).written_out(got, iterations)


def count_iterations(model: ir.Model, node: ir.Node) -> tuple[ir.Model, str]:
    """Return a copy of a model with a further output that has a row for each iteration of a Loop, and its name."""
    import onnx_ir as ir

    place = list(model.graph).index(node)
    copy = model.clone()
    loop = list(copy.graph)[place]
    body = loop.attributes["body"].as_graph()
    counted = ir.node("Identity", [body.inputs[0]])
    counted.outputs[0].name = f"{_COUNT}.one"
    counted.outputs[0].type, counted.outputs[0].shape = ir.TensorType(ir.DataType.INT64), ir.Shape([])
    body.append(counted)
    body.outputs.append(counted.outputs[0])
    more = ir.Value(name=_COUNT, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([None]))
    again = ir.Node(
        loop.domain,
        loop.op_type,
        loop.inputs,
        list(loop.attributes.values()),
        outputs=[*(_free(value) for value in loop.outputs), more],
        name=loop.name,
    )
    copy.graph.insert_before(loop, again)
    for old, new in zip(loop.outputs, again.outputs, strict=False):
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    copy.graph.remove(loop, safe=True)
    copy.graph.outputs.append(more)
    return copy, _COUNT


def _free(value: ir.Value) -> ir.Value:
    import onnx_ir as ir

    return ir.Value(name=value.name, type=value.type, shape=value.shape)


class _Unfolding:
    """One node of a copy, to be written out."""

    def __init__(self, model: ir.Model, node: ir.Node, known: FileNode) -> None:
        self.model = model
        self.node = node
        self.known = known

    def written_out(self, got: Mapping[str, torch.Tensor], iterations: int) -> ir.Model:
        """Write it out."""
        if self.node.op_identifier() in self.model.functions:
            results = self._function(self.model.functions[self.node.op_identifier()])
        elif self.node.op_type == "If":
            results = self._if(got)
        else:
            results = self._loop(iterations)
        graph = self.model.graph
        for old, new in zip(self.node.outputs, results, strict=True):
            # An output of the graph keeps its name, and no value is two outputs.
            if old in graph.outputs and (new.producer() is None or new in graph.outputs):
                new = self._put(_node("Identity", [new]), "same").outputs[0]
            name, is_output = old.name, old in graph.outputs
            old.replace_all_uses_with(new, replace_graph_outputs=True)
            if is_output:
                old.name = None
                new.name, new.type, new.shape = name, old.type, old.shape
        graph.remove(self.node, safe=True)
        infer_types(self.model)
        return self.model

    def _function(self, function: ir.Function) -> list[ir.Value]:
        import onnx_ir as ir

        copy = function.clone()
        for node in copy.all_nodes():
            for name, attribute in list(node.attributes.items()):
                if not attribute.is_ref():
                    continue
                asked = attribute.ref_attr_name or ""
                own = self.node.attributes.get(asked) or function.attributes.get(asked)
                del node.attributes[name]
                if own is not None and own.value is not None:
                    node.attributes[name] = ir.Attr(name, own.type, own.value)
        text = f"function {function.name}, called as {self.known.shown}"
        where = Inside(text, function=function.identifier(), call=self.known.shown)
        given = [*self.node.inputs, *([None] * (len(copy.inputs) - len(self.node.inputs)))]
        return self._move(copy.graph, given, where, scope=function.name)

    def _if(self, got: Mapping[str, torch.Tensor]) -> list[ir.Value]:
        condition = self.node.inputs[0]
        assert condition is not None
        tensor = got.get(condition.name or "")
        if tensor is None and condition.const_value is not None:
            taken = bool(condition.const_value.numpy().reshape(-1)[0])
        elif tensor is not None:
            taken = bool(tensor.reshape(-1)[0])
        else:
            raise CannotUnfold("its condition is not known")
        branch = "then" if taken else "else"
        body = self.node.attributes[f"{branch}_branch"].as_graph().clone(allow_outer_scope_values=True)
        return self._move(body, [], Inside(f"the {branch} branch of {self.known.shown}"))

    def _loop(self, iterations: int) -> list[ir.Value]:
        if not 0 < iterations <= ITERATIONS:
            raise CannotUnfold(f"it runs {iterations} times")
        body = self.node.attributes["body"].as_graph()
        state: Sequence[ir.Value | None] = self.node.inputs[2:]
        going = self.node.inputs[1] or self._constant("going", True)
        stacked: list[list[ir.Value]] = [[] for _ in range(len(self.node.outputs) - len(state))]
        for number in range(iterations):
            text = f"iteration {number + 1} of {iterations} of {self.known.shown}"
            given = [self._constant(f"iteration.{number}", number), going, *state]
            where = Inside(text, iteration=number, iterations=iterations)
            going, *results = self._move(body.clone(allow_outer_scope_values=True), given, where)
            state = results[: len(state)]
            for items, result in zip(stacked, results[len(state) :], strict=True):
                items.append(result)
        carried = [value for value in state if value is not None]
        return [*carried, *(self._stack(items, number) for number, items in enumerate(stacked))]

    def _stack(self, items: list[ir.Value], number: int) -> ir.Value:
        opset = self.model.graph.opset_imports.get("", 1)
        rows = []
        for index, item in enumerate(items):
            if opset < 13:
                row = _node("Unsqueeze", [item], axes=[0])
            else:
                row = _node("Unsqueeze", [item, self._constant(f"axes.{number}.{index}", [0])])
            rows.append(self._put(row, f"row.{number}.{index}").outputs[0])
        return self._put(_node("Concat", rows, axis=0), f"stack.{number}").outputs[0]

    def _move(
        self,
        body: ir.Graph,
        given: Iterable[ir.Value | None],
        where: Inside,
        *,
        scope: str = "",
    ) -> list[ir.Value]:
        """Put the nodes of a body, which is a copy, before the node, with values given for its inputs."""
        graph = self.model.graph
        prefix = f"{_name(self.node)}>" if where.iteration is None else f"{_name(self.node)}>{where.iteration}>"
        for formal, actual in zip(body.inputs, given, strict=True):
            if actual is None:
                for use in list(formal.uses()):
                    use.node.replace_input_with(use.idx, None)
            else:
                formal.replace_all_uses_with(actual)
                for index, value in enumerate(body.outputs):
                    if value is formal:
                        body.outputs[index] = actual
        results = list(body.outputs)
        body.outputs.clear()
        for name, value in list(body.initializers.items()):
            del body.initializers[name]
            value.name = f"{prefix}{name}"
            graph.register_initializer(value)
        nodes = list(body)
        body.remove(nodes)
        for node in nodes:
            own = file_node(node)
            node.meta[_UNFOLDED] = FileNode(
                own.scope or scope or self.known.scope, own.name, (*self.known.inside, where)
            )
            node.name = f"{prefix}{_name(node)}"
            for value in node.outputs:
                value.name = f"{prefix}{value.name}" if value.name else None
                # Of all iterations and calls, where it has one.
                value.shape = None
            graph.insert_before(self.node, node)
        return results

    def _put(self, node: ir.Node, name: str) -> ir.Node:
        node.name = f"{_name(self.node)}>{name}"
        node.outputs[0].name = node.name
        node.meta[_UNFOLDED] = self.known
        self.model.graph.insert_before(self.node, node)
        return node

    def _constant(self, name: str, content: bool | int | list[int]) -> ir.Value:
        import numpy as np
        import onnx_ir as ir

        array = np.array(content, dtype=bool if isinstance(content, bool) else np.int64)
        tensor = ir.tensor(array)
        value = ir.Value(name=f"{_name(self.node)}>{name}", const_value=tensor)
        value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(array.shape)
        self.model.graph.register_initializer(value)
        return value


def _node(op_type: str, inputs: Sequence[ir.Value], **attributes: int | Sequence[int]) -> ir.Node:
    import onnx_ir as ir

    return ir.node(op_type, inputs, attributes)
