# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from lading.passes.drop_dead import DropDead
from lading.passes.merge_matmul import MergeMatmul
from lading.passes.weights import Weight
from lading.pipeline.note import Note

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import run_on
from random_moves import run

HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'
WEIGHTS = """<int64[2] flat = {-1, 3}, int64[3] back = {-1, 4, 2}, int64[4] heads = {-1, 4, 2, 1},
int64[2] odd = {-1, 8}, float[N, 4, 2] q,
float[3, 2] weight = {1, 2, 3, 4, 5, 6}, float[2, 3] weight_t = {1, 2, 3, 4, 5, 6}, float[2] weight_b = {7, 8},
float[1, 2] weight_row = {7, 8}>"""


def merged(body: str, output: str = "float[N, 4, 2] y") -> tuple[list[str], list[str], ir.Model]:
    text = f"{HEADER} main (float[N, 4, 3] x, float[M, 2] z) => ({output}) {WEIGHTS} {{ {body} }}"
    work, note = run_on(MergeMatmul(), text)
    DropDead().run(work, Note())
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    for rows in (1, 2, 5):
        x = np.random.default_rng(rows).standard_normal((rows, 4, 3)).astype(np.float32)
        feeds = {"x": x, "z": np.ones((rows * 4, 2), np.float32)}
        (before,), (after,) = run(onnx.parser.parse_model(text), feeds), run(work.model, feeds)
        np.testing.assert_allclose(after, before, rtol=1e-5)
    return [node.op_type for node in work.model.graph], [each.why for each in note.declines], work.model


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        ("Gemm(r, weight, weight_b)", ["MatMul", "Add"]),
        ("Gemm(r, weight, weight_row)", ["MatMul", "Add"]),
        ("Gemm(r, weight)", ["MatMul"]),
        ("MatMul(r, weight)", ["MatMul"]),
        ("Gemm<transB = 1>(r, weight_t, weight_b)", ["MatMul", "Add"]),
    ],
)
def test_merged(product: str, expected: list[str]) -> None:
    assert expected == merged(f"r = Reshape(x, flat) p = {product} y = Reshape(p, back)")[0]


def test_heads_are_split_after_the_product() -> None:
    found, _, _ = merged("r = Reshape(x, flat) p = MatMul(r, weight) y = Reshape(p, heads)", "float[N, 4, 2, 1] y")
    assert ["MatMul", "Reshape"] == found


@pytest.mark.parametrize(
    ("body", "output", "why"),
    [
        ("r = Reshape(x, flat) p = Gemm<alpha = 2.0>(r, weight) y = Reshape(p, back)", "float[N, 4, 2] y", "it scales"),
        (
            "r = Reshape(x, flat) p = Gemm(r, weight, z) y = Reshape(p, back)",
            "float[N, 4, 2] y",
            "what it adds is not one number for each column",
        ),
        (
            "r = Reshape(x, flat) p = MatMul(r, weight) y = Reshape(p, odd)",
            "float[N, 8] y",
            "the leading sizes do not come back",
        ),
    ],
)
def test_declined(body: str, output: str, why: str) -> None:
    found, declined, _ = merged(body, output)
    assert ["Reshape", found[1], "Reshape"] == found
    assert [why] == declined


def test_a_transposed_weight_is_a_view_of_the_users_memory() -> None:
    text = f"""{HEADER} main (float[N, 4, 3] x) => (float[N, 4, 2] y) {WEIGHTS}
        {{ r = Reshape(x, flat) p = Gemm<transB = 1>(r, weight_t) y = Reshape(p, back) }}"""
    work, _ = run_on(MergeMatmul(), text)
    tensor = work.model.graph[0].inputs[1].const_value
    assert isinstance(tensor, Weight)
    assert "weight_t.T" == tensor.view_name


def test_a_weight_in_use_elsewhere_is_not_stored_twice() -> None:
    body = """r = Reshape(x, flat) p = Gemm<transB = 1>(r, weight_t) q = Reshape(p, back) s = ReduceSum(weight_t)
        y = Add(q, s)"""
    text = f"{HEADER} main (float[N, 4, 3] x) => (float[N, 4, 2] y) {WEIGHTS} {{ {body} }}"
    _, note = run_on(MergeMatmul(), text)
    assert ["the weight to be transposed is not a constant of this place alone"] == [each.why for each in note.declines]
