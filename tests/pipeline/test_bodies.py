# SPDX-License-Identifier: Apache-2.0
"""When two graphs count as one body."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from lading.pipeline.fingerprint import body_of

IMPORTS = '<ir_version: 8, opset_import: ["" : 18]>\n'
ONE = "one (float[N] x, float[N] k) => (float[N] z) { y = Sub(x, k)  z = Elu <alpha = 0.5> (y) }"


def body(text):
    return body_of(ir.from_proto(onnx.parser.parse_model(IMPORTS + text)).graph)


def test_names_do_not_count():
    other = "other (float[L] a, float[L] b) => (float[L] d) { [sub] c = Sub(a, b)  [elu] d = Elu <alpha = 0.5> (c) }"
    assert body(ONE).hash == body(other).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Sub(x, k)", "Sub(k, x)"),
        ("Sub(x, k)", "Sub(x, x)"),
        ("Sub(x, k)", "Add(x, k)"),
        ("0.5", "0.25"),
        ("=> (float[N] z)", "=> (float[N] y)"),
        ("float[N] k", "float[M] k"),
        ("float[N] k", "float[3] k"),
        ("float[N] k", "double[N] k"),
    ],
)
def test_everything_else_does(old, new):
    assert body(ONE).hash != body(ONE.replace(old, new, 1)).hash


def test_sizes_are_told_in_the_order_in_which_they_come_up():
    text = "g (float[B,N] x, float[A] k) => (float[N,B] z) { z = Transpose(x) }"
    assert ("B", "N", "A") == body(text).symbols


def test_a_size_without_a_name_is_none_that_has_one():
    unnamed = body("g (float[?] x) => (float[?] z) { z = Neg(x) }")
    assert ((), False) == (unnamed.symbols, unnamed.hash == body("g (float[N] x) => (float[N] z) { z = Neg(x) }").hash)


def test_what_a_branch_computes_counts():
    text = """g (float[2] x, bool c) => (float[2] z)
    { z = If(c) <then_branch = t () => (float[2] p) { p = Neg(x) },
                 else_branch = e () => (float[2] q) { q = Exp(x) }> }"""
    assert body(text).hash != body(text.replace("Exp", "Abs")).hash


def constant(array):
    tensor = array if isinstance(array, ir.StringTensor) else ir.tensor(array)
    made = ir.node("Constant", [], attributes={"value": tensor})
    return body_of(ir.Graph([], made.outputs, nodes=[made])).hash


def test_every_byte_of_a_large_constant_counts():
    array = np.zeros(1 << 20, np.uint8)
    before = constant(array)
    places = range(1, array.size, array.size // 7)
    changed = []
    for place in places:
        other = array.copy()
        other[place] = 1
        changed.append(constant(other))
    assert len({before, *changed}) == 1 + len(places)


def test_equal_large_constants_count_as_one():
    assert constant(np.ones(1 << 18, np.float32)) == constant(np.ones(1 << 18, np.float32))


def test_constants_of_text_count():
    one, other = (constant(ir.StringTensor([text], shape=ir.Shape([1]))) for text in (b"a", b"b"))
    assert one != other
