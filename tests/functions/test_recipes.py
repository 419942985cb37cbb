# SPDX-License-Identifier: Apache-2.0
"""Modules with branches and loops as functions, under every shipped recipe."""

from __future__ import annotations

import copy

import onnx
import onnxruntime
import pytest
import torch
from lading.pipeline.recipe import shipped_recipes
from torch import nn

import lading


class Deciding(nn.Module):
    """A branch and a loop on values."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        h = self.fc(x)
        h = torch.relu(h) + 1 if bool(h.sum() > 0) else torch.tanh(h)
        while bool(h.abs().max() > 1.0):
            h = h * 0.5
        return torch.triu(h)


class Plain(nn.Module):
    """The same layer without decisions, for captures that have no branches of Python's."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return torch.triu(torch.relu(self.fc(x)) + x)


class Net(nn.Module):
    """Two modules of one class, and what differs between training and inference."""

    def __init__(self, layer=Deciding):
        super().__init__()
        self.first = layer()
        self.second = layer()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.second(self.first(x)))


X = torch.linspace(-2, 2, 16).reshape(4, 4)
OTHERS = (X, -X[:2], 5 * torch.cat([X, X.flip(0)]), X[:3] - 3)
NEEDS_A_RUNTIME_WITH_ATEN = "aten"
RECIPES = sorted({*shipped_recipes()} - {"base", NEEDS_A_RUNTIME_WITH_ATEN})


def export(recipe, path, capture="script", **options):
    torch.manual_seed(0)
    net = Net(Deciding if capture == "script" else Plain)
    net.train(recipe == "training")
    given = torch.jit.script(copy.deepcopy(net)) if capture == "script" else net
    settings = [
        "inline.preserve=Deciding,Plain",
        f"trace.strategy={capture}",
        "serialize.check=true",
        "target.opset=18",
    ]
    lading.export(given, (X,), path, recipe=recipe, settings=settings, dynamic_axes={"x": {0: "n"}}, **options)
    return net


def assert_as_eager(net, path):
    session = onnxruntime.InferenceSession(path)
    weights = net.state_dict()
    for x in OTHERS:
        feed = {each.name: weights[each.name].numpy() for each in session.get_inputs() if each.name != "x"}
        with torch.no_grad():
            expected = copy.deepcopy(net)(x)
        found = session.run(None, {"x": x.numpy(), **feed})[0]
        torch.testing.assert_close(torch.from_numpy(found), expected)


def nodes_of(nodes):
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from nodes_of(attribute.g.node)


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_function_for_both_that_computes_what_eager_does(recipe, tmp_path):
    path = tmp_path / "net.onnx"
    net = export(recipe, path)
    written = onnx.load(path)
    assert ["Deciding"] == [function.name for function in written.functions]
    assert 2 == sum(node.op_type == "Deciding" for node in written.graph.node)
    assert {"If", "Loop"} <= {node.op_type for node in written.functions[0].node}
    assert_as_eager(net, path)


@pytest.mark.parametrize("capture", ["record", "export"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_one_function_for_both_by_the_other_captures(recipe, capture, tmp_path):
    path = tmp_path / "net.onnx"
    net = export(recipe, path, capture)
    written = onnx.load(path)
    assert (["Plain"], 2) == (
        [function.name for function in written.functions],
        sum(node.op_type == "Plain" for node in written.graph.node),
    )
    assert_as_eager(net, path)


@pytest.mark.parametrize("options", [{"export_params": False}, {"external_data": True}], ids=str)
def test_weights_that_are_not_in_the_file(options, tmp_path):
    path = tmp_path / "net.onnx"
    net = export("inference", path, **options)
    assert ["Deciding"] == [function.name for function in onnx.load(path).functions]
    assert_as_eager(net, path)


@pytest.mark.parametrize("capture", ["script", "record", "export"])
def test_operators_kept_as_aten_are_in_the_body_with_their_domain(capture, tmp_path):
    path = tmp_path / "net.onnx"
    export(NEEDS_A_RUNTIME_WITH_ATEN, path, capture)
    (function,) = onnx.load(path).functions
    kept = {node.domain for node in nodes_of(function.node)} - {""}
    assert {"org.pytorch.aten"} == kept
    assert kept <= {entry.domain for entry in function.opset_import}


LIBRARY = torch.library.Library("lading_functions", "DEF")
LIBRARY.define("odd(Tensor x) -> Tensor")
LIBRARY.impl("odd", torch.sin, "CompositeExplicitAutograd")


class Odd(nn.Module):
    """An operator that nothing lowers."""

    def forward(self, x):
        return torch.ops.lading_functions.odd(x) + 1


@pytest.mark.parametrize(
    ("recipe", "domain"), [("aten-fallback", "org.pytorch.aten"), ("fallthrough", "lading_functions")]
)
def test_an_operator_that_has_no_lowering_stays_in_the_body(recipe, domain, tmp_path):
    path = tmp_path / "net.onnx"
    lading.export(
        nn.Sequential(Odd(), nn.ReLU(), Odd()).eval(),
        (X,),
        path,
        recipe=recipe,
        settings=['inline.preserve=["Odd"]', "serialize.check=true", "target.opset=18"],
    )
    written = onnx.load(path)
    (function,) = written.functions
    assert {domain} == {node.domain for node in nodes_of(function.node)} - {""}
    assert domain in {entry.domain for entry in function.opset_import}
    assert domain in {entry.domain for entry in written.opset_import}
