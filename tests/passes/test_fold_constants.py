# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from lading.passes.fold_constants import FoldConstants
from lading.passes.weights import ComputedWeight, Weight
from lading.pipeline.note import Note
from lading.pipeline.work import Work

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import run_on, work_on

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def operators(work: Work) -> list[str]:
    return [node.op_type for node in work.model.graph]


def reasons(note: Note) -> list[str]:
    return [declined.why for declined in note.declines]


def with_weight(text: str, tensor: torch.Tensor, **options: Any) -> tuple[Work, Note]:
    """Fold a model whose initializer `weight` is the given tensor."""
    work, note = work_on(HEADER + text), Note()
    value = work.model.graph.initializers["weight"]
    value.const_value = Weight(tensor, "layer.weight")
    value.shape = ir.Shape(tuple(tensor.shape))
    FoldConstants(**options).run(work, note)
    return work, note


# Weights --------------------------------------------------------------------------------------------------------------

TURNED = """main (float[N, 3] x) => (float[N, 2] y) <float[2, 3] weight = {1, 2, 3, 4, 5, 6}>
{ t = Transpose<perm = [1, 0]>(weight)  y = MatMul(x, t) }"""


def test_a_transposed_weight_is_a_view_named_after_it() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    work, _ = with_weight(TURNED, tensor)
    turned = work.model.graph[0].inputs[1].const_value
    assert ["MatMul"] == operators(work)
    assert ("layer.weight.T", tensor.data_ptr()) == (turned.name, turned.raw.data_ptr())


def test_equal_views_share_one_initializer() -> None:
    text = """main (float[N, 3] x) => (float[N, 2] y) <float[2, 3] weight = {1, 2, 3, 4, 5, 6}>
    { t = Transpose(weight) u = Transpose<perm = [1, 0]>(weight) a = MatMul(x, t) b = MatMul(x, u) y = Add(a, b) }"""
    work, _ = with_weight(text, torch.ones(2, 3))
    assert work.model.graph[0].inputs[1] is work.model.graph[1].inputs[1]


def test_a_weight_used_both_ways_is_not_stored_twice() -> None:
    text = """main (int64[N] i, float[N, 3] x) => (float[N, 3] e, float[N, 2] y)
    <float[2, 3] weight = {1, 2, 3, 4, 5, 6}>
    { e = Gather(weight, i) t = Transpose<perm = [1, 0]>(weight)  y = MatMul(x, t) }"""
    work, note = with_weight(text, torch.ones(2, 3), size_limit=8)
    assert ["Gather", "Transpose", "MatMul"] == operators(work)
    assert ["the weight is used in its own form too, and would be stored twice"] == reasons(note)


def test_the_parts_of_a_split_weight_are_views() -> None:
    text = """main (float[N, 2] x) => (float[N, 2] y) <float[6, 2] weight = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>
    { q, k, v = Split<axis = 0>(weight) a = MatMul(x, q) b = MatMul(a, k) y = MatMul(b, v) }"""
    tensor = torch.arange(12.0).reshape(6, 2)
    work, _ = with_weight(text, tensor, size_limit=0)
    parts = [node.inputs[1].const_value for node in work.model.graph]
    assert [tensor.data_ptr() + 16 * index for index in range(3)] == [part.raw.data_ptr() for part in parts]
    assert ["layer.weight.part_0_2", "layer.weight.part_2_4", "layer.weight.part_4_6"] == [p.name for p in parts]


def test_large_weights_are_computed_while_writing() -> None:
    text = """main (float[N, 200] x) => (float[N, 200] y) <float[1, 1] weight = {1}, float two = {2}>
    { s = Mul(weight, two)  y = MatMul(x, s) }"""
    work = work_on(HEADER + text)
    tensor = torch.randn(200, 200)
    value = work.model.graph.initializers["weight"]
    value.const_value, value.shape = Weight(tensor, "layer.weight"), ir.Shape([200, 200])
    work.model.graph[0].outputs[0].shape = ir.Shape([200, 200])
    FoldConstants().run(work, Note())
    folded = work.model.graph[0].inputs[1].const_value
    assert isinstance(folded, ComputedWeight)
    assert (tensor * 2).numpy().tobytes() == folded.tobytes()


