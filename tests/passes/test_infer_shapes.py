# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from lading.passes.infer_shapes import InferShapes
from lading.passes.weights import Weight
from lading.pipeline.note import Note
from lading.pipeline.work import Work

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import work_on

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def bare(text: str) -> Work:
    """Return a work whose inner values have neither type nor shape."""
    return work_on(ir.from_proto(onnx.parser.parse_model(HEADER + text)))


def run(work: Work) -> Note:
    note = Note()
    InferShapes().run(work, note)
    return note


def shape(work: Work, index: int) -> str:
    return str(work.model.graph[index].outputs[0].shape)


def test_gaps_are_filled_with_the_names_of_the_inputs() -> None:
    work = bare("main (float[batch, 3] x) => (float[batch, 3] y) { a = Exp(x) y = Neg(a) }")
    run(work)
    assert ("[batch,3]", ir.DataType.FLOAT) == (shape(work, 0), work.model.graph[0].outputs[0].dtype)


def test_names_made_up_by_onnx_do_not_enter() -> None:
    work = bare("main (float[N] x) => (int64[1, M] y) { a = NonZero(x) y = Identity(a) }")
    run(work)
    assert "[1,None]" == shape(work, 0)


def test_what_capture_knew_stays() -> None:
    work = bare("main (float[N, 4] x) => (float[N, 4] y) { a = Exp(x) b = Neg(a) y = Abs(b) }")
    work.model.graph[0].outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    work.model.graph[0].outputs[0].shape = ir.Shape(["2*k", 4])
    run(work)
    assert ("[2*k,4]", "[2*k,4]") == (shape(work, 0), shape(work, 1))


def test_large_weights_are_shown_by_shape_alone() -> None:
    work = bare("main (float[N, 300] x) => (float[N, 200] y) { a = MatMul(x, w) y = Exp(a) }")
    value = ir.val("w", const_value=Weight(torch.empty(300, 200, device="meta"), "w"))
    work.model.graph[0].replace_input_with(1, value)
    work.model.graph.register_initializer(value)
    run(work)
    assert "[N,200]" == shape(work, 0)
    assert ["x"] == [value.name for value in work.model.graph.inputs]


def test_branches_are_filled_too() -> None:
    work = bare("""main (float[N] x, bool c) => (float[N] y) {
        y = If(c) <then_branch = t () => (float[N] a) { e = Exp(x) a = Neg(e) },
                   else_branch = e () => (float[N] b) { b = Abs(x) }>
    }""")
    run(work)
    inner = work.model.graph[0].attributes["then_branch"].value
    assert "[N]" == str(inner[0].outputs[0].shape)


def test_operators_of_other_domains_are_declined() -> None:
    work = bare("main (float[N] x) => (float[N] y) { a = my.Thing(x) y = Exp(a) }")
    assert "onnx infers no type or shape" in [declined.why for declined in run(work).declines]


def test_without_gaps_onnx_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    work = work_on(HEADER + "main (float[N] x) => (float[N] y) { a = Exp(x) y = Neg(a) }")
    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", None)
    assert Note() == run(work)
