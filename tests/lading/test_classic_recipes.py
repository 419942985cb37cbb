# SPDX-License-Identifier: Apache-2.0
"""The recipes that say classic settings, each on one model with a bit of everything."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from support.aten_runtime import ATEN, run_by_reference
from support.files import attributes, close, graph, initializers, inputs, run
from torch import nn

import lading
from lading import UnsupportedOperators

LIBRARY = torch.library.Library("lading_recipes", "DEF")
LIBRARY.define("swish(Tensor x, float beta) -> Tensor")
LIBRARY.impl("swish", lambda x, beta: x * torch.sigmoid(x * beta), "CompositeExplicitAutograd")


class Mixed(nn.Module):
    """Convolution, normalization, dropout, a recurrent layer, a branch on values, and an operator of one's own."""

    def __init__(self, ratio: float = 0.0):
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(ratio)
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        y = self.drop(self.norm(self.conv(x)))
        y, _ = self.lstm(y.transpose(1, 2))
        y = torch.cond(x.sum() > 0, lambda y: self.head(y), lambda y: self.head(y.neg()) - 1, (y,))
        return torch.ops.lading_recipes.swish(y, 1.5)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(3)
    made = Mixed()
    with torch.no_grad():
        for tensor in (*made.norm.parameters(), made.norm.running_mean, made.norm.running_var):
            tensor.uniform_(0.5, 1.5)
    made.lstm.eval()
    return made


@pytest.fixture
def lowering() -> Iterator[None]:
    @lading.lowers("lading_recipes::swish")
    def swish(op, x, *, beta):
        return op.Mul(x, op.Sigmoid(op.Mul(x, beta)))

    yield
    lading.unregister_lowering("lading_recipes::swish")


GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(2, 2, 6, generator=GENERATOR)
BATCHES = [X, *(torch.randn(size, 2, 6, generator=GENERATOR) * 3 for size in (1, 3, 5, 5, 7, 7))]
WEIGHTS = ["conv.weight", "conv.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"]
WEIGHTS += [f"lstm.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
WEIGHTS += ["head.weight", "head.bias"]


def exported(model: nn.Module, recipe: str, **arguments: Any) -> Any:
    return lading.export(model, X, recipe=recipe, dynamic_axes={"x": {0: "batch"}}, **arguments)


def eager(model: nn.Module, x: torch.Tensor, *, training: bool | None = False) -> torch.Tensor:
    copied = copy.deepcopy(model)
    with torch.no_grad():
        return (copied if training is None else copied.train(training))(x)


def bodies(parent: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield parent
    for node in parent.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from bodies(attribute.g)


def counted(result: Any) -> Counter[str]:
    """Count the nodes of all graphs that are no constants, by domain and operator."""
    nodes = [node for each in bodies(graph(result)) for node in each.node if node.op_type != "Constant"]
    return Counter(f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in nodes)


def test_the_batches_go_both_ways():
    assert {True, False} == {bool(x.sum() > 0) for x in BATCHES}


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "training"),
    [
        ("inference", False),
        ("torch-1.8", False),
        ("aten-fallback", False),
        ("fallthrough", False),
        ("training", True),
        ("training-preserve", None),
    ],
)
def test_numbers_are_those_of_pytorch_in_the_mode_of_the_recipe(recipe, training, model, lowering):
    result = exported(model, recipe)
    assert [True] * len(BATCHES) == [
        close(eager(model, x, training=training), run(result, {"x": x})[0]) for x in BATCHES
    ]


def test_numbers_of_the_file_without_weights_when_it_is_given_them(model, lowering):
    result = exported(model, "untrained")
    weights = {name: tensor for name, tensor in model.state_dict().items() if name in WEIGHTS}
    assert [True] * len(BATCHES) == [close(eager(model, x), run(result, {"x": x, **weights})[0]) for x in BATCHES]


@pytest.mark.parametrize("recipe", ["aten", "aten-fallback"])
def test_numbers_of_a_runtime_that_runs_aten_nodes(recipe, model):
    result = exported(model, recipe)
    assert [True] * len(BATCHES) == [close(eager(model, x), run_by_reference(result, x)) for x in BATCHES]