def test_weights_can_be_left_alone() -> None:
    work, note = with_weight(TURNED, torch.ones(2, 3), weights=False)
    assert ["Transpose", "MatMul"] == operators(work)
    assert ["weights are left as they are"] == reasons(note)


def widened(tensor: torch.Tensor) -> tuple[Work, Note]:
    """Fold a model that makes floats of a weight of two axes, scales and turns them."""
    rows, columns = tensor.shape
    values = ", ".join(["1"] * tensor.numel())
    text = f"""main (float[N, {columns}] x) => (float[N, {rows}] y)
    <float[{rows}, {columns}] weight = {{{values}}}, float two = {{2}}>
    {{ w = Cast<to = 1>(weight) s = Mul(w, two) t = Transpose<perm = [1, 0]>(s) y = MatMul(x, t) }}"""
    return with_weight(text, tensor)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_quantized_weight_is_not_stored_wider(dtype: torch.dtype) -> None:
    work, note = widened(torch.ones(32, 32).to(dtype))
    assert ["Cast", "Mul", "Transpose", "MatMul"] == operators(work)
    assert ["a quantized weight stays as it is stored"] == reasons(note)


@pytest.mark.parametrize("tensor", [torch.ones(32, 31, dtype=torch.int8), torch.ones(32, 32, dtype=torch.int16)])
def test_small_tables_and_wide_types_are_no_quantized_weights(tensor: torch.Tensor) -> None:
    assert ["MatMul"] == operators(widened(tensor)[0])


# Limits and refusals --------------------------------------------------------------------------------------------------


def test_a_result_beyond_the_limit_is_declined() -> None:
    text = """main (float[100, 100] x) => (float[100, 100] y) <int64[2] s = {100, 100}>
    { z = ConstantOfShape(s) y = Add(x, z) }"""
    work, note = run_on(FoldConstants(size_limit=39_000), HEADER + text)
    assert ["ConstantOfShape", "Add"] == operators(work)
    assert ["the result is larger than the size limit allows"] == reasons(note)
    assert ["Add"] == operators(run_on(FoldConstants(size_limit=40_000), HEADER + text)[0])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("r = RandomNormal<shape = [2]>()", "it draws random numbers"),
        ("r = RandomNormalLike(two)", "it draws random numbers"),
        ("r, m = Dropout(two, half, yes)", "it draws random numbers"),
        ("q = QuantizeLinear(two, half) r = DequantizeLinear(q, half)", "quantization is kept for the runtime"),
        ("r = LpNormalization(two)", "no evaluator for this operator"),
    ],
)
def test_what_must_stay_stays(body: str, why: str) -> None:
    text = f"""main (float[2] x) => (float[2] y) <float[2] two = {{1, 2}}, float half = {{0.5}}, bool yes = {{1}}>
    {{ {body} y = Add(x, r) }}"""
    work, note = run_on(FoldConstants(), HEADER + text)
    assert why in reasons(note)
    assert len(operators(work)) > 1


def test_inputs_that_are_defaults_are_not_constants() -> None:
    text = "main (float[2] x, float[2] w = {1, 2}) => (float[2] y) { v = Neg(w) y = Add(x, v) }"
    assert ["Neg", "Add"] == operators(run_on(FoldConstants(), HEADER + text)[0])


# Shapes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "s = Shape(x) y = Gather(s, three)",
        "s = Shape<start = 1, end = 2>(x) y = Squeeze(s)",
        "s = Shape(x) g = Slice(s, one, two) y = Squeeze(g)",
        "s = Shape(x) g = Gather(s, three) u = Unsqueeze(g, zero) c = Concat<axis = 0>(u, one) "
        "y = ReduceProd<keepdims = 0>(c)",
    ],
)
def test_static_sizes_of_dynamic_shapes_are_constants(body: str) -> None:
    text = f"""main (float[N, 4, M, 6] x) => (int64 y)
    <int64 three = {{3}}, int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}> {{ {body} }}"""
    work, _ = run_on(FoldConstants(), HEADER + text)
    assert "Identity" == work.model.graph[-1].op_type
    assert work.model.graph[-1].inputs[0].const_value is not None


