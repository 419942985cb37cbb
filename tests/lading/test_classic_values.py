# SPDX-License-Identifier: Apache-2.0
"""Values of the classic arguments in other types than the documented ones: taken for what they are, or refused."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import pytest
import torch
from support.files import graph, initializers, inputs, operators, outputs
from torch import nn

import lading
from lading import UsageError

X = torch.ones(2, 3)


class Model(nn.Module):
    """A weight to fold."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x + torch.exp(self.weight)


def exported(**arguments: Any) -> Any:
    return lading.export(Model().eval(), X, **arguments)


# ---- flags -----------------------------------------------------------------------------------------------------------

FLAGS = (
    "export_params",
    "verbose",
    "do_constant_folding",
    "keep_initializers_as_inputs",
    "verify",
    "aten",
    "strip_doc_string",
    "enable_onnx_checker",
    "use_external_data_format",
    "external_data",
    "dynamo",
    "optimize",
)


@pytest.mark.parametrize("value", ["yes", "false", "", 2, 1.0, [], np.ones(2)], ids=repr)
@pytest.mark.parametrize("name", FLAGS)
def test_what_is_neither_yes_nor_no_is_refused(name, value):
    with pytest.raises(UsageError, match=rf"(?s){name}=.* is neither True nor False.*leave it out"):
        exported(**{name: value})


YES = pytest.mark.parametrize("yes", [True, 1, np.True_, np.int64(1), torch.tensor(True)], ids=type)
NO = pytest.mark.parametrize("no", [False, 0, np.False_, np.int64(0), torch.tensor(False)], ids=type)


@YES
def test_a_yes_of_any_type(yes):
    result = exported(verbose=yes, keep_initializers_as_inputs=yes)
    assert (True, ["x", "weight"]) == (bool(graph(result).node[-1].doc_string), inputs(result))


@NO
def test_a_no_of_any_type(no):
    result = exported(do_constant_folding=no, optimize=no, strip_doc_string=no, export_params=no)
    assert (["Exp", "Add"], ["x", "weight"], []) == (operators(result), inputs(result), initializers(result))
    assert graph(result).node[-1].doc_string


# ---- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [13, np.int64(13), np.int32(13), torch.tensor(13)], ids=type)
def test_an_opset_of_any_type_of_integer(opset):
    result = exported(opset_version=opset)
    assert (13, int) == (result.opset, type(result.opset))


@pytest.mark.parametrize("opset", [True, np.True_, 13.0, np.float64(13), "13", [13]], ids=repr)
def test_an_opset_that_is_no_integer(opset):
    with pytest.raises(UsageError, match=r"target\.opset must be a whole number or 'latest'"):
        exported(opset_version=opset)


@pytest.mark.parametrize(
    ("opsets", "message"),
    [(["my.domain"], "which domain has which version"), ({"my.domain": "1"}, "must be a whole number, not '1'")],
    ids=["list", "text"],
)
def test_custom_opsets_that_are_no_versions(opsets, message):
    with pytest.raises(UsageError, match=message):
        exported(custom_opsets=opsets)


# ---- names -----------------------------------------------------------------------------------------------------------


def test_names_in_any_order_of_collection():
    result = exported(input_names=(name for name in ["a"]), output_names=np.array(["b"]).tolist())
    assert (["a"], ["b"]) == (inputs(result), outputs(result))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_names": [""]}, "(?s)an input name is empty.*fewer names"),
        ({"output_names": [""]}, "an output name is empty"),
        ({"output_names": ["y", "y"]}, "the output name 'y' is given twice"),
        ({"input_names": ["v"], "output_names": ["v"]}, "'v' is the name of an input and of an output"),
        ({"output_names": ["x"]}, "'x' is the name of an input and of an output"),
        ({"input_names": [1]}, "must be text, not 1"),
        ({"output_names": [None]}, "must be text, not None"),
        ({"input_names": 5}, "input_names=5 is not a list of names"),
    ],
    ids=["input", "output", "twice", "shared", "by-itself", "number", "none", "no-list"],
)
def test_names_that_name_nothing(arguments, message):
    with pytest.raises(UsageError, match=message):
        exported(**arguments)