class Swish(OpRun):
    """The operator of one's own, in a runtime that has it."""

    op_domain = "lading_recipes"
    op_schema = None

    def _run(self, x, beta):
        return ((x / (1 + np.exp(-x * beta))).astype(x.dtype),)


Swish.__name__ = "swish"


def test_numbers_of_a_runtime_that_has_the_operator_of_ones_own(model):
    evaluator = ReferenceEvaluator(exported(model, "fallthrough").model_proto, new_ops=[Swish])
    got = [evaluator.run(None, {"x": x.numpy()})[0] for x in BATCHES]
    assert [True] * len(BATCHES) == [close(eager(model, x), each) for x, each in zip(BATCHES, got, strict=True)]


# ---- what the file is made of ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["inference", "training", "training-preserve", "untrained", "torch-1.8"])
def test_an_operator_of_ones_own_needs_a_lowering(recipe, model):
    with pytest.raises(UnsupportedOperators, match="lading_recipes::swish, once"):
        exported(model, recipe)


@pytest.mark.parametrize(
    ("recipe", "kept"),
    [("aten-fallback", {f"{ATEN}::ATen": 1}), ("fallthrough", {"lading_recipes::swish": 1})],
)
def test_only_what_has_no_other_way_is_kept(recipe, kept, model):
    found = counted(exported(model, recipe))
    assert kept == {name: count for name, count in found.items() if "::" in name}
    assert {"Conv": 1, "LSTM": 1, "If": 1} == {name: found[name] for name in ("Conv", "LSTM", "If")}


def test_aten_keeps_all_but_sizes_and_control_flow(model):
    found = counted(exported(model, "aten"))
    assert {f"{ATEN}::ATen", "SequenceConstruct", "If", "Shape", "Concat"} == set(found)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [("inference", [0, 0]), ("untrained", [1, 0]), ("training", [1, 1]), ("training-preserve", [1, 1])],
)
def test_normalization_and_dropout_have_the_form_of_the_mode(recipe, expected, lowering):
    model = Mixed(ratio=0.5)
    found = counted(exported(model, recipe))
    assert expected == [found["BatchNormalization"], found["Dropout"]]


@pytest.mark.parametrize(("recipe", "trains"), [("untrained", 0), ("training", 1), ("training-preserve", 1)])
def test_normalization_trains_where_the_mode_says_so(recipe, trains, model, lowering):
    (norm,) = (node for node in graph(exported(model, recipe)).node if node.op_type == "BatchNormalization")
    assert trains == attributes(norm).get("training_mode", 0)


@pytest.mark.parametrize("recipe", ["training", "training-preserve", "aten"])
def test_every_weight_is_stored_under_its_name(recipe, model, lowering):
    result = exported(model, recipe)
    assert [] == [name for name in WEIGHTS if name not in initializers(result)]


def test_without_weights_each_is_an_input(model, lowering):
    result = exported(model, "untrained")
    assert ["x", *WEIGHTS] == inputs(result)
    assert [] == [name for name in initializers(result) if name in WEIGHTS]


@pytest.mark.parametrize("recipe", ["aten", "aten-fallback", "fallthrough"])
def test_stored_weights_can_be_overridden_where_the_type_is_not_onnx(recipe, model):
    result = exported(model, recipe)
    assert ["x", *initializers(result)] == inputs(result)


@pytest.mark.parametrize(("recipe", "opset"), [("inference", 18), ("torch-1.8", 9)])
def test_weights_are_no_inputs_otherwise(recipe, opset, model, lowering):
    result = exported(model, recipe)
    assert (opset, ["x"]) == (result.opset, inputs(result))


@pytest.mark.parametrize("recipe", ["training", "untrained", "aten", "fallthrough", "torch-1.8"])
def test_the_model_is_left_as_it_was(recipe, model, lowering):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    exported(model, recipe)
    assert modes == [module.training for module in model.modules()]
    assert [] == [name for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)]
