# SPDX-License-Identifier: Apache-2.0
"""Small edits and questions that several tidy-up passes share, on an ONNX-dialect graph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import onnx_ir as ir

NON_DETERMINISTIC = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
"""Operators of the default domain that may give another result each time they run, whatever their attributes are."""


def subgraphs_of(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield the graphs that are attributes of `node`, in attribute order."""
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.value
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.value


def with_subgraphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield `graph` and every graph nested in it, outer before inner."""
    yield graph
    for node in graph:
        for inner in subgraphs_of(node):
            yield from with_subgraphs(inner)


def all_graphs(model: ir.Model) -> Iterator[ir.Graph]:
    """Yield every graph of the model: the main graph, then the bodies of its functions, each with nested graphs."""
    yield from with_subgraphs(model.graph)
    for function in model.functions.values():
        yield from with_subgraphs(function.graph)


def symbols_of(graph: ir.Graph) -> set[str]:
    """Return the names of symbolic sizes in a graph and in those nested in it."""
    values: list[ir.Value] = []
    for each in with_subgraphs(graph):
        values.extend(each.inputs)
        values.extend(value for node in each for value in node.outputs)
    return {dim.value for value in values for dim in value.shape or () if not isinstance(dim, int) and dim.value}


def used_domains(model: ir.Model) -> set[str]:
    """Return the operator domains of all nodes, the default one as \"\"."""
    return {"" if node.domain == "ai.onnx" else node.domain for graph in all_graphs(model) for node in graph}


def is_non_deterministic(node: ir.Node) -> bool:
    """Whether two runs of `node` on the same inputs may differ: random numbers, or Dropout in training mode."""
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "Dropout":
        return not is_inference_dropout(node)
    return node.op_type in NON_DETERMINISTIC


def is_inference_dropout(node: ir.Node) -> bool:
    """Whether a Dropout passes its input through: before opset 12 always, from then on unless training_mode is set.

    Source of the rule: the ONNX operator specification, Dropout-7, -10, -12, -13 and -22.
    """
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    mode = constant_tensor(node.inputs[2])
    return mode is not None and not bool(mode.numpy().reshape(-1)[0])


def is_moved_statistic(value: ir.Value, functions: Mapping[ir.OperatorIdentifier, ir.Function]) -> bool:
    """Whether a BatchNormalization in training mode moves this running statistic, be it in one of the functions.

    Such a value is to stay apart from every other, equal or not: onnxruntime writes the moved statistic over it, and
    so over the scale or the shift if they are the same initializer.
    """
    for node, index in value.uses():
        function = functions.get(node.op_identifier())
        if function is not None:
            if is_moved_statistic(function.inputs[index], functions):
                return True
        elif (
            index in (3, 4)
            and node.op_type == "BatchNormalization"
            and node.domain in ("", "ai.onnx")
            and int_of(node, "training_mode", 0) != 0
        ):
            return True
    return False


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the tensor of a value that no caller of the model can change, or None.

    That is an initializer which is not also a graph input, or the output of a Constant node.
    """
    if value is None:
        return None
    producer = value.producer()
    if producer is None:
        return value.const_value if value.is_initializer() and not value.is_graph_input() else None
    return constant_of_node(producer) if is_constant(producer) else None


def is_constant(node: ir.Node) -> bool:
    """Whether a node is ONNX's Constant."""
    return node.op_type == "Constant" and node.domain in ("", "ai.onnx")


def constant_of_node(node: ir.Node) -> ir.TensorProtocol | None:
    """Return the tensor that a Constant node makes, or None for the forms that make no dense tensor."""
    import numpy as np

    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            return None
        if name == "value":
            return cast("ir.TensorProtocol", attribute.value)
        if name in ("value_float", "value_floats"):
            return ir.tensor(np.array(attribute.value, dtype=np.float32))
        if name in ("value_int", "value_ints"):
            return ir.tensor(np.array(attribute.value, dtype=np.int64))
    return None


