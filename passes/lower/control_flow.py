# SPDX-License-Identifier: Apache-2.0
"""Lowering of `prim::If`, `prim::Loop` and sequences: the bodies are lowered by the same walk as the graph itself.

ONNX has If and Loop at every opset from 7 on, Sequence operators from 11 on, and sequences through If and Loop from 13
on. A constant that a body needs is an initializer of the main graph, which a body may read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from ...pipeline.errors import InternalError
from ...pipeline.origin import origin_of
from ..control_flow import BODY, ELSE_BRANCH, IF, THEN_BRANCH
from .emitter import Emitter
from .inexpressible import Inexpressible
from .session import Session

Walk = Callable[[Sequence[ir.Node]], list[ir.Node]]
"""Lowers the nodes of a body in order; what they become is in the session's values."""

Close = Callable[[Sequence[ir.Value], list[ir.Node]], list[ir.Value]]
"""Gives the outputs of a body as distinct values that its nodes make."""

SEQUENCES_IN_BODIES = 13
SHAPES_MAY_DIFFER = 11


def lower_control_flow(
    session: Session, node: ir.Node, walk: Walk, close: Close
) -> tuple[list[ir.Node], list[ir.Value | None]]:
    """Lower a node with bodies.

    Returns:
        The ONNX nodes in order, and the value that each output becomes.

    Raises:
        Inexpressible: the target opset cannot pass what the node carries.
    """
    nodes: list[ir.Node] = []
    op = Emitter(session, nodes, origin=origin_of(node))
    if session.opset < SEQUENCES_IN_BODIES and any(_is_sequence(value) for value in (*node.inputs, *node.outputs)):
        raise Inexpressible(f"a list that changes inside a {node.op_type} needs opset {SEQUENCES_IN_BODIES}")
    if node.op_type == IF:
        results = _lower_if(op, session, node, walk, close)
    else:
        results = _lower_loop(op, session, node, walk, close)
    for output, result in zip(node.outputs, results, strict=True):
        result.type, result.shape = output.type, output.shape
    return nodes, list(results)


def _is_sequence(value: ir.Value | None) -> bool:
    return value is not None and isinstance(value.type, ir.SequenceType)


def _lower_if(op: Emitter, session: Session, node: ir.Node, walk: Walk, close: Close) -> Sequence[ir.Value]:
    condition = op.scalar(_lowered(session, node.inputs[0]), ir.DataType.BOOL)
    branches = {}
    for name in (THEN_BRANCH, ELSE_BRANCH):
        body = node.attributes[name].as_graph()
        graph = _lowered_body(session, body, [], walk, close)
        if session.opset < SHAPES_MAY_DIFFER:
            _hide_shapes(session, graph, node, condition, name == THEN_BRANCH)
        branches[name] = graph
    return _several(op.If(condition, **branches, outputs=len(node.outputs)))


def _hide_shapes(session: Session, graph: ir.Graph, node: ir.Node, condition: ir.Value, taken: bool) -> None:
    """Keep a runtime from telling the sizes of a branch that differ from the other's.

    Before If 11 the branches must agree in shape, and onnxruntime holds a file to that as far as it can tell. So a
    result is given its own shape once more, times one: a one that is computed from the condition.
    """
    nodes: list[ir.Node] = []
    op = Emitter(session, nodes, origin=origin_of(node))
    for index, (value, outside) in enumerate(zip(graph.outputs, node.outputs, strict=True)):
        if outside.shape is None or value.shape is None or all(isinstance(dim, int) for dim in outside.shape):
            continue
        one = op.cast(condition if taken else op.Not(condition), ir.DataType.INT64)
        hidden = op.Reshape(value, op.Mul(op.Shape(value), one))
        hidden.type, hidden.shape = value.type, outside.shape
        hidden.name, value.name = value.name, f"{value.name}_shown"
        graph.outputs[index] = hidden
    graph.extend(nodes)


def _lower_loop(op: Emitter, session: Session, node: ir.Node, walk: Walk, close: Close) -> Sequence[ir.Value]:
    trip_count, condition, *carried = node.inputs
    initial: list[ir.Value] = []
    body = node.attributes[BODY].as_graph()
    for value, inside in zip(carried, body.inputs[2:], strict=True):
        start = _lowered(session, value)
        if not _is_sequence(inside):
            if inside.shape is not None and len(inside.shape) == 0:
                start = op.scalar(start, inside.dtype or ir.DataType.INT64)
            elif inside.dtype is not None:
                start = op.cast(start, inside.dtype)
        initial.append(start)
    inputs = [ir.Value(name=old.name, type=old.type, shape=old.shape) for old in body.inputs]
    graph = _lowered_body(session, body, inputs, walk, close)
    going = None if condition is None else op.scalar(_lowered(session, condition), ir.DataType.BOOL)
    if going is None and not initial:
        going = op.const(True, ir.DataType.BOOL)  # the schema wants two inputs, be they empty
    made = op.Loop(
        None if trip_count is None else op.scalar(_lowered(session, trip_count), ir.DataType.INT64),
        going,
        *initial,
        body=graph,
        outputs=len(node.outputs),
    )
    return _several(made)


