# SPDX-License-Identifier: Apache-2.0
"""The arguments of both `torch.onnx.export` signatures that have no place of their own: honoured or refused."""

from __future__ import annotations

import inspect
import io
import operator
from typing import Any

import onnx
import pytest
import torch
from support.classic_signature import OF_TORCH_1_8
from support.files import graph, initializers, operators
from torch import nn

import lading
from lading import UsageError
from lading.overrides import FurtherArguments

X = torch.ones(2, 3)


class Model(nn.Module):
    """A weight to fold and an operator of its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x + torch.exp(self.weight)


def exported(**arguments: Any) -> Any:
    return lading.export(Model().eval(), X, **arguments)


def known() -> set[str]:
    return {*inspect.signature(lading.export).parameters, *FurtherArguments.__annotations__}


@pytest.mark.parametrize("name", OF_TORCH_1_8)
def test_every_argument_of_torch_1_8_is_known(name):
    assert name in known()


@pytest.mark.parametrize("name", inspect.signature(torch.onnx.export).parameters)
def test_every_argument_of_the_installed_torch_is_known(name):
    assert name in known()


def test_the_order_is_that_of_the_design():
    names = [name for name in OF_TORCH_1_8 if name not in FurtherArguments.__annotations__]
    assert names == list(inspect.signature(lading.export).parameters)[: len(names)]


def test_an_argument_that_no_version_has():
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'optimise'.*optimize"):
        exported(optimise=True)


# ---- honoured --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strip", "expected"), [(True, False), (False, True), (None, False)])
def test_strip_doc_string(strip, expected):
    assert expected is bool(graph(exported(strip_doc_string=strip)).node[-1].doc_string)


def checks(result: Any) -> int:
    counts = [event["counts"] for event in result.events if event.get("counts")]
    return sum(count.get("checked by onnx.checker", 0) for count in counts)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"enable_onnx_checker": True}, 1),
        ({"enable_onnx_checker": False}, 0),
        ({"recipe": "torch-1.8"}, 1),
        ({"recipe": "torch-1.8", "enable_onnx_checker": False}, 0),
        ({"enable_onnx_checker": True, "opset_version": 7}, 1),
        ({"enable_onnx_checker": True, "operator_export_type": "aten"}, 1),
        ({"enable_onnx_checker": True, "export_params": False}, 1),
    ],
    ids=str,
)
def test_the_checker_runs_where_it_is_enabled(arguments, expected):
    assert expected == checks(exported(**arguments))


@lading.a_pass("break-a-node", requires=(lading.Fact.ONNX,), after=("name-values",))
class BreakANode:
    """Give a node an operator that no opset has."""

    def run(self, work, note):
        """Break the last node."""
        work.need_model().graph[-1].op_type = "Nonsense"


def test_what_the_checker_refuses_is_not_written(tmp_path):
    with pytest.raises(lading.InternalError, match=r"(?s)onnx.checker refuses the model.*Nonsense"):
        exported(enable_onnx_checker=True, passes=[BreakANode()], f=tmp_path / "model.onnx")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["use_external_data_format", "external_data"])
def test_weights_in_a_second_file(name, tmp_path):
    model = nn.Linear(32, 32)
    lading.export(model, torch.ones(1, 32), tmp_path / "model.onnx", **{name: True})
    assert ["model.onnx", "model.onnx.data"] == sorted(path.name for path in tmp_path.iterdir())
    (weight,) = [
        tensor
        for tensor in onnx.load(tmp_path / "model.onnx", load_external_data=False).graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    ]
    assert "weight" == weight.name


@pytest.mark.parametrize("name", ["use_external_data_format", "external_data"])
def test_weights_in_the_one_file(name, tmp_path):
    lading.export(nn.Linear(32, 32), torch.ones(1, 32), tmp_path / "model.onnx", **{name: False})
    assert ["model.onnx"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    "arguments",
    [
        {"use_external_data_format": True},
        {"use_external_data_format": True, "f": io.BytesIO()},
        {"external_data": True, "f": io.BytesIO()},
    ],
    ids=["none", "bytes", "modern"],
)
def test_a_second_file_needs_a_path(arguments):
    with pytest.raises(UsageError, match="f is no path"):
        exported(**arguments)


@pytest.mark.parametrize(("dynamo", "strategy"), [(True, "export"), (False, "record"), (None, "record")])
def test_dynamo_chooses_the_capture(dynamo, strategy):
    (captured,) = [
        one["why"]
        for event in exported(dynamo=dynamo).events
        for one in event.get("decisions") or ()
        if one["what"] == "captured"
    ]
    assert f"by the strategy {strategy}" == captured


@pytest.mark.parametrize(("optimize", "expected"), [(True, ["Add"]), (False, ["Exp", "Add"])])
def test_optimize(optimize, expected):
    assert expected == operators(exported(optimize=optimize))


def test_optimize_needs_a_recipe_that_tidies():
    with pytest.raises(UsageError, match="no step 'tidy'"):
        exported(optimize=True, recipe="base")


def test_aten_is_the_older_word_for_the_export_type():
    assert {"org.pytorch.aten::ATen"} == {name for name in operators(exported(aten=True)) if name != "Constant"}


def test_aten_and_an_export_type_contradict_each_other():
    with pytest.raises(UsageError, match="contradict"):
        exported(aten=True, operator_export_type="onnx")


def test_aten_false_asks_for_nothing():
    assert ["Add"] == operators(exported(aten=False))


def test_an_empty_list_of_modules_as_functions_asks_for_nothing():
    assert ["Add"] == operators(exported(export_modules_as_functions=False))


class Head(nn.Module):
    """Two layers of one class, in a list, and one of another."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        self.norm = nn.LayerNorm(3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return self.norm(x)


