# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from lading.passes.inline import EVERY
from lading.passes.outlining.outline import Outline
from lading.pipeline.note import Note
from support.module_calls import call, model_of

A, B = call("a"), call("b")


class Outlined:
    """A model after its calls were cut out."""

    def __init__(self, text, calls, classes, literals=(), weights=None):
        self.model = model_of(text, calls)
        for name, array in (weights or {}).items():
            self.model.graph.initializers[name].const_value = ir.tensor(array, name=name)
        self.note = Note()
        self.outline = Outline(self.model, classes, literals, 18, self.note)
        self.outline.run()

    @property
    def operators(self):
        return [node.op_type for node in self.model.graph]

    @property
    def bodies(self):
        return {function.name: [node.op_type for node in function] for function in self.model.functions.values()}

    def formals(self, name="Block"):
        (function,) = [each for each in self.model.functions.values() if each.name == name]
        return [value.name for value in function.inputs], [value.name for value in function.outputs]


def outlined(text, calls, classes=("Block",), **options):
    return Outlined(text, calls, classes, **options)


CHAIN = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  z = aten.exp(y) }"


def test_the_nodes_of_a_call_become_a_function_that_is_called():
    found = outlined(CHAIN, {"y": A, "z": A})
    assert (["Block"], {"Block": ["relu", "exp"]}) == (found.operators, found.bodies)


def test_what_nobody_reads_is_no_output():
    assert (["input"], ["output"]) == outlined(CHAIN, {"y": A, "z": A}).formals()


def test_an_output_of_the_model_keeps_its_name():
    assert ["z"] == [value.name for value in outlined(CHAIN, {"y": A, "z": A}).model.graph.outputs]


def test_a_call_whose_results_nobody_reads_is_no_function():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  z = aten.exp(x) }"
    found = outlined(text, {"y": A})
    assert ({}, "exp") == (found.bodies, found.operators[-1])


def test_a_call_whose_class_is_not_asked_for_stays_flat():
    found = outlined(CHAIN, {"y": A, "z": A}, classes=("Other",))
    assert ["relu", "exp"] == found.operators
    assert {"Block", "Model"} == found.outline.called


def test_a_value_that_is_read_inside_and_outside_is_an_output():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  h = aten.exp(y)  z = aten.add:Tensor(y, h) }"
    found = outlined(text, {"y": A, "h": A})
    assert (["Block", "add"], 2) == (found.operators, len(found.formals()[1]))
    assert list(found.model.graph[0].outputs) == list(found.model.graph[1].inputs)


def test_a_value_that_is_read_inside_and_outside_is_read_inside_where_it_is_made():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  h = aten.exp(y)  z = aten.add:Tensor(y, h) }"
    (function,) = outlined(text, {"y": A, "h": A}).model.functions.values()
    assert function[0].outputs[0] is function[1].inputs[0]


def test_a_value_that_is_read_twice_is_one_input():
    text = "g (float[2] x) => (float[2] z) { y = aten.add:Tensor(x, x)  z = aten.mul:Tensor(y, x) }"
    assert ["input"] == outlined(text, {"y": A, "z": A}).formals()[0]


# ---- one function or two ---------------------------------------------------------------------------------------------


def test_equal_bodies_are_one_function():
    found = outlined(CHAIN.replace("exp", "relu"), {"y": A, "z": B})
    assert (["Block", "Block"], {"Block": ["relu"]}) == (found.operators, found.bodies)


def test_other_operators_make_another_function():
    found = outlined(CHAIN, {"y": A, "z": B})
    assert (["Block", "Block_1"], {"Block": ["relu"], "Block_1": ["exp"]}) == (found.operators, found.bodies)


def test_another_attribute_makes_another_function():
    text = "g (float[2] x) => (float[2] z) { y = aten.elu <alpha = 1.0> (x)  z = aten.elu <alpha = 2.0> (y) }"
    assert ["Block", "Block_1"] == outlined(text, {"y": A, "z": B}).operators


def test_equal_bodies_of_two_classes_are_two_functions():
    calls = {"y": A, "z": call("b", "Other")}
    assert ["Block", "Other"] == outlined(CHAIN.replace("exp", "relu"), calls, ("Block", "Other")).operators


