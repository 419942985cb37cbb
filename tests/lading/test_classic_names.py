# SPDX-License-Identifier: Apache-2.0
"""`input_names`, `output_names` and `dynamic_axes`, as torch 1.8 documents them, by their effect on the file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.files import close, graph, inputs, outputs, run
from torch import nn

import lading
from lading import CaptureError, UsageError

X, Y = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3)


class Two(nn.Module):
    """Two inputs, two outputs."""

    def forward(self, x, y):
        return x + y, (x * y).sum(1)


def exported(**arguments: Any) -> Any:
    return lading.export(Two().eval(), (X, Y), **arguments)


def shapes(result: Any) -> dict[str, list[Any]]:
    """Return the dimensions of inputs and outputs as the file states them."""
    found = {}
    for value in (*graph(result).input, *graph(result).output):
        found[value.name] = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return found


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "names"),
    [(None, ["x", "y"]), ([], ["x", "y"]), (["a"], ["a", "y"]), (["a", "b"], ["a", "b"]), (("y",), ["y", "y_1"])],
    ids=["none", "empty", "shorter", "equal", "clash"],
)
def test_input_names(given, names):
    result = exported(input_names=given)
    assert names == inputs(result)
    assert close(X + Y, run(result, dict(zip(names, (X, Y), strict=True)))[0])


@pytest.mark.parametrize(
    ("given", "names"),
    [(None, ["output.0", "output.1"]), (["sum"], ["sum", "output.1"]), (["sum", "dot"], ["sum", "dot"])],
    ids=["none", "shorter", "equal"],
)
def test_output_names(given, names):
    assert names == outputs(exported(output_names=given))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_names": ["a", "b", "c"]}, "3 output names were given, and the model has 2 outputs"),
        ({"input_names": ["a", "b", "c"]}, "3 input names were given"),
        ({"input_names": ["a", "a"]}, "'a' is given twice"),
        ({"input_names": "ab"}, "not a list of names"),
        ({"output_names": "ab"}, "not a list of names"),
    ],
)
def test_names_that_fit_nothing(arguments, message):
    with pytest.raises(UsageError, match=message):
        exported(**arguments)


def test_a_name_for_a_weight_that_an_output_has():
    with pytest.raises(UsageError, match="'out' is the name of an output"):
        lading.export(nn.Linear(3, 2), X, input_names=["x", "out"], output_names=["out"])


# ---- dynamic axes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [8, 13, 18])
def test_axes_by_name(opset):
    result = exported(dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}}, opset_version=opset)
    found = shapes(result)
    assert (["batch", 3], ["batch", 3]) == (found["x"], found["y"])
    assert (["batch", 3], ["batch"]) == (found["output.0"], found["output.1"])
    x, y = torch.rand(5, 3), torch.rand(5, 3)
    assert close(x + y, run(result, {"x": x, "y": y})[0])


def test_lists_get_the_documented_names():
    axes = {"input_1": [0, 1], "input_2": {0: "input_1_dynamic_axes_1", 1: "input_1_dynamic_axes_2"}, "sum": [0, 1]}
    names = {"input_names": ["input_1", "input_2"], "output_names": ["sum", "dot"]}
    found = shapes(exported(dynamic_axes=axes, **names))
    assert ["input_1_dynamic_axes_1", "input_1_dynamic_axes_2"] == found["input_1"]
    assert ["sum_dynamic_axes_1", "sum_dynamic_axes_2"] == found["sum"]


def test_both_forms_in_one_call():
    class One(nn.Module):
        def forward(self, x, y):
            return x.exp(), y.exp()

    axes = {"x": [1], "y": {0: "rows"}, "first": {1: "columns"}, "second": [0]}
    result = lading.export(One(), (X, Y), output_names=["first", "second"], dynamic_axes=axes)
    assert {
        "x": [2, "x_dynamic_axes_1"],
        "y": ["rows", 3],
        "first": [2, "columns"],
        "second": ["second_dynamic_axes_1", 3],
    } == shapes(result)


def test_the_names_of_an_output_that_is_named_by_structure():
    axes = {"x": {0: "n"}, "y": {0: "n"}, "output.1": {0: "rows"}}
    assert ["rows"] == shapes(exported(dynamic_axes=axes))["output.1"]


def test_axes_not_asked_for_stay_fixed():
    assert [2, 3] == shapes(exported(dynamic_axes=None))["x"]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"z": {0: "n"}}, "'z', which is neither an input nor an output"),
        ({"x": {2: "n"}}, "'x' has no axis 2"),
        ({"output.0": {5: "n"}}, "no axis 5"),
        ({"x": "batch"}, "are a str"),
    ],
    ids=["name", "axis", "output-axis", "form"],
)
def test_axes_of_what_does_not_exist(axes, message):
    with pytest.raises(UsageError, match=message):
        exported(dynamic_axes=axes)


class Fixing(nn.Module):
    """A model that is made for one size."""

    def forward(self, x):
        return x + torch.ones(2, 3)


def test_an_axis_that_the_model_fixes_is_an_error():
    with pytest.raises(CaptureError, match="'rows'"):
        lading.export(Fixing(), X, dynamic_axes={"x": {0: "rows"}})


def test_and_a_warning_with_the_defaults_of_torch_1_8():
    result = lading.export(Fixing().eval(), X, dynamic_axes={"x": {0: "rows"}}, recipe="torch-1.8")
    assert "a requested dynamic axis is fixed" in result.warnings
    assert [2, 3] == shapes(result)["x"]