@pytest.mark.parametrize(
    ("wanted", "calls"),
    [
        ({nn.LayerNorm}, ["LayerNorm"]),
        ([nn.Linear, nn.LayerNorm], ["Linear", "Linear", "LayerNorm"]),
        (True, ["Linear", "Linear", "LayerNorm"]),
        (set(), []),
    ],
    ids=str,
)
def test_modules_as_functions(wanted, calls):
    axes = {"x": {0: "n"}}
    result = lading.export(Head().eval(), X, dynamic_axes=axes, export_modules_as_functions=wanted, verify=True)
    model = result.model_proto
    assert calls == [node.op_type for node in model.graph.node if node.domain == "modules"]
    assert sorted(set(calls)) == sorted(function.name for function in model.functions)
    assert "passed" == result.verification.status


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"export_raw_ir": True}, "the graph of TorchScript is no ONNX"),
        ({"operator_export_type": "RAW"}, "the graph of TorchScript is no ONNX"),
        ({"_retain_param_name": False}, "weights always keep their names"),
        ({"report": True}, "audit"),
        ({"profile": True}, "the audit has the time"),
        ({"dump_exported_program": True}, "no exported program"),
        ({"artifacts_dir": "out"}, "nothing is written beside the file"),
        ({"custom_translation_table": [torch.ops.aten.add.Tensor]}, "no table from overloads to functions"),
        ({"custom_translation_table": {torch.ops.aten.add.Tensor: "add"}}, "no table from overloads to functions"),
        ({"custom_translation_table": {torch.ops.aten.add: print}}, "no overload of an operator"),
        ({"custom_translation_table": {operator.floordiv: print}}, "no overload of an operator"),
        ({"autograd_inlining": False}, "where a lowering is registered"),
        ({"fallback": True}, "no older exporter"),
        ({"export_modules_as_functions": nn.LayerNorm}, "neither True nor a set of module classes"),
        ({"export_modules_as_functions": "LayerNorm"}, "neither True nor a set of module classes"),
        ({"training": "sometimes"}, "'sometimes' is not known"),
        ({"operator_export_type": "ONNX_ATEM"}, "'ONNX_ATEM' is not known"),
        ({"custom_opsets": {"": 3}}, "cannot set the default domain"),
        ({"custom_opsets": {"my.domain": 0}}, "version 0 of domain 'my.domain'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_take_effect_is_refused_with_the_reason(arguments, reason):
    with pytest.raises(UsageError, match=reason):
        exported(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"export_raw_ir": False},
        {"_retain_param_name": True},
        {"report": False},
        {"profile": False},
        {"dump_exported_program": False},
        {"artifacts_dir": "."},
        {"custom_translation_table": None},
        {"custom_translation_table": {}},
        {"autograd_inlining": True},
        {"fallback": False},
    ],
    ids=lambda value: next(iter(value)),
)
def test_and_asks_for_nothing_where_it_says_so(arguments):
    assert ["weight"] == initializers(exported(do_constant_folding=False, **arguments))


def test_the_defaults_of_torch_1_8():
    result = exported(recipe="torch-1.8")
    assert (9, 4, ["Add"]) == (result.opset, result.model_proto.ir_version, operators(result))
