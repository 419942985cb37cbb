# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from lading.pipeline.delta import delta
from lading.pipeline.fingerprint import structural_hash, survey, tensor_digest
from support.fake_passes import chain_model


def with_subgraph() -> ir.Model:
    model = chain_model()
    inner = ir.node("Relu", [model.graph.inputs[0]], name="inner")
    inner.outputs[0].name = "inner_out"
    body = ir.Graph([], [inner.outputs[0]], nodes=[inner], name="body")
    condition = ir.Value(name="condition", type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([]))
    model.graph.inputs.append(condition)
    branch = ir.node("If", [condition], {"then_branch": body, "else_branch": body.clone(True)}, name="choice")
    branch.outputs[0].name = "chosen"
    model.graph.append(branch)
    return model


def with_function() -> ir.Model:
    model = chain_model()
    x = ir.Value(name="fx")
    inner = ir.node("Relu", [x], name="inner")
    inner.outputs[0].name = "fy"
    graph = ir.Graph([x], [inner.outputs[0]], nodes=[inner], opset_imports={"": 18})
    function = ir.Function("my", "act", graph=graph, attributes=[])
    model.functions[function.identifier()] = function
    return model


def node(model: ir.Model, index: int = 0) -> ir.Node:
    return model.graph[index]


def set_attribute(model: ir.Model) -> None:
    node(model).attributes.add(ir.AttrFloat32("alpha", 0.5))


def rename_value(model: ir.Model) -> None:
    node(model).outputs[0].name = "other"


def rename_node(model: ir.Model) -> None:
    node(model).name = "other"


def change_operator(model: ir.Model) -> None:
    node(model).op_type = "Abs"


def change_overload(model: ir.Model) -> None:
    node(model).overload = "Tensor"


def change_domain(model: ir.Model) -> None:
    node(model).domain = "my"


def change_type(model: ir.Model) -> None:
    node(model).outputs[0].dtype = ir.DataType.FLOAT16


def change_shape(model: ir.Model) -> None:
    node(model).outputs[0].shape = ir.Shape(["batch", 5])


def change_symbol(model: ir.Model) -> None:
    model.graph.inputs[0].shape = ir.Shape(["rows", 4])


def rewire(model: ir.Model) -> None:
    node(model, 2).replace_input_with(0, node(model, 0).outputs[0])


def change_weight(model: ir.Model) -> None:
    model.graph.initializers["w0"].const_value = ir.tensor(np.full([4], 7, np.float32))


def change_opset(model: ir.Model) -> None:
    model.graph.opset_imports[""] = 19


def add_metadata(model: ir.Model) -> None:
    model.metadata_props["lading.recipe"] = "x"


def add_node_metadata(model: ir.Model) -> None:
    node(model).metadata_props["lading.module"] = "x"


def add_output(model: ir.Model) -> None:
    model.graph.outputs.append(node(model).outputs[0])


@pytest.mark.parametrize(
    "change",
    [
        set_attribute,
        rename_value,
        rename_node,
        change_operator,
        change_overload,
        change_domain,
        change_type,
        change_shape,
        change_symbol,
        rewire,
        change_weight,
        change_opset,
        add_metadata,
        add_node_metadata,
        add_output,
    ],
)
def test_every_change_of_the_file_changes_the_hash(change: Callable[[ir.Model], None]) -> None:
    model = chain_model(weights=1)
    before = structural_hash(model)
    change(model)
    assert before != structural_hash(model)


def test_memory_alone_does_not_change_the_hash() -> None:
    model = chain_model(weights=1)
    before = structural_hash(model)
    node(model).meta["lading.origin"] = object()
    assert before == structural_hash(model)


def test_equal_models_have_equal_hashes() -> None:
    assert structural_hash(chain_model(weights=2)) == structural_hash(chain_model(weights=2))


def test_the_hash_is_the_same_in_another_process() -> None:
    code = (
        "from support.fake_passes import chain_model\n"
        "from lading.pipeline.fingerprint import structural_hash\n"
        "print(structural_hash(chain_model(weights=1)))"
    )
    path = next(entry for entry in sys.path if entry.endswith("tests"))
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert structural_hash(chain_model(weights=1)) == run.stdout.strip()


def test_the_hash_looks_into_subgraphs() -> None:
    model = with_subgraph()
    before = structural_hash(model)
    next(iter(node(model, 4).attributes["then_branch"].as_graph())).op_type = "Neg"
    assert before != structural_hash(model)