def test_a_body_that_reads_its_arguments_in_another_order_is_called_with_them_in_that_order():
    text = "g (float[2] x, float[2] k) => (float[2] z) { y = aten.sub:Tensor(x, k)  z = aten.sub:Tensor(k, x) }"
    first, second = outlined(text, {"y": A, "z": B}).model.graph
    assert (["x", "k"], ["k", "x"]) == tuple([value.name for value in node.inputs] for node in (first, second))


def test_reading_one_value_twice_is_another_body_than_reading_two():
    text = "g (float[2] x, float[2] k) => (float[2] z) { y = aten.sub:Tensor(x, k)  z = aten.sub:Tensor(y, y) }"
    assert ["Block", "Block_1"] == outlined(text, {"y": A, "z": B}).operators


def test_sizes_that_differ_between_the_calls_get_a_name_of_the_function():
    text = """g (float[N] x, float[M] k) => (float[N] z, float[M] w)
    <float[N] y, float[M] h> { y = aten.relu(x)  z = aten.exp(y)  h = aten.relu(k)  w = aten.exp(h) }"""
    found = outlined(text, {"y": A, "z": A, "h": B, "w": B})
    (function,) = found.model.functions.values()
    assert ["Block.0"] == [dim.value for dim in function.inputs[0].shape]
    assert ["N", "M"] == [value.shape[0].value for value in found.model.graph.outputs]


def test_a_size_that_all_calls_have_keeps_its_name():
    text = "g (float[N] x) => (float[N] z) <float[N] y> { y = aten.relu(x)  z = aten.relu(y) }"
    (function,) = outlined(text, {"y": A, "z": B}).model.functions.values()
    assert ["N"] == [dim.value for dim in function.inputs[0].shape]


# ---- weights and literals --------------------------------------------------------------------------------------------

WEIGHTED = """g (float[2] x) => (float[2] z)
<float[2] "a.weight" = {1, 2}, float[2] "b.weight" = {3, 4}>
{ y = aten.mul:Tensor(x, "a.weight")  z = aten.mul:Tensor(y, "b.weight") }"""


def test_weights_are_inputs_named_as_in_the_module():
    found = outlined(WEIGHTED, {"y": A, "z": B})
    assert (["Block", "Block"], ["input", "weight"]) == (found.operators, found.formals()[0])


def test_weights_stand_behind_tensors_whatever_is_read_first():
    text = WEIGHTED.replace('(x, "a.weight")', '("a.weight", x)')
    found = outlined(text, {"y": A})
    assert ["input", "weight"] == found.formals()[0]
    assert ["x", "a.weight"] == [value.name for value in found.model.graph[0].inputs]


def test_a_weight_that_two_calls_share_is_one_value():
    found = outlined(WEIGHTED.replace('"b.weight") }', '"a.weight") }'), {"y": A, "z": B})
    first, second = found.model.graph
    assert (["Block", "Block"], True) == (found.operators, first.inputs[1] is second.inputs[1])


def test_a_small_literal_is_part_of_the_body():
    found = outlined(WEIGHTED, {"y": A}, literals=("a.weight",))
    assert (["input"], {"Block": ["Constant", "mul"]}) == (found.formals()[0], found.bodies)


def test_other_literals_make_another_function():
    assert ["Block", "Block_1"] == outlined(WEIGHTED, {"y": A, "z": B}, literals=("a.weight", "b.weight")).operators


def test_a_large_literal_is_an_input_and_does_not_tell_functions_apart():
    weights = {"a.weight": np.zeros((1025, 2), np.float32), "b.weight": np.ones((1025, 2), np.float32)}
    text = WEIGHTED.replace("float[2]", "float[1025,2]").replace("{1, 2}", "{}").replace("{3, 4}", "{}")
    found = outlined(text, {"y": A, "z": B}, literals=tuple(weights), weights=weights)
    assert ["Block", "Block"] == found.operators


# ---- calls in calls --------------------------------------------------------------------------------------------------

INNER = call("a.inner", "Inner", A)
OTHER_INNER = call("b.inner", "Inner", B)


def test_a_call_in_a_call_is_a_function_that_a_function_calls():
    found = outlined(CHAIN, {"y": INNER, "z": A}, ("Block", "Inner"))
    assert (["Block"], {"Inner": ["relu"], "Block": ["Inner", "exp"]}) == (found.operators, found.bodies)


