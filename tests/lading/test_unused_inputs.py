# SPDX-License-Identifier: Apache-2.0
"""Inputs that the model does not use: they stay, or go where the recipe says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.files import decisions, inputs, outputs
from torch import nn

import lading
from lading import UsageError
from lading.verifying import verify_file

IDS, KINDS, MASK = torch.ones(2, 3), torch.zeros(2, 3), torch.full((2, 3), 0.5)
AXES = {name: {0: "batch", 1: "length"} for name in ("ids", "kinds", "mask")}


class Masked(nn.Module):
    """A model that takes kinds and does not look at them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 2)

    def forward(self, ids, kinds, mask):
        return self.layer((ids * mask).unsqueeze(-1))


def exported(model: Any = None, **arguments: Any) -> Any:
    dropping = {"drop-dead.unused_inputs": True}
    return lading.export(model or Masked().eval(), (IDS, KINDS, MASK), overrides=dropping, **arguments)


@pytest.mark.parametrize("recipe", ["inference", "torch-1.8", "training", "base"])
def test_they_stay(recipe):
    assert ["ids", "kinds", "mask"] == lading.export(Masked().eval(), (IDS, KINDS, MASK), recipe=recipe).input_names


@pytest.mark.parametrize("opset", [8, 13, 18])
def test_they_go_and_the_file_is_verified(opset):
    result = exported(opset_version=opset, dynamic_axes=AXES, verify=True)
    assert ["ids", "mask"] == result.input_names
    assert "passed" == result.verification.status
    assert [] == [check.name for check in result.verification.checks if check.status != "passed"]


def test_what_went_is_on_record():
    assert [{"input": "kinds"}] == [one["details"] for one in decisions(exported(), "input removed")]


def test_the_file_is_called_without_them():
    model = Masked().eval()
    result = exported(model)
    torch.testing.assert_close(torch.from_numpy(result(IDS, MASK)[0]), model(IDS, KINDS, MASK).detach())


def test_axes_of_what_is_left_stay_and_those_of_the_others_are_on_record():
    result = exported(dynamic_axes=AXES)
    assert {"ids", "mask", "output"} == result.axes.keys()
    (left,) = decisions(result, "axes of no input")
    assert {"input": "kinds", "axes": {"0": "batch", "1": "length"}} == left["details"]


def test_an_axis_that_only_an_unused_input_has_is_tried_all_the_same():
    result = exported(dynamic_axes={"kinds": {1: "kind"}}, verify=True)
    assert {"kind = 1", "kind = 4", "kind = 7"} <= {check.name for check in result.verification.checks}


def test_names_beyond_the_inputs_name_weights_as_without_it():
    result = exported(input_names=["a", "b", "c", "w"])
    assert ["a", "c"] == result.input_names
    assert any(name.startswith("w") for name in result.model.graph.initializers)


def test_an_input_of_which_the_size_counts_stays():
    class Sized(nn.Module):
        def forward(self, ids, kinds, mask):
            return ids * mask * kinds.shape[0]

    assert ["ids", "kinds", "mask"] == exported(Sized(), dynamic_axes={"kinds": {0: "kinds"}}).input_names


def test_an_input_that_is_only_handed_through_stays():
    class Through(nn.Module):
        def forward(self, ids, kinds, mask):
            return ids.exp(), kinds

    assert ["ids", "kinds"] == exported(Through()).input_names


def test_weights_that_are_inputs_follow():
    result = exported(export_params=False)
    assert ["ids", "mask", "layer.weight", "layer.bias"] == inputs(result)
    assert ["output"] == outputs(result)


@pytest.mark.parametrize("recipe", ["inference", "untrained"])
def test_the_file_is_verified_on_its_own(recipe, tmp_path):
    model = Masked().eval()
    exported(model, f=tmp_path / "model.onnx", recipe=recipe, dynamic_axes=AXES)
    found = verify_file(tmp_path / "model.onnx", model, (IDS, KINDS, MASK))
    assert "passed" == found.status


@pytest.mark.parametrize("names", [["a", "b", "c"]])
def test_and_so_is_one_with_names_of_its_own(names, tmp_path):
    model = Masked().eval()
    exported(model, f=tmp_path / "model.onnx", input_names=names)
    assert "passed" == verify_file(tmp_path / "model.onnx", model, (IDS, KINDS, MASK), input_names=names).status
    with pytest.raises(UsageError, match=r"(?s)the file takes a, c, and the call has 3: ids, kinds, mask.*input_names"):
        verify_file(tmp_path / "model.onnx", model, (IDS, KINDS, MASK))


def test_a_recipe_without_the_pass_refuses():
    with pytest.raises(UsageError, match="no step 'drop-dead'"):
        exported(recipe="base")
