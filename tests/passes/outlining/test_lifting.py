# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from lading.passes.outlining.lifting import lift_weight_arithmetic
from lading.passes.tidying.graph_edits import Names
from lading.pipeline.note import Note

IMPORTS = '<ir_version: 8, opset_import: ["" : 18, "m" : 1]>\n'
FUNCTION = '\n<domain: "m", opset_import: ["" : 18, "m" : 1]> '
TURNED = "F (a, w) => (b) { t = Transpose <perm = [1, 0]> (w)  b = MatMul(a, t) }"


def lifted(main, *functions, limit=1024):
    proto = onnx.parser.parse_model(IMPORTS + main + "".join(FUNCTION + each for each in functions))
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    for function in model.functions.values():
        for node in function:
            for output in node.outputs:
                output.type, output.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([2, 2])
    note = Note()
    lift_weight_arithmetic(model, Names(model).fresh, limit, note)
    return model, note


def main(nodes, weights="float[2,2] w = {1, 2, 3, 4}", outputs="float[2,2] z"):
    return f"g (float[2,2] x) => ({outputs}) <{weights}> {{ {nodes} }}"


def operators(graph):
    return [node.op_type for node in graph]


def function(model, name="F"):
    return next(each for each in model.functions.values() if each.name == name)


def test_what_is_done_to_a_weight_alone_is_done_before_the_call():
    model, note = lifted(main("z = m.F(x, w)"), TURNED)
    assert (["Transpose", "F"], ["MatMul"]) == (operators(model.graph), operators(function(model)))
    assert {"lifted out of F": 1, "dropped input of a function": 1} == note.counts


def test_the_result_is_an_input_in_the_place_of_the_weight():
    model, _ = lifted(main("z = m.F(x, w)"), TURNED)
    assert ["a", "w.T"] == [value.name for value in function(model).inputs]
    assert model.graph[0].outputs[0] is model.graph[1].inputs[1]


def test_each_call_gets_what_comes_of_its_own_weight():
    weights = "float[2,2] w = {1, 2, 3, 4}, float[2,2] v = {1, 2, 3, 4}"
    model, _ = lifted(main("y = m.F(x, w)  z = m.F(y, v)", weights), TURNED)
    first, _, second, _ = model.graph
    assert ["w", "v"] == [first.inputs[0].name, second.inputs[0].name]


def test_a_weight_of_two_calls_of_one_function_is_lifted_for_both():
    model, _ = lifted(main("y = m.F(x, w)  z = m.F(y, w)"), TURNED)
    assert ["Transpose", "F", "Transpose", "F"] == operators(model.graph)
    assert {"w"} == {node.inputs[0].name for node in model.graph if node.op_type == "Transpose"}


def test_a_weight_that_is_used_outside_too_stays_as_it_is():
    model, note = lifted(main("y = m.F(x, w)  z = MatMul(y, w)"), TURNED)
    assert ["F", "MatMul"] == operators(model.graph)
    assert {} == note.counts


def test_a_weight_that_the_body_uses_in_its_own_form_too_stays_as_it_is():
    body = "F (a, w) => (b) { t = Transpose <perm = [1, 0]> (w)  c = MatMul(a, t)  b = MatMul(c, w) }"
    assert ["F"] == operators(lifted(main("z = m.F(x, w)"), body)[0].graph)


def test_a_weight_that_is_an_output_of_the_model_stays_as_it_is():
    text = main("z = m.F(x, w)", outputs="float[2,2] z, float[2,2] w")
    assert ["F"] == operators(lifted(text, TURNED)[0].graph)


def test_an_input_that_only_one_call_gives_a_weight_for_is_no_weight():
    assert ["F", "F"] == operators(lifted(main("y = m.F(x, w)  z = m.F(y, x)"), TURNED)[0].graph)


def test_arithmetic_on_activations_stays():
    body = "F (a, w) => (b) { t = Transpose <perm = [1, 0]> (a)  b = MatMul(t, w) }"
    assert ["Transpose", "MatMul"] == operators(function(lifted(main("z = m.F(x, w)"), body)[0]))


def test_a_chain_goes_as_a_whole_with_its_constants():
    body = """F (a, w) => (b)
    { c = Constant <value = float[2,2] {1, 1, 1, 1}> ()  t = Transpose <perm = [1, 0]> (w)  s = Add(t, c)
      b = MatMul(a, s) }"""
    model, note = lifted(main("z = m.F(x, w)"), body)
    assert ["Transpose", "Constant", "Add", "F"] == operators(model.graph)
    assert 2 == note.counts["lifted out of F"]


@pytest.mark.parametrize(("limit", "before"), [(15, []), (16, ["Concat", "Transpose"])])
def test_what_would_grow_beyond_the_limit_stays(limit, before):
    body = "F (a, w) => (b) { r = Concat <axis = 0> (w, w)  t = Transpose <perm = [1, 0]> (r)  b = MatMul(a, t) }"
    text = main("z = m.F(x, w)", weights="float[1,2] w = {1, 2}")
    assert [*before, "F"] == operators(lifted(text, body, limit=limit)[0].graph)


def test_a_result_that_is_an_output_of_the_function_stays():
    body = "F (a, w) => (b, t) { t = Transpose <perm = [1, 0]> (w)  b = MatMul(a, t) }"
    assert ["F"] == operators(lifted(main("z, y = m.F(x, w)"), body)[0].graph)


def test_random_numbers_are_drawn_where_they_were():
    body = "F (a, w) => (b) { t = RandomNormalLike(w)  b = MatMul(a, t) }"
    assert ["F"] == operators(lifted(main("z = m.F(x, w)"), body)[0].graph)


def test_arithmetic_in_a_function_of_a_function_goes_all_the_way_out():
    outer = "G (a, w) => (b) { b = m.F(a, w) }"
    model, _ = lifted(main("z = m.G(x, w)"), TURNED, outer)
    assert ["Transpose", "G"] == operators(model.graph)
    assert (["F"], ["MatMul"]) == (operators(function(model, "G")), operators(function(model)))
