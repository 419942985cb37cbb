# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from lading.passes.name_values import NameValues, _scope
from lading.passes.weights import Weight
from lading.pipeline.note import Note
from lading.pipeline.origin import Origin, set_origin
from lading.pipeline.work import Work

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import work_on

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
main (float[N, 4] x, float[N] weight) => (float[M, 4] result) <int64[2] zz = {-1, 4}, float[4, 4] q = {ONES}>
{ a = MatMul(x, q) b = MatMul(a, q) c = Reshape(b, zz) result = Exp(c) }""".replace("ONES", ", ".join(["1"] * 16))


def named() -> Work:
    work = work_on(MODEL)
    for node in work.model.graph:
        set_origin(node, Origin("encoder.layer.0.attention"))
    work.model.graph.initializers["q"].const_value = Weight(torch.ones(4, 4), "encoder.q.weight").transposed((1, 0))
    NameValues().run(work, Note())
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    return work


def test_nodes_are_named_by_module_and_operator() -> None:
    scope = "/encoder/layer.0/attention"
    names = [f"{scope}/{name}" for name in ("MatMul", "MatMul_1", "Reshape", "Exp")]
    assert names == [node.name for node in named().model.graph]


def test_values_are_named_by_their_node_and_outputs_never() -> None:
    scope = "/encoder/layer.0/attention"
    names = [f"{scope}/{name}_output_0" for name in ("MatMul", "MatMul_1", "Reshape")]
    assert [*names, "result"] == [node.outputs[0].name for node in named().model.graph]


def test_weights_keep_their_names_and_constants_get_one() -> None:
    assert ["/encoder/layer.0/attention/Reshape_shape", "encoder.q.weight.T"] == list(named().model.graph.initializers)


def test_a_weight_named_like_an_input_steps_aside() -> None:
    work = work_on(MODEL)
    work.model.graph.initializers["q"].const_value = Weight(torch.ones(4, 4), "weight")
    NameValues().run(work, Note())
    assert "weight_1" in work.model.graph.initializers
    assert ["x", "weight"] == [value.name for value in work.model.graph.inputs]


def test_names_can_swap() -> None:
    work = work_on(MODEL)
    graph = work.model.graph
    for name, parameter in (("zz", "q"), ("q", "zz")):
        tensor = torch.ones(tuple(graph.initializers[name].shape), dtype=torch.float32)
        graph.initializers[name].const_value = Weight(tensor, parameter)
    NameValues().run(work, Note())
    assert ["q", "zz"] == list(graph.initializers)


@pytest.mark.parametrize(
    ("module", "scope"),
    [("", ""), ("fc", "/fc"), ("layers.0.1.fc", "/layers.0.1/fc"), ("0.conv", "/0/conv"), ("a.b", "/a/b")],
)
def test_indices_belong_to_their_list(module: str, scope: str) -> None:
    assert scope == _scope(module)