# ---- axes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axes", [{0: torch.export.Dim("rows")}, {"0": "rows"}, {np.int64(0): "rows"}, {-2: "rows"}], ids=repr
)
def test_axes_and_names_of_any_type(axes):
    result = exported(dynamic_axes={"x": axes})
    assert {0: "rows"} == result.axes["x"]
    assert (5, 3) == result(torch.ones(5, 3))[0].shape


@pytest.mark.parametrize("axes", [[np.int64(0)], (0,), ["0"]], ids=repr)
def test_lists_of_axes_of_any_type(axes):
    assert {0: "x_dynamic_axes_1"} == exported(dynamic_axes={"x": axes}).axes["x"]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({0: ""}, r"(?s)axis 0 of 'x' is called '', which is no name.*\{'x': \[0\]\}"),
        ({0: 5}, "axis 0 of 'x' is called 5, which is no name"),
        ({0: ["rows"]}, "which is no name"),
        ({True: "rows"}, "the key True, which is no axis"),
        ({0.0: "rows"}, r"the key 0\.0, which is no axis"),
        ({None: "rows"}, "the key None, which is no axis"),
        ([0, 0], "axis 0 of 'x' is given twice"),
    ],
    ids=["empty", "number", "list", "bool", "float", "none", "twice"],
)
def test_axes_that_are_none(axes, message):
    with pytest.raises(UsageError, match=message):
        exported(dynamic_axes={"x": axes})


@pytest.mark.parametrize("examples", [X, 5, {"x": X}], ids=["tensor", "number", "dict"])
def test_examples_are_a_list_of_calls(examples):
    with pytest.raises(UsageError, match="not a list of example calls"):
        exported(examples=examples)


# ---- f ---------------------------------------------------------------------------------------------------------------


class PathInBytes(os.PathLike):
    """A path that says itself in bytes."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return os.fsencode(self.path)


@pytest.mark.parametrize("kind", [os.fsencode, PathInBytes], ids=["bytes", "path-like"])
def test_a_path_in_bytes(kind, tmp_path):
    result = exported(f=kind(tmp_path / "model.onnx"))
    assert ["model.onnx"] == [path.name for path in tmp_path.iterdir()]
    result.save(kind(tmp_path / "again.onnx"))
    assert tmp_path.joinpath("model.onnx").read_bytes() == tmp_path.joinpath("again.onnx").read_bytes()


@pytest.mark.parametrize("path", ["", b""], ids=repr)
def test_an_empty_path(path):
    with pytest.raises(UsageError, match="the path of the file is empty"):
        exported(f=path)


class Counting(nn.Module):
    """Counts its runs."""

    runs = 0

    def forward(self, x):
        self.runs += 1
        return x + 1


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (5, "5 is neither a path nor a binary file object"),
        (True, "True is neither a path nor a binary file object"),
        (["model.onnx"], "neither a path nor a binary file object"),
        (io.StringIO(), "does not take bytes"),
        (io.BufferedReader(io.BytesIO()), "open for reading only"),
    ],
    ids=["int", "bool", "list", "text", "reading"],
)
def test_what_cannot_be_written_to_is_refused_before_the_model_runs(file, message):
    model = Counting()
    with pytest.raises(UsageError, match=message):
        lading.export(model, (X,), file)
    assert 0 == model.runs


def test_a_closed_file_is_refused(tmp_path):
    with open(tmp_path / "model.onnx", "wb") as file:
        pass
    with pytest.raises(UsageError, match="is closed"):
        exported(f=file)


# ---- running what came out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((X, X), {}, "(?s)2 values were given by position, and the file takes 1: x.*baked in"),
        ((X, 2.0), {}, "2 values were given by position"),
        ((X,), {"x": X}, "the input 'x' is given twice"),
        ((), {}, r"missing: \['x'\]"),
        ((X,), {"y": X}, r"unknown: \['y'\]"),
    ],
    ids=["surplus", "baked", "twice", "missing", "unknown"],
)
def test_a_call_that_does_not_fit_the_file(args, kwargs, message):
    with pytest.raises(UsageError, match=message):
        exported()(*args, **kwargs)


def test_a_call_of_a_file_without_inputs():
    with pytest.raises(UsageError, match="1 values were given by position, and the file takes none"):
        lading.export(lambda: torch.ones(2).exp())(X)
