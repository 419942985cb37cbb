# SPDX-License-Identifier: Apache-2.0
"""A survey that is not taken anew is the one that would have been taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from lading.pipeline import surveyor
from lading.pipeline.fingerprint import survey
from lading.pipeline.surveyor import Surveyor
from support.fake_passes import chain_model


def whole() -> ir.Model:
    """A model with a weight, a body, a function, attributes of most kinds and a constant of no graph."""
    model = chain_model(weights=1)
    x = model.graph.inputs[0]
    inner = ir.node("Relu", [x], name="inner")
    inner.outputs[0].name = "inner_out"
    body = ir.Graph([], [inner.outputs[0]], nodes=[inner], name="body")
    condition = ir.Value(name="condition", type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([]))
    branch = ir.node("If", [condition], {"then_branch": body, "else_branch": body.clone(True)}, name="choice")
    branch.outputs[0].name = "chosen"
    branch.outputs[0].shape = ir.Shape(["batch", 5])
    branch.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    constant = ir.node("Constant", [], {"value": ir.tensor(np.float32(3))}, name="constant")
    listed = ir.Node("prim", "ListConstruct", [ir.Value(const_value=ir.tensor(np.int64(1)))], name="list")
    model.graph.inputs.append(condition)
    model.graph.extend([branch, constant, listed])
    fx = ir.Value(name="fx")
    act = ir.node("Elu", [fx], {"alpha": ir.RefAttr("alpha", "slope", ir.AttributeType.FLOAT)}, name="act")
    function = ir.Function(
        "my", "act", graph=ir.Graph([fx], act.outputs, nodes=[act], opset_imports={"": 18}), attributes=[]
    )
    model.functions[function.identifier()] = function
    model.graph[0].attributes.add(ir.AttrInt64s("axes", [1, 2]))
    return model


def node(model: ir.Model, name: str) -> ir.Node:
    return next(node for node in (*model.graph.all_nodes(), *all_of(model)) if node.name == name)


def all_of(model: ir.Model) -> list[ir.Node]:
    return [node for function in model.functions.values() for node in function]


def first(model: ir.Model) -> ir.Node:
    return model.graph[0]


def body(model: ir.Model) -> ir.Graph:
    return node(model, "choice").attributes["then_branch"].as_graph()


def _set(place: Callable[[ir.Model], Any], name: str, value: Any) -> Callable[[ir.Model], None]:
    return lambda model: setattr(place(model), name, value)


def _item(place: Callable[[ir.Model], Any], key: Any, value: Any) -> Callable[[ir.Model], None]:
    return lambda model: place(model).__setitem__(key, value)


CHANGES: dict[str, Callable[[ir.Model], None]] = {
    "a node's name": _set(first, "name", "other"),
    "an operator": _set(first, "op_type", "Abs"),
    "an overload": _set(first, "overload", "Tensor"),
    "a domain": _set(first, "domain", "my"),
    "a doc string": _set(first, "doc_string", "words"),
    "a value's name": _set(lambda m: first(m).outputs[0], "name", "other"),
    "a type in its place": _set(lambda m: node(m, "choice").outputs[0].type, "dtype", ir.DataType.FLOAT16),
    "a denotation": _set(lambda m: node(m, "choice").outputs[0].type, "denotation", "IMAGE"),
    "a type": _set(lambda m: first(m).outputs[0], "type", ir.SequenceType(ir.TensorType(ir.DataType.FLOAT))),
    "a size in its place": _item(lambda m: node(m, "choice").outputs[0].shape, 1, 6),
    "a large size in its place": _item(lambda m: node(m, "choice").outputs[0].shape, 1, 100_000),
    "a symbol in its place": _item(lambda m: node(m, "choice").outputs[0].shape, 0, "rows"),
    "a shape": _set(lambda m: first(m).outputs[0], "shape", ir.Shape([7])),
    "an input of a node": lambda m: node(m, "choice").replace_input_with(0, m.graph.inputs[0]),
    "a weight": _set(lambda m: m.graph.initializers["w0"], "const_value", ir.tensor(np.full([4], 7, np.float32))),
    "an opset": _item(lambda m: m.graph.opset_imports, "", 19),
    "the model's metadata": _item(lambda m: m.metadata_props, "lading.recipe", "x"),
    "the graph's metadata": _item(lambda m: m.graph.metadata_props, "key", "x"),
    "a node's metadata": _item(lambda m: first(m).metadata_props, "lading.module", "x"),
    "a value's metadata": _item(lambda m: first(m).outputs[0].metadata_props, "key", "x"),
    "an output more": lambda m: m.graph.outputs.append(first(m).outputs[0]),
    "an input more": lambda m: m.graph.inputs.append(ir.Value(name="more")),
    "a weight more": lambda m: m.graph.initializers.add(ir.Value(name="v", const_value=ir.tensor([1.0]))),
    "a node less": lambda m: m.graph.remove(node(m, "constant")),
    "the order of nodes": lambda m: m.graph.insert_after(node(m, "list"), node(m, "constant")),
    "an attribute": lambda m: first(m).attributes.add(ir.AttrFloat32("alpha", 0.5)),
    "an attribute's number": lambda m: first(m).attributes.add(ir.AttrInt64s("axes", [1, 3])),
    "an attribute's name": _set(lambda m: first(m).attributes["axes"], "name", "dims"),
    "a tensor of an attribute": lambda m: node(m, "constant").attributes.add(
        ir.AttrTensor("value", ir.tensor(np.float32(4)))
    ),
    "a body": lambda m: _set(lambda _: body(m)[0], "op_type", "Neg")(m),
    "a body's output": lambda m: body(m).outputs.append(body(m)[0].outputs[0]),
    "a function": _set(lambda m: all_of(m)[0], "op_type", "Neg"),
    "a function's attribute": lambda m: all_of(m)[0].attributes.add(ir.AttrFloat32("alpha", 2.0)),
    "a constant of no graph": _set(lambda m: node(m, "list").inputs[0], "const_value", ir.tensor(np.int64(2))),
    "the producer": _set(lambda m: m, "producer_name", "other"),
    "the IR version": _set(lambda m: m, "ir_version", 9),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_is_seen(what: str) -> None:
    model, looking = whole(), Surveyor()
    before = looking.look(model).hash
    CHANGES[what](model)
    assert before != survey(model).hash
    assert survey(model).hash == looking.look(model).hash


def test_a_graph_that_stayed_as_it_was_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    model, looking = whole(), Surveyor()
    before = looking.look(model)
    monkeypatch.setattr(surveyor, "survey", lambda _: pytest.fail("walked"))
    assert before is looking.look(model)


def test_what_may_change_in_its_place_is_walked_each_time() -> None:
    model, looking = whole(), Surveyor()
    held = ir.TensorType(ir.DataType.FLOAT)
    first(model).outputs[0].type = ir.SequenceType(held)
    before = looking.look(model).hash
    held.dtype = ir.DataType.FLOAT16
    assert before != looking.look(model).hash


def test_no_model_after_one_is_nothing() -> None:
    looking = Surveyor()
    looking.look(whole())
    assert "" == looking.look(None).hash
