# SPDX-License-Identifier: Apache-2.0
"""`args`, `f`, `verbose` and `example_outputs`, as torch 1.8 documents them, by their effect on the file."""

from __future__ import annotations

import dataclasses
import io
import pathlib
from typing import Any

import onnx
import pytest
import torch
from support.files import attributes, close, decisions, graph, inputs, operators, outputs, run
from torch import nn

import lading
from lading import UsageError

X, Y, Z = torch.arange(6.0).reshape(2, 3), torch.full((2, 3), 2.0), torch.full((3,), 5.0)


class Sums(nn.Module):
    """x - y + 10 z, with y and z optional and scaled by a number."""

    def forward(self, x, y=None, z=None, scale=1.0):
        result = x * scale
        if y is not None:
            result = result - y
        return result if z is None else result + 10 * z


class Required(nn.Module):
    """Arguments without defaults."""

    def forward(self, x, y, z):
        return x if z is None else x + z


class Takes(nn.Module):
    """One argument of any structure."""

    def forward(self, batch):
        return batch["left"] - batch["right"][0] if isinstance(batch, dict) else batch[0] - batch[1][0]


def exported(model: nn.Module, args: Any, **arguments: Any) -> Any:
    return lading.export(model.eval(), args, **arguments)


# ---- args ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "names", "expected"),
    [
        (X, ["x"], X),
        ((X,), ["x"], X),
        ((X, Y), ["x", "y"], X - Y),
        ((X, {"z": Z}), ["x", "z"], X + 10 * Z),
        ((X, Y, {"z": Z}), ["x", "y", "z"], X - Y + 10 * Z),
        ((X, {}), ["x"], X),
        ((X, None, Z), ["x", "z"], X + 10 * Z),
        ((X, {"y": None, "z": Z}), ["x", "z"], X + 10 * Z),
        ((X, {"z": Z, "y": Y}), ["x", "y", "z"], X - Y + 10 * Z),
        ({"x": X, "z": Z}, ["x", "z"], X + 10 * Z),
    ],
    ids=["tensor", "one", "two", "dict", "both", "empty", "none", "named-none", "order", "only-dict"],
)
def test_every_form_of_args(args, names, expected):
    result = exported(Sums(), args)
    assert names == inputs(result)
    feeds = {name: {"x": X, "y": Y, "z": Z}[name] for name in names}
    assert close(expected, run(result, feeds)[0])


def test_a_dict_before_an_empty_dict_is_positional():
    batch = {"left": X, "right": [Y]}
    result = exported(Takes(), (batch, {}))
    assert ["batch.left", "batch.right.0"] == inputs(result)
    assert close(X - Y, run(result, {"batch.left": X, "batch.right.0": Y})[0])


def test_without_the_empty_dict_it_would_be_keyword_arguments():
    with pytest.raises(UsageError, match=r"(?s)no argument 'left'.*\.\.\., \{\}"):
        exported(Takes(), ({"left": X, "right": [Y]},))


def test_arguments_without_a_default_that_are_left_out_are_none():
    assert ["x", "y"] == inputs(exported(Required(), (X, {"y": Y})))


@dataclasses.dataclass
class Batch:
    """A container of the user's own."""

    left: torch.Tensor
    right: tuple[torch.Tensor, ...]

    def __getitem__(self, index):
        return (self.left, self.right)[index]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ((X, [Y]), ["batch.0", "batch.1.0"]),
        ([X, (Y,)], ["batch.0", "batch.1.0"]),
        (Batch(X, (Y,)), ["batch.left", "batch.right.0"]),
    ],
    ids=["tuple", "list", "dataclass"],
)
def test_nested_containers_become_flat_inputs(value, names):
    result = exported(Takes(), (value,))
    assert names == inputs(result)
    assert close(X - Y, run(result, dict(zip(names, (X, Y), strict=True)))[0])


def test_values_that_are_no_tensors_are_part_of_the_file():
    assert close(X * 3.0, run(exported(Sums(), (X, {"scale": 3.0})), {"x": X})[0])


def test_and_are_reported_in_the_audit():
    (baked,) = decisions(exported(Sums(), (X, {"scale": 3.0})), "argument baked in")
    assert {"argument": "scale", "value": "3.0"} == baked["details"]


# ---- f ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_f_is_a_path(kind, tmp_path):
    path = tmp_path / "model.onnx"
    exported(Sums(), (X, Y), f=kind(path))
    assert ["Sub"] == [node.op_type for node in onnx.load(path).graph.node]


def test_f_is_an_open_file(tmp_path):
    with open(tmp_path / "model.onnx", "wb") as file:
        exported(Sums(), (X, Y), f=file)
        assert not file.closed
    assert ["Sub"] == [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]


