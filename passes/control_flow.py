# SPDX-License-Identifier: Apache-2.0
"""Control flow in the ATen dialect: `prim::If`, `prim::Loop` and sequences of tensors, written and recognised.

Both operators carry their bodies as graph attributes; a body reads values of the graphs around it by reference. The
layout is that of ONNX's If and Loop, so that lowering has nothing to rearrange (`docs/adr/0004`):

- `prim::If(condition)`, attributes `then_branch` and `else_branch`: graphs without inputs, with one output for each
  output of the node, in order.
- `prim::Loop(trip_count?, condition?, *carried)`, attribute `body`: a graph with the inputs (iteration, condition,
  *carried) and the outputs (condition, *carried, *stacked). The node's outputs are the carried values after the last
  iteration, then, stacked along a new first dimension, what each iteration gave.
- `prim::Sequence*`: a list of tensors whose length or shapes are known at run time only. Its value has a
  `ir.SequenceType` and no shape.

Every capture strategy builds these nodes with :func:`if_node`, :func:`loop_node` and :func:`sequence_node`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator, Sequence

import onnx_ir as ir

DOMAIN = "prim"
IF = "If"
LOOP = "Loop"
THEN_BRANCH = "then_branch"
ELSE_BRANCH = "else_branch"
BODY = "body"

SEQUENCE_OPERATORS = frozenset(
    {"SequenceConstruct", "SequenceInsert", "SequenceAt", "SequenceErase", "SequenceLength", "SequenceConcat",
     "SequenceStack", "SequenceSplit", "SequencePass"}
)  # fmt: skip
"""Operators on sequences, with the inputs of the ONNX operators that they are named after.

`SequenceConstruct(*tensors)`, `SequenceInsert(sequence, tensor, position?)`, `SequenceAt(sequence, position)`,
`SequenceErase(sequence, position)`, `SequenceLength(sequence)`, `SequenceConcat(sequence)` and
`SequenceStack(sequence)`
with the attribute `dim`, `SequenceSplit(tensor)`: the members of a tensor along its first dimension, and
`SequencePass(sequence)`: the sequence itself, where a body hands on what it has not made.
"""

INT = ir.TensorType(ir.DataType.INT64)
BOOL = ir.TensorType(ir.DataType.BOOL)


def is_control_flow(node: ir.Node | None) -> bool:
    """Whether a node of the ATen dialect carries bodies."""
    return node is not None and node.domain == DOMAIN and node.op_type in (IF, LOOP)


def is_sequence_operator(node: ir.Node | None) -> bool:
    """Whether a node of the ATen dialect works on a sequence of tensors."""
    return node is not None and node.domain == DOMAIN and node.op_type in SEQUENCE_OPERATORS


def bodies_of(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield the graphs that a node carries."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()


def values_read(node: ir.Node) -> Iterator[ir.Value]:
    """Yield what a node reads: its inputs, and what its bodies take from around it, at any depth."""
    yield from (value for value in node.inputs if value is not None)
    inside = dict.fromkeys(graph for body in bodies_of(node) for graph in (body, *body.subgraphs()))
    for graph in inside:
        for value in itertools.chain(graph.outputs, *(inner.inputs for inner in graph)):
            if value is not None and value.graph not in inside:
                yield value


def like(value: ir.Value) -> ir.Value:
    """Return a new value of the type and the shape of another."""
    return ir.Value(type=value.type, shape=value.shape)


class BodyNames:
    """Names for the values at the border of bodies, each used once in a capture."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def take(self, kind: str) -> str:
        """Return a name that has not been used: `then_0`, `carried_1`, ..."""
        return f"{kind}_{next(self._numbers)}"


def forget(nodes: Sequence[ir.Node]) -> None:
    """Take nodes that will not be part of any graph out of the uses of what they read, their bodies included."""
    for node in nodes:
        for body in bodies_of(node):
            forget(list(body))
        for index in range(len(node.inputs)):
            node.replace_input_with(index, None)


def distinct_outputs(
    values: Sequence[ir.Value], made: Container[ir.Value], again: Callable[[ir.Value], ir.Value]
) -> list[ir.Value]:
    """Return values as the outputs of a graph may be: each once, and made in it.

    Args:
        values: what is to be given.
        made: what the nodes of the graph make.
        again: makes another value that equals one.
    """
    outputs: dict[ir.Value, None] = {}
    for value in values:
        outputs[value if value in made and value not in outputs else again(value)] = None
    return list(outputs)


def body_graph(
    inputs: Sequence[ir.Value], outputs: Sequence[ir.Value], nodes: Sequence[ir.Node], name: str
) -> ir.Graph:
    """Close a body over its nodes; `inputs` and `outputs` have dtype and shape."""
    return ir.Graph(inputs, outputs, nodes=nodes, name=name)


def if_node(condition: ir.Value, then_branch: ir.Graph, else_branch: ir.Graph, outputs: Sequence[ir.Value]) -> ir.Node:
    """Return a choice between two bodies.

    Args:
        condition: a bool of rank 0 (or a tensor of one element).
        then_branch: the body that runs where it holds, without inputs.
        else_branch: the other one, with as many outputs of the same types.
        outputs: the values of the node, with dtype and shape: what both bodies have in common.
    """
    if not len(then_branch.outputs) == len(else_branch.outputs) == len(outputs):
        raise ValueError(
            f"an If has {len(outputs)} outputs, and its branches {len(then_branch.outputs)} and "
            f"{len(else_branch.outputs)}"
        )
    attributes = [ir.AttrGraph(THEN_BRANCH, then_branch), ir.AttrGraph(ELSE_BRANCH, else_branch)]
    return ir.Node(DOMAIN, IF, [condition], attributes, outputs=outputs)


def loop_node(
    trip_count: ir.Value | None,
    condition: ir.Value | None,
    carried: Sequence[ir.Value],
    body: ir.Graph,
    outputs: Sequence[ir.Value],
) -> ir.Node:
    """Return a loop.

    Args:
        trip_count: an int64 of rank 0, or None for no bound.
        condition: whether the first iteration runs, a bool of rank 0; None for yes.
        carried: the state before the first iteration.
        body: one iteration: (iteration, condition, *carried) to (condition, *carried, *stacked).
        outputs: the values of the node, with dtype and shape.
    """
    if len(body.inputs) != 2 + len(carried):
        raise ValueError(f"a Loop carries {len(carried)} values, and its body takes {len(body.inputs) - 2}")
    if len(body.outputs) != 1 + len(outputs) or len(outputs) < len(carried):
        raise ValueError(f"a Loop has {len(outputs)} outputs, and its body gives {len(body.outputs) - 1}")
    return ir.Node(DOMAIN, LOOP, [trip_count, condition, *carried], [ir.AttrGraph(BODY, body)], outputs=outputs)


def sequence_node(
    op_type: str, inputs: Sequence[ir.Value | None], output: ir.Value, *, dim: int | None = None
) -> ir.Node:
    """Return an operator on a sequence; `dim` is stated for `SequenceConcat` and `SequenceStack` only."""
    if op_type not in SEQUENCE_OPERATORS:
        raise ValueError(f"{op_type} is no operator on sequences")
    attributes = [] if dim is None else [ir.AttrInt64("dim", dim)]
    return ir.Node(DOMAIN, op_type, inputs, attributes, outputs=[output])
