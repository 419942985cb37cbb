# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lading.passes.drop_identity import DropIdentity

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import run_on

HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'
CONSTANTS = """<float one = {1}, float zero = {0}, int64[3] whole = {0, 4, 6}, int64[3] ones = {1, 1, 1},
int64[6] nothing = {0, 0, 0, 0, 0, 0}, int64[6] something = {0, 0, 1, 0, 0, 1}, int64[1] at = {1}, int64[1] begin = {0},
int64[1] far = {99}, int64[1] back = {-1}, int64[1] low = {-99}, float[1, 1, 1, 1] deep = {1}, int64 unit = {1}>"""


def left(body: str) -> list[str]:
    nodes = f"a = Neg(x) {body} y = ReduceSum<keepdims = 0>(r)"
    text = f"{HEADER} main (float[N, 4, 6] x, int64[N] n) => (float y) {CONSTANTS} {{ {nodes} }}"
    work, _ = run_on(DropIdentity(), text)
    return [node.op_type for node in work.model.graph][1:-1]


@pytest.mark.parametrize(
    "body",
    [
        "r = Identity(a)",
        "r = Cast<to = 1>(a)",
        "r = CastLike(a, x)",
        "r = Dropout(a)",
        "r = Reshape(a, whole)",
        "r = Transpose<perm = [0, 1, 2]>(a)",
        "r = Expand(a, ones)",
        "r = Slice(a, begin, far, at)",
        "r = Pad(a, nothing)",
        "r = Tile(a, ones)",
        "r = Concat<axis = 0>(a)",
        "r = Max(a)",
        "r = Clip(a)",
        "r = Mul(a, one)",
        "r = Mul(one, a)",
        "r = Div(a, one)",
        "r = Pow(a, one)",
        "r = Add(a, zero)",
        "r = Sub(a, zero)",
    ],
)
def test_gone(body: str) -> None:
    assert [] == left(body)


@pytest.mark.parametrize(
    "body",
    [
        "r = Cast<to = 11>(a)",
        "r, m = Dropout(a) k = Cast<to = 1>(m)",
        "r = Transpose<perm = [0, 2, 1]>(a)",
        "r = Slice(a, back, low, at, back)",
        "r = Slice(a, at, far, at)",
        "r = Pad(a, something)",
        "r = Clip(a, one)",
        "r = Div(one, a)",
        "r = Pow(one, a)",
        "r = Sub(zero, a)",
        "r = Mul(a, deep)",
    ],
)
def test_kept(body: str) -> None:
    assert left(body)


def test_adding_an_integer_zero_is_dropped() -> None:
    text = f"{HEADER} main (int64[N] n) => (int64[N] y) <int64 zero = {{0}}> {{ a = Add(n, zero) y = Neg(a) }}"
    assert ["Neg"] == [node.op_type for node in run_on(DropIdentity(), text)[0].model.graph]


def test_the_users_output_keeps_a_node_that_makes_it() -> None:
    text = f"{HEADER} main (float[N] x) => (float[N] y, float[N] z) {{ a = Neg(x) y = Identity(a) z = Identity(a) }}"
    work, note = run_on(DropIdentity(), text)
    assert ["Neg", "Identity"] == [node.op_type for node in work.model.graph]
    assert ["y", "z"] == [value.name for value in work.model.graph.outputs]
    assert ["the output keeps its name"] == [declined.why for declined in note.declines]


def test_outputs_of_branches_keep_a_node() -> None:
    text = f"""{HEADER} main (float[N] x, bool c) => (float[N] y) {{
        y = If(c) <then_branch = t () => (float[N] a) {{ a = Identity(x) }},
                   else_branch = e () => (float[N] b) {{ b = Neg(x) }}>
    }}"""
    work, _ = run_on(DropIdentity(), text)
    assert ["Identity"] == [node.op_type for node in work.model.graph[0].attributes["then_branch"].value]


def test_signed_zeros_are_kept_on_request() -> None:
    text = f"{HEADER} main (float[N] x) => (float[N] y) <float zero = {{0}}> {{ a = Add(x, zero) y = Neg(a) }}"
    work, note = run_on(DropIdentity(signed_zeros=True), text)
    assert ["Add", "Neg"] == [node.op_type for node in work.model.graph]
    assert ["signed zeros are kept"] == [declined.why for declined in note.declines]
