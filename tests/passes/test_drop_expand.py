# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from lading.passes.drop_dead import DropDead
from lading.passes.drop_expand import DropExpand
from lading.pipeline.note import Note

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import run_on
from random_moves import run

HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'
CONSTANTS = """<int64[3] wide = {1, 5, 1}, int64[2] rows = {3, 1}, int64[1] first = {0}, int64[1] at = {1},
bool yes = {1}, bool no = {0}, bool[1, 2] some = {1, 0}, int64 zero = {0}, int64 one = {1}, int64[2] lead = {0, 1}>"""


def left(body: str, inputs: str = "float[N, 5, S] x, float[N, 1, S] s, float[S] v, bool[N, 5, S] m") -> list[str]:
    text = f"{HEADER} main ({inputs}) => (float[N, 5, S] y) {CONSTANTS} {{ {body} }}"
    work, _ = run_on(DropExpand(), text)
    DropDead().run(work, Note())
    return [node.op_type for node in work.model.graph]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("e = Expand(s, wide) y = Add(x, e)", ["Add"]),
        ("e = Expand(s, wide) y = Where(m, e, x)", ["Where"]),
        ("e = Unsqueeze(v, lead) y = Mul(x, e)", ["Mul"]),
        ("c = And(m, yes) y = Where(c, x, s)", ["Where"]),
        ("c = Or(no, m) y = Where(c, x, s)", ["Where"]),
        ("c = Where(yes, x, s) y = Neg(c)", ["Neg"]),
        ("c = Where(no, x, s) d = Add(c, x) y = Neg(d)", ["Add", "Neg"]),
    ],
)
def test_dropped(body: str, expected: list[str]) -> None:
    assert expected == left(body)


@pytest.mark.parametrize(
    "body",
    [
        "e = Expand(s, wide) y = Add(v, e)",
        "e = Expand(s, wide) y = Softmax(e)",
        "e = Expand(s, wide) y = Add(e, e)",
        "e = Unsqueeze(v, lead) y = Neg(e)",
        "c = And(m, no) y = Where(c, x, s)",
        "c = Or(m, yes) y = Where(c, x, s)",
    ],
)
def test_kept_where_a_size_would_be_lost(body: str) -> None:
    assert 2 == len(left(body))


def test_an_expansion_that_is_an_output_stays() -> None:
    text = f"{HEADER} main (float[N, 1, S] s) => (float[N, 5, S] e) {CONSTANTS} {{ e = Expand(s, wide) }}"
    work, note = run_on(DropExpand(), text)
    assert ["Expand"] == [node.op_type for node in work.model.graph]
    assert ["who reads it needs its shape"] == [declined.why for declined in note.declines]


@pytest.mark.parametrize(("stacks", "left"), [(5, ["MatMul"]), (1, ["Expand", "MatMul"])])
def test_a_product_of_stacks_broadcasts_too(stacks: int, left: list[str]) -> None:
    text = f"""{HEADER} main (float[N, {stacks}, 3, 4] x, float[1, 1, 4, 2] s) => (float[N, 5, 3, 2] y)
        <int64[4] five = {{1, 5, 1, 1}}> {{ e = Expand(s, five) y = MatMul(x, e) }}"""
    work, _ = run_on(DropExpand(), text)
    assert left == [node.op_type for node in work.model.graph]


MASK = """main (bool[N, S] mask, float[N, 4, S, S] scores) => (float[N, 4, S, S] y)
    <int64 zero = {0}, int64 one = {1}, int64[3] b = {1, 2, 3}, int64[3] k = {0, 1, 2}, int64[3] q = {0, 1, 3},
     int64[1] last = {4}, float low = {-1}, int64[N] rows, int64[S] columns, int64[N, 1, 1, 1] bs, int64[1, 1, 1, S] ks,
     int64[1, 1, S, 1] qs, int64[N, 1, 1, S] sum, bool[N, 1, 1, S] picked,
     bool[N, 1, S, S] all, int64[1] i = {0}, int64[1] j = {1}, int64[1] l = {2}, bool yes = {1}>
    {
        shape = Shape(mask) n1 = Slice(shape, i, j) s1 = Slice(shape, j, l) n = Squeeze(n1) s = Squeeze(s1)
        rows = Range(zero, n, one) columns = Range(zero, s, one)
        bs = Unsqueeze(rows, b) ks = Unsqueeze(columns, k) qs = Unsqueeze(columns, q)
        COMPARED
        sum = Add(bs, ks) whole = Shape(sum) be = Expand(bs, whole) ke = Expand(ks, whole)
        bl = Unsqueeze(be, last) kl = Unsqueeze(ke, last) index = Concat<axis = -1>(bl, kl)
        picked = GatherND(mask, index) all = And(seen, picked) y = Where(all, scores, low)
    }"""


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        ("ge = GreaterOrEqual(qs, zero) seen = And(yes, ge)", ["Unsqueeze", "Where"]),
        ("ge = LessOrEqual(ks, qs) seen = And(yes, ge)", None),
        ("seen = GreaterOrEqual(qs, one)", None),
    ],
)
def test_masks_made_by_vmap(compared: str, expected: list[str] | None) -> None:
    text = HEADER + MASK.replace("COMPARED", compared)
    work, _ = run_on(DropExpand(), text)
    DropDead().run(work, Note())
    found = [node.op_type for node in work.model.graph]
    assert "GatherND" not in found
    assert "Expand" not in found
    assert expected is None or expected == found
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    for rows, columns in ((2, 3), (1, 1), (4, 1), (1, 5)):
        generator = np.random.default_rng(rows)
        feeds = {
            "mask": generator.random((rows, columns)) < 0.5,
            "scores": generator.standard_normal((rows, 4, columns, columns)).astype(np.float32),
        }
        (before,), (after,) = run(onnx.parser.parse_model(text), feeds), run(work.model, feeds)
        np.testing.assert_array_equal(after, before)


def test_indices_that_count_through_another_axis_stay() -> None:
    text = """main (float[N, S] x, float[S, N] z) => (float[A] y) <int64 zero = {0}, int64 one = {1}, int64[1] i = {0},
        int64[1] j = {1}> { shape = Shape(z) n1 = Slice(shape, i, j) n = Squeeze(n1) rows = Range(zero, n, one)
        y = Gather<axis = 0>(x, rows) }"""
    work, _ = run_on(DropExpand(), HEADER + text)
    assert "Gather" in [node.op_type for node in work.model.graph]
