# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from lading.passes.share_equal import ShareEqual

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import run_on

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def shared(text: str, **options: int) -> tuple[list[str], ir.Model]:
    work, _ = run_on(ShareEqual(**options), HEADER + text)
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    return [node.op_type for node in work.model.graph], work.model


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("a = Exp(x) b = Exp(x) y = Add(a, b)", 2),
        ("a = Transpose<perm = [1, 0]>(x) b = Transpose<perm = [1, 0]>(x) c = Add(a, b) y = Transpose(c)", 3),
        ("a = Transpose<perm = [1, 0]>(x) b = Transpose(x) c = Add(a, b) y = Transpose(c)", 4),
        ("a, b = Split(x) c, d = Split(x) y = Concat<axis = 0>(a, b, c, d)", 2),
        ("a = LeakyRelu<alpha = 0.0>(x) b = LeakyRelu<alpha = -0.0>(x) y = Add(a, b)", 3),
        ("a = RandomNormalLike(x) b = RandomNormalLike(x) y = Add(a, b)", 3),
        ("a = Sub(x, one) b = Sub(one, x) y = Add(a, b)", 3),
        ("a = Sub(x, one) b = Sub(x, uno) y = Add(a, b)", 2),
        ("a = Constant<value_float = 1.5>() b = Constant<value_float = 1.5>() c = Add(a, b) y = Mul(x, c)", 3),
    ],
)
def test_equal_nodes_become_one(body: str, count: int) -> None:
    text = f"main (float[2, 2] x) => (float[N, 2] y) <float one = {{1}}, float uno = {{1}}> {{ {body} }}"
    assert count == len(shared(text)[0])


def test_two_equal_outputs_stay_two() -> None:
    assert ["Exp", "Exp"] == shared("main (float[N] x) => (float[N] y, float[N] z) { y = Exp(x) z = Exp(x) }")[0]


def test_an_output_takes_over_its_twin() -> None:
    operators, model = shared("main (float[N] x) => (float[N] y, float[N] z) { a = Exp(x) z = Neg(a) y = Exp(x) }")
    assert ["Exp", "Neg"] == operators
    assert ["y", "z"] == [value.name for value in model.graph.outputs]


def test_branches_reuse_what_is_outside_and_not_each_other() -> None:
    text = """main (float[N] x, bool c) => (float[N] y) {
        o = Exp(x)
        p = If(c) <then_branch = t () => (float[N] a) { e = Exp(x) f = Tanh(e) a = Neg(f) },
                   else_branch = e () => (float[N] b) { g = Exp(x) h = Tanh(g) b = Abs(h) }>
        q = Tanh(o)
        y = Add(p, q)
    }"""
    operators, model = shared(text)
    inner = [[node.op_type for node in graph] for graph in model.graph.subgraphs()]
    assert (["Exp", "If", "Tanh", "Add"], [["Neg", "Tanh"], ["Abs", "Tanh"]]) == (
        operators,
        [sorted(names) for names in inner],
    )


def test_weights_of_equal_value_keep_their_names() -> None:
    text = """main (float[2] x) => (float[2] y) <float[2] weight_a = {0, 0}, float[2] weight_b = {0, 0}>
    { a = Add(x, weight_a) y = Add(a, weight_b) }"""
    assert ["weight_a", "weight_b"] == list(shared(text)[1].graph.initializers)


def test_large_constants_are_not_compared() -> None:
    text = """main (float[2] x) => (float[2] y) <float[2] a = {1, 2}, float[2] b = {1, 2}>
    { c = Add(x, a) y = Add(c, b) }"""
    assert ["a", "b"] == list(shared(text, constant_limit=4)[1].graph.initializers)
