# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx_ir as ir
from lading.passes.drop_dead import DropDead

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import run_on

HEADER = '<ir_version: 8, opset_import: ["" : 17, "local" : 1]>\n'


def swept(text: str) -> ir.Model:
    work, _ = run_on(DropDead(), HEADER + text)
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    return work.model


def operators(graph: ir.Graph) -> list[str]:
    return [node.op_type for node in graph]


def test_unused_inputs_stay() -> None:
    model = swept("main (float[N] x, float[N] unused) => (float[N] y) { y = Exp(x) }")
    assert ["x", "unused"] == [value.name for value in model.graph.inputs]


def test_unused_inputs_go_where_that_is_asked_for() -> None:
    text = """
    main (float[N] x, float[N] unused, bool c, float[N] inner, float[N] through) => (float[N] y, float[N] through) {
        y = If(c) <then_branch = t () => (float[N] a) { a = Add(x, inner) },
                   else_branch = e () => (float[N] b) { b = Abs(x) }>
    }"""
    work, note = run_on(DropDead(unused_inputs=True), HEADER + text)
    assert ["x", "c", "inner", "through"] == [value.name for value in work.model.graph.inputs]
    assert [{"input": "unused"}] == [one.details for one in note.decisions if one.what == "input removed"]


def test_dead_nodes_in_branches_go_with_what_only_they_used() -> None:
    model = swept("""main (float[N] x, bool c) => (float[N] y) {
        outside = Exp(x)
        y = If(c) <then_branch = t () => (float[N] a) { dead = Neg(outside) a = Identity(x) },
                   else_branch = e () => (float[N] b) { b = Abs(x) }>
    }""")
    assert ["If"] == operators(model.graph)
    assert ["Identity"] == operators(model.graph[0].attributes["then_branch"].value)


def test_a_dead_branching_node_frees_what_its_branches_used() -> None:
    model = swept("""main (float[N] x, bool c) => (float[N] y) <float[1] w = {1}> {
        outside = Exp(x)
        z = If(c) <then_branch = t () => (float[N] a) { a = Add(outside, w) },
                   else_branch = e () => (float[N] b) { b = Abs(x) }>
        y = Neg(x)
    }""")
    assert (["Neg"], []) == (operators(model.graph), list(model.graph.initializers))


def test_optional_outputs_are_trimmed() -> None:
    model = swept("main (float[1, 1, N] x) => (float[1, 1, M] y) { y, i = MaxPool<kernel_shape = [1]>(x) }")
    assert 1 == len(model.graph[0].outputs)


def test_an_optional_output_in_the_middle_loses_its_name() -> None:
    zeros = [", ".join(["0"] * count) for count in (24, 36)]
    model = swept(f"""main (float[S, 1, 2] x) => (float[1, 1, 3] c)
    <float[1, 12, 2] w = {{{zeros[0]}}}, float[1, 12, 3] r = {{{zeros[1]}}}>
    {{ y, h, c = LSTM<hidden_size = 3>(x, w, r) }}""")
    assert ["y", "", "c"] == [value.name for value in model.graph[0].outputs]


def test_the_outputs_of_a_normalisation_say_that_it_trains() -> None:
    text = """<ir_version: 8, opset_import: ["" : 9]> main (float[N, 1] x) => (float[N, 1] y) <float[1] a = {1}>
    { y, m, v, sm, sv = BatchNormalization(x, a, a, a, a) }"""
    work, _ = run_on(DropDead(), text)
    assert 5 == len(work.model.graph[0].outputs)


def test_functions_that_nobody_calls_go() -> None:
    model = swept("""main (float[N] x) => (float[N] y) { y = local.Outer(x) }
    <domain: "local", opset_import: ["" : 17, "local" : 1]> Outer (a) => (b) { b = local.Inner(a) }
    <domain: "local", opset_import: ["" : 17]> Inner (a) => (b) { dead = Neg(a) b = Exp(a) }
    <domain: "local", opset_import: ["" : 17]> Stray (a) => (b) { b = Exp(a) }""")
    assert ["Outer", "Inner"] == [function.name for function in model.functions.values()]
    assert ["Exp"] == operators(model.functions[("local", "Inner", "")].graph)