def dims_of(tensor: ir.TensorProtocol) -> tuple[int, ...]:
    """Return the sizes of a tensor, which are all known."""
    return tuple(cast("Iterable[int]", tensor.shape))


def stated_bytes(value: ir.Value) -> int | None:
    """Return how many bytes a value takes, or None where its type or a size is not known."""
    if value.dtype is None or value.shape is None or not value.shape.is_static():
        return None
    return int(math.prod(value.shape.numpy()) * value.dtype.itemsize)


def int_of(node: ir.Node, name: str, default: int) -> int:
    """Return an integer attribute, or `default` where the node does not state it."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def float_of(node: ir.Node, name: str, default: float) -> float:
    """Return a float attribute, or `default` where the node does not state it."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def ints_of(node: ir.Node, name: str) -> list[int] | None:
    """Return an attribute that is a list of integers, or None where the node does not state it."""
    attribute = node.attributes.get(name)
    return None if attribute is None else list(attribute.as_ints())


def has_references(node: ir.Node) -> bool:
    """Whether an attribute is a parameter of the function that the node stands in, so that its value is not known."""
    return any(attribute.is_ref() for attribute in node.attributes.values())


def static_ints(value: ir.Value | None, *, at_most: int = 4096) -> list[int] | None:
    """Return the integers of a constant 0-d or 1-d value, or None if it is not a (small) integer constant."""
    tensor = constant_tensor(value)
    if tensor is None or not tensor.dtype.is_integer() or tensor.size > at_most or len(tensor.shape) > 1:
        return None
    return [int(item) for item in tensor.numpy().reshape(-1)]


def take_place(old: ir.Value, new: ir.Value) -> bool:
    """Let `new` serve every use of `old`, outputs included; return False, changing nothing, where it cannot.

    It cannot where `old` is a graph output and `new` is a graph input, an initializer, an output already, or made in
    another graph: the output's name is the user's and must stay on a value that this graph produces.
    """
    if old is new:
        return False
    if old.is_graph_output():
        producer = new.producer()
        if producer is None or producer.graph is not old.graph or new.is_graph_output():
            return False
        graph = old.graph
        assert graph is not None
        if list(graph.outputs).count(old) > 1:
            return False
        name = old.name
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        old.name = None
        new.name = name
        keep_knowledge(new, old)
        # A value's declared shape at the boundary is what the caller sees: capture's word on it comes first.
        if old.shape is not None:
            new.shape = old.shape
        return True
    old.replace_all_uses_with(new)
    keep_knowledge(new, old)
    return True


def keep_knowledge(new: ir.Value, old: ir.Value) -> None:
    """Give `new` the type and shape of `old` where it has none of its own."""
    if new.type is None:
        new.type = old.type
    if new.shape is None:
        new.shape = old.shape


def remove_node(node: ir.Node) -> None:
    """Take a node that nobody uses out of its graph."""
    graph = node.graph
    assert graph is not None
    graph.remove(node, safe=True)


def unused(values: Iterable[ir.Value]) -> bool:
    """Whether no value has a use or is a graph output."""
    return all(not value.uses() and not value.is_graph_output() for value in values)


class Names:
    """The names taken in a model, to make new ones that clash with none.

    Each name is counted: values of two bodies may bear the same one until the names pass has run.
    """

    def __init__(self, model: ir.Model) -> None:
        self._taken: Counter[str] = Counter()
        for graph in all_graphs(model):
            self._taken.update(value.name for value in graph.inputs if value.name)
            self._taken.update(list(graph.initializers))  # by name: a mapping would be taken for counts
            for node in graph:
                self._taken.update(value.name for value in node.outputs if value.name)

    def fresh(self, wanted: str) -> str:
        """Return `wanted`, or `wanted_1`, `wanted_2`, ... if it is taken, and take it."""
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken[name] += 1
        return name

    def release(self, name: str) -> None:
        """Make a name available again, because its value left the model."""
        self._taken[name] -= 1
        if self._taken[name] <= 0:
            del self._taken[name]