def test_a_call_in_a_call_that_is_not_asked_for_is_part_of_the_outer_body():
    assert {"Block": ["relu", "exp"]} == outlined(CHAIN, {"y": INNER, "z": A}).bodies


def test_a_call_in_a_call_that_alone_is_asked_for_is_a_function():
    found = outlined(CHAIN, {"y": INNER, "z": A}, ("Inner",))
    assert (["Inner", "exp"], {"Inner": ["relu"]}) == (found.operators, found.bodies)


def test_functions_of_functions_are_shared_by_all_layers():
    text = """g (float[2] x) => (float[2] z)
    { h = aten.relu(x)  y = aten.exp(h)  k = aten.relu(y)  z = aten.exp(k) }"""
    found = outlined(text, {"h": INNER, "y": A, "k": OTHER_INNER, "z": B}, ("Block", "Inner"))
    assert (["Block", "Block"], ["Inner", "Block"]) == (found.operators, list(found.bodies))


def test_layers_that_call_other_functions_are_other_functions():
    text = """g (float[2] x) => (float[2] z)
    { h = aten.relu(x)  y = aten.exp(h)  k = aten.neg(y)  z = aten.exp(k) }"""
    found = outlined(text, {"h": INNER, "y": A, "k": OTHER_INNER, "z": B}, ("Block", "Inner"))
    assert {"Inner": ["relu"], "Inner_1": ["neg"], "Block": ["Inner", "exp"], "Block_1": ["Inner_1", "exp"]} == (
        found.bodies
    )


def test_all_classes_are_those_of_all_modules_but_the_model():
    found = outlined(CHAIN, {"y": INNER, "z": A}, (EVERY,))
    assert (["Block"], ["Inner", "Block"]) == (found.operators, list(found.bodies))


# ---- what stands between ---------------------------------------------------------------------------------------------


def test_what_depends_on_the_call_and_stood_in_it_comes_behind():
    text = "g (float[2] x) => (float[2] z, float[2] late) { y = aten.relu(x)  late = aten.neg(y)  z = aten.exp(y) }"
    found = outlined(text, {"y": A, "z": A})
    assert (["Block", "neg"], {"Block": ["relu", "exp"]}) == (found.operators, found.bodies)


def test_calls_that_need_results_of_each_other_stay_flat_with_a_warning():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  h = aten.neg(y)  k = aten.exp(h)  z = aten.abs(k) }"
    found = outlined(text, {"y": A, "h": call("b", "Other"), "k": A, "z": call("c", "Third")}, ("Block", "Other"))
    assert ["relu", "Other", "exp", "abs"] == found.operators
    assert ({"Block"}, ["a"]) == (found.outline.left, [warning.details["module"] for warning in found.note.warnings])


def test_a_size_is_read_from_the_input_that_has_it():
    text = """g (float[N,2] x) => (float[N,2] z)
    <int64 n, float[N,2] y>
    { n = aten.sym_size:int <dim = 0> (x)  y = aten.relu(x)
      z = aten.mul:Scalar <symbolic_arguments = ["other"]> (y, n) }"""
    found = outlined(text, {"z": A})
    assert (["input"], {"Block": ["sym_size", "mul"]}) == (found.formals()[0], found.bodies)
    assert ["relu", "Block"] == found.operators


@pytest.mark.parametrize("inside", ["p", "q"])
def test_a_call_in_a_branch_is_called_there(inside):
    text = """g (float[2] x, bool c) => (float[2] z)
    { z = prim.If(c) <then_branch = t () => (float[2] p) { p = aten.neg(x) },
                      else_branch = e () => (float[2] q) { q = aten.exp(x) }> }"""
    found = outlined(text, {inside: A})
    branch = found.model.graph[0].attributes["then_branch" if inside == "p" else "else_branch"].as_graph()
    assert (["Block"], 1) == ([node.op_type for node in branch], len(found.bodies))


def test_the_functions_are_counted_by_their_calls():
    found = outlined(CHAIN.replace("exp", "relu"), {"y": A, "z": B})
    (decision,) = found.note.decisions
    assert {"function": "Block", "module": "a", "calls": 2} == decision.details