def test_f_is_bytes_in_memory(tmp_path):
    buffer = io.BytesIO()
    exported(Sums(), (X, Y), f=buffer)
    exported(Sums(), (X, Y), f=tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == buffer.getvalue()


def test_one_file_and_nothing_beside_it(tmp_path):
    exported(nn.Linear(64, 64), torch.ones(1, 64), f=tmp_path / "model.onnx")
    assert ["model.onnx"] == [path.name for path in tmp_path.iterdir()]


def test_without_f_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert exported(Sums(), X).path is None
    assert [] == list(tmp_path.iterdir())


# ---- verbose ---------------------------------------------------------------------------------------------------------


def test_verbose_tells_the_passes_on_stderr(capfd):
    exported(Sums(), X, verbose=True)
    said = capfd.readouterr()
    assert "lower" in said.err
    assert "" == said.out


def test_without_verbose_nothing_is_said(capfd):
    exported(Sums(), X)
    assert ("", "") == capfd.readouterr()


def test_verbose_writes_source_lines_into_the_file():
    (node,) = graph(exported(Sums(), (X, Y), verbose=True)).node
    assert "test_classic_arguments.py:" in node.doc_string


def test_modules_of_torch_have_their_place_in_the_model_there():
    (node,) = graph(exported(nn.Sequential(nn.ReLU()), X, verbose=True)).node
    assert node.doc_string


@pytest.mark.parametrize("arguments", [{}, {"verbose": False}, {"verbose": True, "strip_doc_string": True}])
def test_without_it_there_are_no_doc_strings(arguments):
    (node,) = graph(exported(Sums(), (X, Y), **arguments)).node
    assert "" == node.doc_string


# ---- example_outputs -------------------------------------------------------------------------------------------------


class Pair(nn.Module):
    """Two outputs."""

    def forward(self, x):
        return x + 1, x.sum()


@pytest.mark.parametrize(
    ("model", "given"),
    [(Sums(), X), (Sums(), (X,)), (Pair(), (X, torch.tensor(0.0))), (Pair(), [X, torch.tensor(0.0)])],
    ids=["tensor", "tuple", "pair", "list"],
)
def test_example_outputs_that_fit(model, given):
    result = exported(model, X, example_outputs=given)
    assert len(outputs(result)) == len(decisions_counted(result))


def decisions_counted(result: Any) -> range:
    """As many as the outputs that were compared."""
    counts = [event["counts"] for event in result.events if event.get("counts")]
    return range(sum(count.get("example outputs compared", 0) for count in counts))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(2, 4), r"'output' is float\[2, 3\], and example_outputs says float\[2, 4\]"),
        (torch.zeros(2, 3).int(), r"'output' is float\[2, 3\], and example_outputs says int32\[2, 3\]"),
        (torch.zeros(6), r"says float\[6\]"),
        ((X, X), "example_outputs has 2 tensors, and the model 1 outputs"),
    ],
    ids=["size", "dtype", "rank", "number"],
)
def test_example_outputs_of_another_call_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        exported(Sums(), X, example_outputs=given)


def test_example_outputs_beside_dynamic_axes():
    assert exported(Sums(), X, example_outputs=X, dynamic_axes={"x": [0]}).axes["x"]


def test_example_outputs_of_a_scripted_model():
    scripted = torch.jit.script(Pair().eval())
    result = lading.export(scripted, X, example_outputs=(X, torch.tensor(0.0)))
    assert close(X + 1, run(result, dict(zip(inputs(result), [X], strict=True)))[0])


def _refuses_what_is_above_zero(x: torch.Tensor) -> torch.Tensor:
    if bool((x > 0).any()):
        raise RuntimeError("it was executed")
    return x * 2


@pytest.mark.parametrize("given", [X, None], ids=["given", "found"])
def test_a_scripted_model_is_never_executed_for_its_outputs(given):
    scripted = torch.jit.script(_refuses_what_is_above_zero)
    with pytest.raises(torch.jit.Error, match="it was executed"):
        scripted(X)
    result = lading.export(scripted, X, example_outputs=given)
    assert close(-2 * X, run(result, {"x": -X})[0])


# ---- opset_version and do_constant_folding ---------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [*range(7, onnx.defs.onnx_opset_version() + 1), "latest"])
def test_the_opset_asked_for_is_the_opset_delivered(opset):
    result = exported(Sums(), (X, Y, Z), opset_version=opset)
    stated = {entry.domain: entry.version for entry in result.model_proto.opset_import}
    assert {"": onnx.defs.onnx_opset_version() if opset == "latest" else opset} == stated


@pytest.mark.parametrize("opset", [6, 1, onnx.defs.onnx_opset_version() + 1])
def test_an_opset_out_of_range_is_refused(opset):
    with pytest.raises(UsageError, match=str(opset)):
        exported(Sums(), X, opset_version=opset)


class Table(nn.Module):
    """Computes something from a weight alone."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x + torch.exp(self.weight)


@pytest.mark.parametrize(("fold", "expected"), [(True, ["Add"]), (None, ["Add"]), (False, ["Exp", "Add"])])
def test_do_constant_folding(fold, expected):
    assert expected == operators(exported(Table(), X, do_constant_folding=fold))


def test_folding_is_refused_by_a_recipe_that_has_no_such_pass():
    with pytest.raises(UsageError, match="no step 'fold-constants'"):
        exported(Table(), X, do_constant_folding=True, recipe="base")


def test_no_folding_asks_nothing_of_a_recipe_that_has_no_such_pass():
    assert "Exp" in operators(exported(Table(), X, do_constant_folding=False, recipe="base"))


def test_folding_off_leaves_normalisation_alone():
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    result = exported(model, torch.ones(1, 2, 4, 4), do_constant_folding=False)
    assert ["Conv", "BatchNormalization"] == operators(result)
    assert 0 == attributes(graph(result).node[1]).get("training_mode", 0)
