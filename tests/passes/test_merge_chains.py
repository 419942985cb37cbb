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
from lading.passes.drop_identity import DropIdentity
from lading.passes.merge_chains import MergeChains
from lading.passes.merge_matmul import MergeMatmul
from lading.passes.tidying.chains import loses_nothing
from lading.pipeline.note import Note

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import run_on, work_on
from random_moves import random_moves, run

HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'


def merged(text: str) -> list[str]:
    work, _ = run_on(MergeChains(), HEADER + text)
    DropDead().run(work, Note())
    return [node.op_type for node in work.model.graph]


def from_ir(proto: onnx.ModelProto) -> ir.Model:
    return ir.from_proto(proto)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 18, 21])
@pytest.mark.parametrize("seed", range(25))
def test_random_rows_compute_what_they_did_at_every_size(seed: int, opset: int) -> None:
    proto = random_moves(seed + 1000 * opset, opset)
    work = work_on(from_ir(proto))
    for the_pass in (MergeChains(), DropExpand(), MergeMatmul(), DropIdentity(), MergeChains(), DropDead()):
        the_pass.run(work, Note())
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    assert len(work.model.graph) <= len(proto.graph.node)
    for rows, columns in ((2, 3), (1, 1), (5, 1), (1, 4), (3, 12)):
        x = np.random.default_rng(seed).standard_normal((rows, columns, 12)).astype(np.float32)
        for expected, found in zip(run(proto, {"x": x}), run(work.model, {"x": x}), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(30))
def test_a_second_run_merges_nothing_more(seed: int) -> None:
    work = work_on(from_ir(random_moves(seed)))
    MergeChains().run(work, Note())
    note = Note()
    MergeChains().run(work, note)
    assert {} == dict(note.counts)


def test_the_heads_of_attention_take_two_nodes() -> None:
    body = """main (float[S, B, 32] x) => (float[B, 4, S, 8] y)
        <int64[3] heads = {0, -1, 8}, int64[4] apart = {-1, 4, 0, 8}, int64[1] first = {0},
         float["S", "4*B", 8] a, float["4*B", "S", 8] b, float[1, "4*B", "S", 8] c>
        { a = Reshape(x, heads) b = Transpose<perm = [1, 0, 2]>(a) c = Unsqueeze(b, first) y = Reshape(c, apart) }"""
    model = onnx.parser.parse_model(HEADER + body)
    work = work_on(from_ir(model))
    MergeChains().run(work, Note())
    assert ["Reshape", "Transpose"] == [node.op_type for node in work.model.graph]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("a = Cast<to = 11>(x) b = Cast<to = 1>(a) y = Neg(b)", ["Neg"]),
        ("a = Cast<to = 10>(x) b = Cast<to = 1>(a) y = Neg(b)", ["Cast", "Cast", "Neg"]),
        ("a = Cast<to = 9>(x) b = Cast<to = 1>(a) y = Neg(b)", ["Cast", "Cast", "Neg"]),
        ("a = Neg(x) y = Neg(a)", ["Neg", "Neg"]),
        ("a = Neg(x) b = Neg(a) y = Exp(b)", ["Exp"]),
        ("a = Neg(x) b = Add(x, a) y = Exp(b)", ["Sub", "Exp"]),
        ("a = Exp(x) r = Reciprocal(a) b = Mul(r, x) y = Exp(b)", ["Exp", "Div", "Exp"]),
        ("a = Concat<axis = 2>(x, x) b = Concat<axis = -1>(a, x) c = ReduceSum(b) y = Add(c, x)", None),
    ],
)
def test_pairs(body: str, left: list[str] | None) -> None:
    found = merged(f"main (float[N, 4, 6] x) => (float[N, 4, 6] y) {{ {body} }}")
    assert (left or ["Concat", "ReduceSum", "Add"]) == found


def test_a_pad_of_zeros_becomes_the_convolutions_own() -> None:
    text = """main (float[N, 1, 8, 8] x, float[1, 1, 3, 3] w) => (float[N, 1, 9, 8] y)
        <int64[8] pads = {0, 0, 1, 0, 0, 0, 0, 0}>
        { a = Pad(x, pads) y = Conv<pads = [1, 1, 1, 1]>(a, w) }"""
    work, _ = run_on(MergeChains(), HEADER + text)
    (conv,) = work.model.graph
    assert (2, 1, 1, 1) == tuple(conv.attributes["pads"].as_ints())


def test_a_pad_of_another_number_stays() -> None:
    text = """main (float[N, 1, 8, 8] x, float[1, 1, 3, 3] w) => (float[N, 1, 7, 6] y)
        <int64[8] pads = {0, 0, 1, 0, 0, 0, 0, 0}, float one = {1}> { a = Pad(x, pads, one) y = Conv(a, w) }"""
    assert ["Pad", "Conv"] == merged(text)


def test_a_slice_from_the_end_after_a_slice_stays() -> None:
    text = """main (float[N] x) => (float[M] y) <int64[1] one = {1}, int64[1] far = {99}, int64[1] back = {-2}>
        { a = Slice(x, one, far) y = Slice(a, back, far) }"""
    assert ["Slice", "Slice"] == merged(text)


def test_an_output_between_two_transpositions_keeps_its_node() -> None:
    text = """main (float[N, 4] x) => (float[4, N] a, float[N, 4] y)
        { a = Transpose<perm = [1, 0]>(x) y = Transpose<perm = [1, 0]>(a) }"""
    work, _ = run_on(MergeChains(), HEADER + text)
    assert ["a", "y"] == [value.name for value in work.model.graph.outputs]
    assert ["Transpose", "Transpose"] == [node.op_type for node in work.model.graph]


def test_a_transposed_factor_is_left_to_gemm() -> None:
    text = """main (float[3, N] x, float[4, 3] w) => (float[N, 4] y)
        { a = Transpose<perm = [1, 0]>(x) b = Transpose<perm = [1, 0]>(w) y = Gemm(a, b) }"""
    work, _ = run_on(MergeChains(), HEADER + text)
    (gemm,) = work.model.graph
    assert (1, 1) == (gemm.attributes["transA"].as_int(), gemm.attributes["transB"].as_int())


@pytest.mark.parametrize(
    ("source", "target", "exact"),
    [
        ("FLOAT16", "FLOAT", True),
        ("BFLOAT16", "FLOAT", True),
        ("FLOAT16", "BFLOAT16", False),
        ("FLOAT", "DOUBLE", True),
        ("INT32", "FLOAT", False),
        ("INT32", "DOUBLE", True),
        ("UINT16", "FLOAT16", False),
        ("UINT8", "FLOAT16", True),
        ("BOOL", "INT8", True),
        ("INT8", "UINT16", False),
        ("UINT8", "INT16", True),
        ("INT64", "BOOL", False),
        ("FLOAT", "INT64", False),
    ],
)
def test_which_casts_lose_nothing(source: str, target: str, exact: bool) -> None:
    assert exact is loses_nothing(ir.DataType[source], ir.DataType[target])
