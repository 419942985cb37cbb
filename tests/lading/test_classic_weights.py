# SPDX-License-Identifier: Apache-2.0
"""`export_params`, `keep_initializers_as_inputs` and the names of weights, as torch 1.8 documents them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.files import close, initializers, inputs, operators, run
from torch import nn

import lading
from lading import UsageError

X = torch.linspace(-1, 1, 12).reshape(2, 2, 3)


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    model[1].weight = nn.Parameter(torch.randn(4, 4))
    return model.eval()


def exported(model: nn.Module, **arguments: Any) -> Any:
    return lading.export(model, X, **arguments)


# ---- export_params ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [8, 9, 13, 17])
@pytest.mark.parametrize("how", [{"export_params": False}, {"recipe": "untrained"}], ids=["argument", "recipe"])
def test_without_parameters_the_weights_are_inputs_by_their_names_in_state_dict(how, opset):
    model = network()
    result = exported(model, opset_version=opset, **how)
    assert ["input", *model.state_dict()] == inputs(result)
    assert close(model(X), run(result, {"input": X, **model.state_dict()})[0])


def test_other_weights_give_their_numbers():
    model, other = network(), network()
    nn.init.normal_(other[0].weight)
    result = exported(model, export_params=False)
    assert close(other(X), run(result, {"input": X, **other.state_dict()})[0])


def test_no_value_of_a_weight_is_in_the_file():
    assert [] == [name for name in initializers(exported(network(), export_params=False)) if name[0].isdigit()]


def test_normalisation_before_which_there_is_a_convolution_stays():
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)).eval()
    model[1].running_mean.fill_(0.5)
    result = exported(model, export_params=False)
    state = {name: value for name, value in model.state_dict().items() if "tracked" not in name}
    assert ["input", *state] == inputs(result)
    assert close(model(X), run(result, {"input": X, **state})[0])


class Literal(nn.Linear):
    """Tensors that no state_dict has."""

    def __init__(self):
        super().__init__(3, 2)
        self.offset = torch.tensor([1.0, 2.0])

    def forward(self, x):
        return super().forward(x) * torch.tensor([3.0, 4.0]) + self.offset


@pytest.mark.parametrize("opset", [8, 9, 17])
@pytest.mark.parametrize("arguments", [{"export_params": False}, {"keep_initializers_as_inputs": True}], ids=str)
def test_tensors_that_no_state_dict_has_are_no_inputs(arguments, opset):
    model = Literal().eval()
    result = lading.export(model, X[0], opset_version=opset, **arguments)
    assert ["x", "weight", "bias"] == inputs(result)
    assert close(model(X[0]), run(result, {"x": X[0], **model.state_dict()})[0])


def test_the_folding_of_weights_cannot_be_had_beside():
    result = exported(network(), export_params=False, do_constant_folding=True)
    assert ["input", *network().state_dict()] == inputs(result)


def test_tied_weights_are_one_input():
    model = network()
    model[1].weight = model[0].weight = nn.Parameter(torch.eye(4))
    x = torch.ones(1, 4)
    result = lading.export(model, x, export_params=False)
    assert 1 == len([name for name in inputs(result) if name in ("0.weight", "1.weight")])


def test_verification_feeds_the_weights():
    model = network()
    assert exported(model, export_params=False, verify=True).verification.passed


# ---- keep_initializers_as_inputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        ({}, False),
        ({"keep_initializers_as_inputs": None}, False),
        ({"keep_initializers_as_inputs": False}, False),
        ({"keep_initializers_as_inputs": True}, True),
        ({"operator_export_type": "onnx"}, False),
        ({"operator_export_type": "aten"}, True),
        ({"operator_export_type": "aten-fallback"}, True),
        ({"operator_export_type": "fallthrough"}, True),
        ({"operator_export_type": "fallthrough", "keep_initializers_as_inputs": False}, False),
        ({"recipe": "aten-fallback"}, True),
        ({"recipe": "aten-fallback", "operator_export_type": "onnx"}, False),
        ({"opset_version": 9}, False),
        ({"opset_version": 8}, True),
        ({"opset_version": 7}, True),
        ({"opset_version": 8, "keep_initializers_as_inputs": False}, False),
        ({"opset_version": 8, "keep_initializers_as_inputs": True}, True),
    ],
    ids=str,
)
def test_whether_weights_are_listed_among_the_inputs(arguments, listed):
    result = lading.export(nn.Linear(3, 2).eval(), X[0], **arguments)
    assert (["input", "weight", "bias"] if listed else ["input"]) == inputs(result)
    assert {"weight", "bias"} == {name for name in initializers(result) if name in ("weight", "bias")}


@pytest.mark.parametrize(
    ("arguments", "version"),
    [({}, 3), ({"keep_initializers_as_inputs": False}, 4), ({"keep_initializers_as_inputs": True}, 4)],
)
def test_below_ir_version_4_every_initializer_is_an_input(arguments, version):
    result = exported(network(), opset_version=8, **arguments)
    assert version == result.model_proto.ir_version
    if version == 3:
        assert set(initializers(result)) <= set(inputs(result))


@pytest.mark.parametrize("opset", [8, 9, 17])
def test_listed_weights_can_be_overridden(opset):
    model, other = nn.Linear(3, 2).eval(), nn.Linear(3, 2).eval()
    result = exported(model, keep_initializers_as_inputs=True, opset_version=opset)
    assert close(model(X), run(result, {"input": X})[0])
    assert close(other(X), run(result, {"input": X, **other.state_dict()})[0])


def test_weights_to_be_overridden_are_not_folded_into_each_other():
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)).eval()
    assert ["Conv", "BatchNormalization"] == operators(exported(model, keep_initializers_as_inputs=True))


def test_unless_folding_is_asked_for():
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)).eval()
    assert ["Conv"] == operators(exported(model, keep_initializers_as_inputs=True, do_constant_folding=True))


def test_the_caller_does_not_see_them_as_his_inputs():
    assert ["input"] == exported(network(), keep_initializers_as_inputs=True).input_names


# ---- input_names beyond the inputs -----------------------------------------------------------------------------------


def test_names_beyond_the_inputs_name_the_weights_in_the_order_of_state_dict():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    names = [f"learned_{index}" for index in range(4)]
    result = lading.export(model, X[0], input_names=["actual_input", *names], export_params=False)
    assert ["actual_input", *names] == inputs(result)
    feeds = dict(zip(names, model.state_dict().values(), strict=True))
    assert close(model(X[0]), run(result, {"actual_input": X[0], **feeds})[0])


def test_a_few_names_name_the_first_weights():
    result = exported(network(), input_names=["x", "first"], export_params=False)
    assert ["x", "first", "0.bias"] == inputs(result)[:3]


def test_more_names_than_weights_are_refused():
    with pytest.raises(UsageError, match="give at most 3 names"):
        exported(nn.Linear(3, 2), input_names=["x", "w", "b", "more"])


# ---- custom_opsets ---------------------------------------------------------------------------------------------------


def test_a_custom_opset_that_nothing_uses_is_a_warning():
    result = exported(nn.Linear(3, 2).eval(), custom_opsets={"my.domain": 2})
    assert ["a custom opset is of a domain that the model does not use"] == result.warnings
