# SPDX-License-Identifier: Apache-2.0
"""`operator_export_type` in its four values, as torch 1.8 documents them."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
import torch
from lading.passes.lower.registry import LOWERINGS
from support.aten_runtime import ATEN, run_by_reference
from support.files import attributes, close, constants, decisions, graph, inputs, operators, run
from torch import nn

import lading
from lading import UnsupportedOperators

pytestmark = pytest.mark.usefixtures("without_decompositions_of_matrices")

X = torch.arange(1.0, 10.0).reshape(3, 3)
OPSETS = (7, 9, 11, 13, 18, onnx.defs.onnx_opset_version())
TYPES = torch.onnx.OperatorExportTypes


class Triangle(nn.Module):
    """The example in the documentation of torch.onnx: `aten::mul(aten::triu(x), x)`."""

    def forward(self, x):
        return torch.triu(x) * x


class Eigenvalues(nn.Module):
    """An operator that no opset has, beside one that each has."""

    def forward(self, x):
        return torch.linalg.eigvalsh(x) + x


@pytest.fixture
def no_triu():
    """The example says that triu's symbolic is missing: take lading's out for a while."""
    kept = list(LOWERINGS.entries("aten::triu"))
    lading.unregister_lowering("aten::triu")
    yield
    for entry in kept:
        lading.lowers("aten::triu", since=entry.since)(entry.function)


def exported(model: Any, kind: Any, *args: Any, **arguments: Any) -> Any:
    return lading.export(model, args or X, operator_export_type=kind, **arguments)


def nodes(result: Any) -> list[onnx.NodeProto]:
    """Return the nodes that are no constants."""
    return [node for node in graph(result).node if node.op_type != "Constant"]


# ---- ONNX ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("kind", [None, "onnx", TYPES.ONNX, "ONNX_ATEN_FALLBACK", TYPES.ONNX_FALLTHROUGH])
def test_what_onnx_can_say_is_onnx_whatever_the_fallback(kind, opset):
    result = exported(Triangle(), kind, opset_version=opset)
    assert {""} == {node.domain for node in graph(result).node}
    assert close(torch.triu(X) * X, run(result, {inputs(result)[0]: X})[0])


@pytest.mark.parametrize("opset", [9, 18])
def test_what_onnx_cannot_say_is_an_error_that_lists_it(opset):
    with pytest.raises(UnsupportedOperators, match=r"(?s)aten::_linalg_eigh.*ONNX_FALLTHROUGH or ONNX_ATEN_FALLBACK"):
        exported(Eigenvalues(), "onnx", opset_version=opset)


# ---- ONNX_ATEN_FALLBACK ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", OPSETS)
def test_the_documented_example(no_triu, opset):
    # The decomposition that lading would try first is no part of the example.
    result = exported(
        Triangle(), TYPES.ONNX_ATEN_FALLBACK, opset_version=opset, overrides={"fallback.decompose": False}
    )
    triangle, product = nodes(result)
    assert (ATEN, "ATen") == (triangle.domain, triangle.op_type)
    assert {"operator": "triu", "overload_name": ""} == attributes(triangle)
    assert ["x", 0] == [triangle.input[0], constants(result)[triangle.input[1]]]
    assert ("", "Mul", [triangle.output[0], "x"]) == (product.domain, product.op_type, list(product.input))
    assert {"": opset, ATEN: 1} == {entry.domain: entry.version for entry in result.model_proto.opset_import}


def test_a_decomposition_comes_before_the_fallback(no_triu):
    result = exported(Triangle(), "aten-fallback")
    assert ATEN not in {node.domain for node in graph(result).node}
    assert close(torch.triu(X) * X, run(result, {"x": X})[0])


def test_what_the_recipe_leaves_is_kept_whole():
    result = exported(Triangle(), "aten-fallback", overrides={"lower.leave": ("aten::triu",)})
    assert ["org.pytorch.aten::ATen", "Mul"] == [name for name in operators(result) if name != "Constant"]


@pytest.mark.parametrize("opset", OPSETS)
def test_only_what_has_no_other_way_falls_back(opset):
    result = exported(Eigenvalues(), "aten-fallback", opset_version=opset)
    assert ["_linalg_eigh"] == [attributes(node)["operator"] for node in nodes(result) if node.domain == ATEN]
    assert "Add" in operators(result)


def test_each_fallback_is_on_record():
    result = exported(Eigenvalues(), "aten-fallback")
    assert 1 == len(decisions(result, "kept aten::_linalg_eigh"))


@pytest.mark.parametrize("recipe", ["aten-fallback", "aten", "fallthrough"])
def test_the_recipes_say_the_same_as_the_argument(recipe):
    assert (
        exported(Eigenvalues(), recipe).model_proto.graph.SerializeToString()
        == lading.export(Eigenvalues(), X, recipe=recipe).model_proto.graph.SerializeToString()
    )


# ---- ONNX_ATEN -------------------------------------------------------------------------------------------------------


class Many(nn.Module):
    """Arguments of every kind: lists, numbers, data types, text, tensors in lists, absent ones and defaults."""

    def forward(self, x):
        y = torch.cat([x, x.sum(1, keepdim=True, dtype=torch.float64).float()], 1)
        y = torch.div(y, 2.0, rounding_mode="floor") + torch.clamp(y, max=4.5)
        y = torch.nn.functional.pad(y, [1, 0, 0, 2], value=0.5)
        return torch.nn.functional.gelu(y[:, torch.tensor([0, 2])], approximate="tanh").reshape(x.shape[0] + 2, -1)


@pytest.mark.parametrize("opset", OPSETS)
def test_every_operator_is_an_aten_node(opset):
    result = exported(Many(), TYPES.ONNX_ATEN, opset_version=opset)
    kinds = {(node.domain, node.op_type) for node in nodes(result)}
    assert kinds <= {(ATEN, "ATen"), ("prim", "ListConstruct"), ("", "SequenceConstruct")}
    stated = {frozenset(attributes(node)) for node in nodes(result) if node.op_type == "ATen"}
    assert {frozenset({"operator", "overload_name"})} == stated


@pytest.mark.parametrize("opset", [13, 18])
def test_a_runtime_with_that_operator_gets_the_numbers_of_pytorch(opset):
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Softmax(-1)).eval()
    assert close(model(X), run_by_reference(exported(model, "aten", opset_version=opset), X))


@pytest.mark.parametrize("axes", [None, {"x": [0]}])
def test_arguments_of_every_kind_arrive(axes):
    # Two tensors index: a list with an absent member is no sequence, which the reference evaluator has alone.
    class Few(Many):
        def forward(self, x):
            y = torch.cat([x, x.sum(1, keepdim=True, dtype=torch.float64).float()], 1)
            y = torch.div(y, 2.0, rounding_mode="floor") + torch.clamp(y, max=4.5)
            y = torch.nn.functional.pad(y, [1, 0, 0, 2], value=0.5)
            return torch.nn.functional.gelu(y, approximate="tanh").reshape(x.shape[0] + 2, -1)

    result = exported(Few(), "aten", dynamic_axes=axes)
    x = torch.rand(5, 3) if axes else X
    assert close(Few()(x), run_by_reference(result, x))


def test_constants_of_a_kept_operator_have_the_classic_types():
    def model(x):
        return torch.clamp(x.sum([0], keepdim=True, dtype=torch.float64), max=2.5)

    result = exported(model, "aten")
    total, clamped = nodes(result)
    known = constants(result)
    assert [[0], True, 7] == [known[name] for name in total.input[1:]]
    assert ["", 2.5] == [known.get(name, name) for name in clamped.input[1:]]


# ---- ONNX_FALLTHROUGH ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", OPSETS)
def test_fallthrough_keeps_the_operator_under_its_own_name(opset):
    result = exported(Eigenvalues(), TYPES.ONNX_FALLTHROUGH, opset_version=opset)
    (kept,) = (node for node in graph(result).node if node.domain)
    values = [constants_or_names(result).get(name, name) for name in kept.input]
    assert (ATEN, "_linalg_eigh", ["x", "L", True]) == (kept.domain, kept.op_type, values)


def constants_or_names(result: Any) -> dict[str, Any]:
    """Return constants by name, text as text."""
    return {n: v.decode() if isinstance(v, bytes) else v for n, v in constants(result).items()}


def test_its_overload_is_an_attribute():
    result = exported(lambda x: x + 1, "fallthrough", overrides={"lower.leave": ("aten::add",)})
    (kept,) = nodes(result)
    assert {"overload_name": "Tensor"} == attributes(kept) or {"overload_name": "Scalar"} == attributes(kept)


# ---- control flow ----------------------------------------------------------------------------------------------------


def branches_and_loops(x):
    y = torch.triu(x) if bool(x.sum() > 0) else x * 2
    for _ in range(x.size(0)):
        y = y + torch.tril(y)
    return y


def bodies(result: Any) -> list[onnx.GraphProto]:
    return [a.g for node in graph(result).node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]


@pytest.fixture(scope="module")
def scripted():
    return torch.jit.script(branches_and_loops)


@pytest.mark.parametrize("opset", [9, 11, 18])
@pytest.mark.parametrize(
    ("kind", "leave", "kept"),
    [
        ("aten", ("*",), {"triu", "mul", "tril", "add"}),
        ("aten-fallback", ("aten::triu", "aten::tril"), {"triu", "tril"}),
        ("fallthrough", ("aten::triu", "aten::tril"), {"triu", "tril"}),
    ],
)
def test_operators_inside_bodies_follow_the_export_type(scripted, kind, leave, kept, opset):
    result = exported(scripted, kind, opset_version=opset, dynamic_axes={"x": [0]}, overrides={"lower.leave": leave})
    found = [node for body in bodies(result) for node in body.node if node.domain]
    assert kept == {attributes(node).get("operator", node.op_type) for node in found}
    onnx.checker.check_model(result.model_proto)


def branches(x):
    y = torch.triu(x) if bool(x.sum() > 0) else x * 2
    return y


@pytest.mark.parametrize("x", [X, -X])
def test_bodies_of_aten_nodes_run(x):
    result = exported(torch.jit.script(branches), "aten", dynamic_axes={"x": [0, 1]})
    assert close(branches(x), run_by_reference(result, x))


def test_without_a_fallback_bodies_are_onnx(scripted):
    result = exported(scripted, "onnx", dynamic_axes={"x": [0, 1]})
    assert {""} == {node.domain for body in bodies(result) for node in body.node}
    assert close(branches_and_loops(-X), run(result, {"x": -X})[0])