def test_the_hash_looks_into_functions() -> None:
    model = with_function()
    before = structural_hash(model)
    next(iter(model.functions.values()))[0].op_type = "Neg"
    assert before != structural_hash(model)


def test_constants_that_belong_to_no_graph_count() -> None:
    def listed(number: int) -> ir.Model:
        model = chain_model()
        constant = ir.Value(const_value=ir.tensor(np.int64(number)))
        model.graph.append(ir.Node("prim", "ListConstruct", [constant], name="list"))
        return model

    assert structural_hash(listed(1)) != structural_hash(listed(2))


def test_tensor_attributes_count_by_content() -> None:
    def constant(number: int) -> ir.Model:
        model = chain_model()
        model.graph.append(ir.node("Constant", [], {"value": ir.tensor(np.float32(number))}, name="c"))
        return model

    assert structural_hash(constant(1)) != structural_hash(constant(2))


def test_no_model_has_no_hash() -> None:
    assert "" == survey(None).hash


def test_a_survey_counts_subgraphs_and_functions_too() -> None:
    assert 4 == survey(with_subgraph()).operators["Relu"]


def test_operators_carry_domain_and_overload() -> None:
    model = chain_model(1)
    node(model).domain, node(model).overload = "aten", "Tensor"
    assert {"aten::Relu.Tensor": 1} == survey(model).operators


def test_initializers_are_counted_with_their_bytes() -> None:
    found = survey(chain_model(weights=3, size=4))
    assert (3, 48) == (found.initializers, found.initializer_bytes)


class Digested(ir.Tensor):
    """A tensor that knows its own digest and does not want to be read."""

    def lading_digest(self) -> str:
        return "own"

    def numpy(self) -> Any:
        raise AssertionError("read")


def test_a_tensor_may_bring_its_own_digest() -> None:
    assert "own" == tensor_digest(Digested(np.zeros(3)))


def test_a_digest_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = ir.tensor(np.zeros(3))
    first = tensor_digest(tensor)
    monkeypatch.setattr(ir.Tensor, "tobytes", lambda _: b"changed")
    assert first == tensor_digest(tensor)


@pytest.mark.parametrize("place", [0, 999_999])
def test_the_ends_of_a_large_tensor_count(place: int) -> None:
    values = np.zeros(1_000_000, np.float32)
    before = tensor_digest(ir.tensor(values.copy()))
    values[place] = 1
    assert before != tensor_digest(ir.tensor(values))


def test_a_large_tensor_is_sampled() -> None:
    class Counted(ir.Tensor):
        def tobytes(self) -> bytes:
            raise AssertionError("read whole")

    assert 32 == len(tensor_digest(Counted(np.zeros(100_000, np.float32))))


def test_a_transposed_view_counts_as_what_it_shows() -> None:
    values = np.arange(1_000_000, dtype=np.float32).reshape(1000, 1000)
    copied = ir.Tensor(np.ascontiguousarray(values.T))
    assert tensor_digest(copied) == tensor_digest(ir.Tensor(values.T))


@pytest.mark.parametrize("dtype", [ir.DataType.BFLOAT16, ir.DataType.INT4, ir.DataType.BOOL, ir.DataType.FLOAT8E4M3FN])
def test_every_type_has_a_digest(dtype: ir.DataType) -> None:
    assert 32 == len(tensor_digest(ir.Tensor(np.zeros(8, dtype.numpy()), dtype=dtype)))


def test_text_has_a_digest() -> None:
    assert tensor_digest(ir.tensor(["a", "b"])) != tensor_digest(ir.tensor(["ab", ""]))


def test_type_and_shape_are_in_the_digest() -> None:
    digests = {
        tensor_digest(ir.tensor(np.zeros(4, np.float32))),
        tensor_digest(ir.tensor(np.zeros(4, np.int32))),
        tensor_digest(ir.tensor(np.zeros((2, 2), np.float32))),
    }
    assert 3 == len(digests)


def test_a_delta_lists_what_changed() -> None:
    before, after = survey(chain_model(4)), survey(chain_model(3, weights=1))
    expected = {
        "nodes": [4, 4],
        "values": [5, 6],
        "initializers": [0, 1],
        "initializer_bytes": [0, 16],
        "functions": [0, 0],
        "operators": {"Add": [0, 1], "Neg": [2, 1]},
    }
    assert expected == delta(before, after)