def _lowered_body(session: Session, body: ir.Graph, inputs: list[ir.Value], walk: Walk, close: Close) -> ir.Graph:
    session.values.update(zip(body.inputs, inputs, strict=True))
    old_nodes, old_outputs = list(body), list(body.outputs)
    nodes = walk(old_nodes)
    outputs = close(old_outputs, nodes)
    return ir.Graph(inputs, outputs, nodes=nodes, name=body.name)


def _lowered(session: Session, value: ir.Value | None) -> ir.Value:
    if value is None:
        raise InternalError("a control-flow node lacks an input that it needs")
    found = session.values.get(value, value)
    if found is None:
        raise InternalError(f"the value {value.name} is used, and nothing made it")
    return found  # type: ignore[no-any-return]


def _several(made: Any) -> Sequence[ir.Value]:
    return made if isinstance(made, tuple) else (made,)


# ---- sequences -------------------------------------------------------------------------------------------------------


def lower_sequence_operator(session: Session, node: ir.Node) -> tuple[list[ir.Node], list[ir.Value | None]]:
    """Lower an operator on a sequence of tensors.

    Raises:
        Inexpressible: the target opset has no sequences.
    """
    nodes: list[ir.Node] = []
    op = Emitter(session, nodes, origin=origin_of(node))
    inputs = [None if value is None else _lowered(session, value) for value in node.inputs]
    result = _SEQUENCE_LOWERINGS[node.op_type](op, node, inputs)
    output = node.outputs[0]
    result.type, result.shape = output.type, output.shape
    return nodes, [result]


def _element(value: ir.Value) -> ir.DataType:
    if not isinstance(value.type, ir.SequenceType):
        raise InternalError(f"{value.name or 'a value'} is no sequence")
    return value.type.dtype


def _construct(op: Emitter, node: ir.Node, inputs: list[Any]) -> ir.Value:
    element = _element(node.outputs[0])
    if not inputs:
        return op.SequenceEmpty(dtype=int(element))  # type: ignore[no-any-return]
    return op.SequenceConstruct(*(op.cast(value, element) for value in inputs))  # type: ignore[no-any-return]


def _insert(op: Emitter, node: ir.Node, inputs: list[Any]) -> ir.Value:
    sequence, tensor, *position = inputs
    place = [op.scalar(position[0])] if position and position[0] is not None else []
    return op.SequenceInsert(sequence, op.cast(tensor, _element(node.outputs[0])), *place)  # type: ignore[no-any-return]


def _at(op: Emitter, node: ir.Node, inputs: list[Any]) -> ir.Value:
    return op.SequenceAt(inputs[0], op.scalar(inputs[1]))  # type: ignore[no-any-return]


def _erase(op: Emitter, node: ir.Node, inputs: list[Any]) -> ir.Value:
    return op.SequenceErase(inputs[0], op.scalar(inputs[1]))  # type: ignore[no-any-return]


def _length(op: Emitter, node: ir.Node, inputs: list[Any]) -> ir.Value:
    return op.SequenceLength(inputs[0])  # type: ignore[no-any-return]


def _joined(new_axis: int) -> Callable[[Emitter, ir.Node, list[Any]], ir.Value]:
    def joined(op: Emitter, node: ir.Node, inputs: list[Any]) -> ir.Value:
        axis = node.attributes["dim"].as_int()
        return op.ConcatFromSequence(inputs[0], axis=axis, new_axis=new_axis)  # type: ignore[no-any-return]

    return joined


def _split(op: Emitter, node: ir.Node, inputs: list[Any]) -> ir.Value:
    return op.SplitToSequence(inputs[0], None, axis=0, keepdims=0)  # type: ignore[no-any-return]


def _pass(op: Emitter, node: ir.Node, inputs: list[Any]) -> ir.Value:
    return op.Identity(inputs[0])  # type: ignore[no-any-return]


_SEQUENCE_LOWERINGS: dict[str, Callable[[Emitter, ir.Node, list[Any]], ir.Value]] = {
    "SequenceConstruct": _construct,
    "SequenceInsert": _insert,
    "SequenceAt": _at,
    "SequenceErase": _erase,
    "SequenceLength": _length,
    "SequenceConcat": _joined(0),
    "SequenceStack": _joined(1),
    "SequenceSplit": _split,
    "SequencePass": _pass,
}
