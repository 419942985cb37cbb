# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from lading.passes.outlining.function_borders import drop_dead_borders
from lading.pipeline.note import Note

IMPORTS = '<ir_version: 8, opset_import: ["" : 18, "m" : 1]>\n'
FUNCTION = '\n<domain: "m", opset_import: ["" : 18]> '


def tidied(main, function):
    model = ir.from_proto(onnx.parser.parse_model(IMPORTS + main + FUNCTION + function))
    note = Note()
    drop_dead_borders(model, note)
    return model, note


def names(values):
    return [value.name for value in values]


def borders(model):
    (function,) = model.functions.values()
    return names(function.inputs), names(function.outputs)


def test_an_input_that_the_body_does_not_read_goes_from_both_sides():
    model, note = tidied(
        "g (float[2] x, float[2] y) => (float[2] z) { z = m.F(y, x) }", "F (a, b) => (c) { c = Neg(b) }"
    )
    assert (["b"], ["x"]) == (borders(model)[0], names(model.graph[0].inputs))
    assert {"dropped input of a function": 1} == note.counts


def test_an_input_that_the_body_only_returns_stays():
    model, _ = tidied("g (float[2] x) => (float[2] z) { z, y = m.F(x, x) }", "F (a, b) => (a, c) { c = Neg(b) }")
    assert "a" in borders(model)[0]


def test_two_inputs_that_get_the_same_value_in_every_call_become_one():
    main = "g (float[2] x, float[2] y) => (float[2] z) { h = m.F(x, x)  z = m.F(h, h) }"
    model, _ = tidied(main, "F (a, b) => (c) { c = Add(a, b) }")
    assert [["x"], ["h"]] == [names(node.inputs) for node in model.graph]
    (function,) = model.functions.values()
    assert ["a", "a"] == names(function[0].inputs)


def test_two_inputs_that_get_the_same_value_in_one_call_only_stay_two():
    main = "g (float[2] x, float[2] y) => (float[2] z) { h = m.F(x, x)  z = m.F(h, y) }"
    model, note = tidied(main, "F (a, b) => (c) { c = Add(a, b) }")
    assert (["a", "b"], ["c"]) == borders(model)
    assert {} == note.counts


def test_an_output_that_no_call_gives_to_anyone_goes():
    model, note = tidied(
        "g (float[2] x) => (float[2] z) { y, h = m.F(x)  z = Neg(h) }", "F (a) => (b, c) { b = Exp(a)  c = Abs(a) }"
    )
    assert (["a"], ["c"]) == borders(model)
    assert ["h"] == names(model.graph[0].outputs)
    assert {"dropped output of a function": 1} == note.counts


def test_an_output_that_one_of_two_calls_is_asked_for_stays():
    main = "g (float[2] x) => (float[2] z) { y, h = m.F(x)  k, unread = m.F(h)  z = Neg(k) }"
    model, _ = tidied(main, "F (a) => (b, c) { b = Exp(a)  c = Abs(a) }")
    assert ["b", "c"] == borders(model)[1]


def test_an_output_of_the_model_is_asked_for_and_keeps_its_name():
    model, _ = tidied("g (float[2] x) => (float[2] z) { y, z = m.F(x) }", "F (a) => (b, c) { b = Exp(a)  c = Abs(a) }")
    assert (["c"], ["z"]) == (borders(model)[1], names(model.graph.outputs))


def test_a_function_that_gives_nothing_to_anyone_keeps_its_outputs():
    model, note = tidied("g (float[2] x) => (float[2] x) { y = m.F(x) }", "F (a) => (b) { b = Exp(a) }")
    assert (["a"], ["b"]) == borders(model)
    assert {} == note.counts


@pytest.mark.parametrize("body", ["c = Neg(b)", "c = Neg(b)  d = Exp(a)"], ids=["unread", "read"])
def test_a_call_in_a_branch_is_a_call(body):
    main = """g (float[2] x, float[2] y, bool c) => (float[2] z)
    { z = If(c) <then_branch = t () => (float[2] p) { p = m.F(x, y) },
                 else_branch = e () => (float[2] q) { q = m.F(y, x) }> }"""
    model, _ = tidied(main, f"F (a, b) => (c) {{ {body} }}")
    inner = [branch.as_graph()[0] for branch in model.graph[0].attributes.values()]
    assert {len(borders(model)[0])} == {len(node.inputs) for node in inner}


def test_a_function_that_nobody_calls_keeps_its_outputs():
    model, _ = tidied("g (float[2] x) => (float[2] y) { y = Neg(x) }", "F (a) => (b, c) { b = Exp(a)  c = Abs(a) }")
    assert ["b", "c"] == borders(model)[1]