def reshape_of(shape: str, target: str) -> list[int] | None:
    text = f"""main (float[{shape}] x) => (float y) <int64 zero = {{0}}, int64 one = {{1}}, int64[1] at = {{0}}>
    {{ s = Shape(x) a = Gather(s, zero) b = Gather(s, one) n = Unsqueeze(a, at) m = Unsqueeze(b, at)
       two = Constant<value = int64[1] {{2}}>() three = Constant<value = int64[1] {{3}}>()
       nm = Mul(n, m) t = Concat<axis = 0>({target}) r = Reshape(x, t) y = ReduceSum<keepdims = 0>(r) }}"""
    work, _ = run_on(FoldConstants(), HEADER + text)
    tensor = next(node for node in work.model.graph if node.op_type == "Reshape").inputs[1].const_value
    return None if tensor is None else tensor.numpy().tolist()


@pytest.mark.parametrize(
    ("shape", "target", "constant"),
    [
        ("N, 6", "n, two, three", [-1, 2, 3]),
        ("N, M, 6", "n, m, two, three", [0, 0, 2, 3]),
        ("N, M, 6", "nm, two, three", [-1, 2, 3]),
        ("N, M, 6", "m, n, two, three", None),
        ("N, 4, 6", "n, m, two, three", [-1, 4, 2, 3]),
    ],
)
def test_a_reshape_gets_a_constant_target(shape: str, target: str, constant: list[int] | None) -> None:
    assert constant == reshape_of(shape, target)


# Control flow and functions -------------------------------------------------------------------------------------------

BRANCHES = """main (float[2] x) => (float[2] y, float[2] z) <bool cond = {%d}>
{
    y, z = If(cond) <
        then_branch = yes () => (float[2] a, float[2] b) <float[2] w = {1, 2}> { a = Add(x, w) b = Mul(a, a) },
        else_branch = no () => (float[2] c, float[2] c2) <float[2] d = {5, 6}> { c = Identity(d) c2 = Identity(x) }
    >
}"""


@pytest.mark.parametrize(("taken", "expected"), [(1, [[2.0, 3.0], [4.0, 9.0]]), (0, [[5.0, 6.0], [1.0, 1.0]])])
def test_a_constant_if_becomes_its_branch(taken: int, expected: list[list[float]]) -> None:
    work, note = run_on(FoldConstants(), HEADER + BRANCHES % taken)
    assert "If" not in operators(work)
    assert [1] == [note.counts["resolved If"]]
    session = onnxruntime.InferenceSession(ir.to_proto(work.model).SerializeToString())
    found = session.run(None, {"x": np.ones(2, np.float32)})
    assert expected == [array.tolist() for array in found]


def test_two_constant_ifs_with_the_same_inner_names() -> None:
    branch = """If(c) <then_branch = t () => (float[2] r) { i = Exp(%s) r = Neg(i) },
                      else_branch = e () => (float[2] q) { q = Identity(x) }>"""
    text = f"""main (float[2] x) => (float[2] y) <bool c = {{1}}>
    {{ a = {branch % "x"} b = {branch % "a"} y = Add(a, b) }}"""
    model = onnx.parser.parse_model(HEADER + text)
    work, _ = run_on(FoldConstants(), model)
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    assert ["Exp", "Neg", "Exp", "Neg", "Add"] == operators(work)


def test_bodies_of_loops_are_folded() -> None:
    text = """main (float[2] x, int64 n) => (float[2] y) <bool go = {1}, float[2] w = {1, 2}>
    { y = Loop(n, go, x) <body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t)
        { m = Neg(w) d = Identity(c) t = Add(s, m) }> }"""
    work, _ = run_on(FoldConstants(), HEADER + text)
    body = work.model.graph[0].attributes["body"].value
    assert ["Identity", "Add"] == [node.op_type for node in body]
    onnx.checker.check_model(ir.to_proto(work.model))


def test_functions_hold_constants_as_nodes() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
    main (float[2] x) => (float[2] y) { y = local.Scale(x) }
    <domain: "local", opset_import: ["" : 17]> Scale (a) => (b)
    { one = Constant<value = float[1] {1}>() two = Add(one, one) b = Mul(a, two) }"""
    work, _ = run_on(FoldConstants(), text)
    (function,) = work.model.functions.values()
    assert "Add" not in [node.op_type for node in function]
    proto = ir.to_proto(work.model)
    onnx.checker.check_model(proto)
    found = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": np.ones(2, np.float32)})
    assert [2.0, 2.0] == found[0].tolist()
