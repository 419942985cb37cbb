# SPDX-License-Identifier: Apache-2.0
"""Calls of modules as calls of functions, by every capture."""

from __future__ import annotations

import pytest
import torch
from lading.pipeline.errors import PlanError
from torch import nn

import lading


class Block(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        batch, length, width = x.shape
        halves = self.norm(torch.relu(self.fc(x))).reshape(batch, length * 2, width // 2)
        return halves.reshape(batch, length, width) + x


class Stack(nn.Module):
    """Two blocks, the first of them run twice."""

    def __init__(self):
        super().__init__()
        self.first = Block()
        self.second = Block()

    def forward(self, x):
        return self.second(self.first(self.first(x))) * 2


AXES = {"x": {0: "batch", 1: "length"}}
STRATEGIES = ("record", "export", "script", "jit-trace")


@pytest.fixture(scope="module")
def stack():
    torch.manual_seed(0)
    return Stack().eval()


@pytest.fixture(scope="module")
def x():
    return torch.randn(2, 3, 4)


@pytest.fixture(params=STRATEGIES)
def blocks(request, kept, stack, x):
    return kept(stack, x, "Block", strategy=request.param, dynamic_axes=AXES)


def test_layers_with_other_weights_are_calls_of_one_function(blocks):
    assert ["Block"] == list(blocks.functions)
    assert ["Block", "Block", "Block"] == blocks.calls


def test_weights_are_inputs_of_the_function_and_keep_their_names(blocks):
    first, again, second = (node for node in blocks.exported.model.graph if node.domain == "modules")
    assert ["first.fc.weight.T", "first.fc.bias", "first.norm.weight", "first.norm.bias"] == [
        value.name for value in first.inputs[1:]
    ]
    assert list(first.inputs[1:]) == list(again.inputs[1:])
    assert "second.fc.bias" in [value.name for value in second.inputs]


def test_calls_are_named_after_their_modules(blocks):
    names = [node.name for node in blocks.exported.model.graph if node.domain == "modules"]
    assert ["/first", "/first_1", "/second"] == names


def test_names_in_a_function_begin_at_its_module(blocks):
    names = {node.name for node in blocks.functions["Block"]}
    assert {"/fc/MatMul", "/Relu", "/norm/LayerNormalization"} <= names
    assert ["input", "fc.weight.T", "fc.bias", "norm.weight", "norm.bias"] == [
        value.name for value in blocks.functions["Block"].inputs
    ]


def test_what_a_call_gives_has_type_and_shape(blocks):
    first, *_ = (node for node in blocks.exported.model.graph if node.domain == "modules")
    dims = [dim if isinstance(dim, int) else dim.value for dim in first.outputs[0].shape]
    assert (["batch", "length", 4], "FLOAT") == (dims, first.outputs[0].dtype.name)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_preserved_module_in_another_is_a_function_that_it_calls(kept, stack, x, strategy):
    made = kept(stack, x, "Block,LayerNorm", strategy=strategy, dynamic_axes=AXES)
    assert ["LayerNorm", "Block"] == list(made.functions)
    assert "LayerNorm" in made.operators("Block")
    assert ["Block", "Block", "Block"] == made.calls


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_model_itself_may_be_one(kept, stack, x, strategy):
    made = kept(stack, x, "Block,Stack", strategy=strategy, dynamic_axes=AXES)
    assert (["Stack"], ["Block", "Block", "Block", "Mul"]) == (made.calls, made.operators("Stack"))


def test_every_opset_from_the_lowest_on_that_has_functions(kept, stack, x):
    for opset in (15, 17, 21, "latest"):
        assert ["Block"] == list(kept(stack, x, "Block", opset=opset, dynamic_axes=AXES).functions)


@pytest.mark.parametrize("strategy", ["record", "export"])
def test_an_older_opset_is_refused_before_the_model_runs(stack, x, strategy):
    runs = []
    with stack.register_forward_hook(lambda *_: runs.append(1)), pytest.raises(PlanError, match="needs opset 15"):
        lading.export(
            stack, (x,), opset_version=14, settings=['inline.preserve=["Block"]', f"trace.strategy={strategy}"]
        )
    assert [] == runs


def test_a_name_that_no_called_class_has_is_a_warning_with_the_nearest(kept, stack, x):
    found = kept(stack, x, "Blok,Zebra")
    told = {warning["details"]["name"]: warning["details"].get("nearest") for warning in found.warnings}
    assert {"Blok": "Block", "Zebra": None} == told
    assert {} == found.functions


def test_a_function_says_which_operators_it_needs(kept, stack, x):
    made = kept(stack, x, "Block,LayerNorm", dynamic_axes=AXES)
    proto = made.exported.model_proto
    imports = {f.name: {each.domain: each.version for each in f.opset_import} for f in proto.functions}
    assert {"LayerNorm": {"": 18}, "Block": {"": 18, "modules": 1}} == imports
    assert 8 == proto.ir_version


def test_provenance_inside_of_a_function_is_seen_from_its_module(kept, stack, x):
    made = kept(stack, x, "Block", settings=["serialize.provenance=full"])
    (norm,) = [node for node in made.functions["Block"] if node.op_type == "LayerNormalization"]
    call, *_ = made.exported.model.graph
    assert ("norm", "LayerNorm") == (norm.metadata_props["lading.module"], norm.metadata_props["lading.class"])
    assert ("first", "Block") == (call.metadata_props["lading.module"], call.metadata_props["lading.class"])
    assert "test_calls.py:" in call.metadata_props["lading.source"]


def test_the_record_says_what_was_kept(kept, stack, x):
    made = kept(stack, x, "Block")
    decided = [
        decision
        for event in made.exported.events
        for decision in event.get("decisions") or ()
        if decision["what"] == "module kept as a function"
    ]
    assert {"call of Block": 3} == made.counts("inline")
    assert [{"function": "Block", "module": "first", "calls": 3}] == [decision["details"] for decision in decided]
    assert {"Block": len(made.functions["Block"])} == made.exported.to_dict()["functions"]
