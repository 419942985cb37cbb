# SPDX-License-Identifier: Apache-2.0
"""What a program gets back from `torch.onnx.export`: the manners of PyTorch's program object."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
import torch

import lading

X = torch.ones(2, 3)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 400)

    def forward(self, x):
        return self.linear(x), x + 1


@pytest.fixture
def program():
    with lading.taking_over():
        return torch.onnx.export(Net().eval(), (X,), input_names=["x"], dynamo=True)


def names(path) -> tuple[list[str], list[str]]:
    graph = onnx.load(path).graph
    return [value.name for value in graph.input], sorted(tensor.name for tensor in graph.initializer)


def test_model_and_model_proto(program):
    assert isinstance(program.model, ir.Model)
    assert ["x"] == [value.name for value in program.model_proto.graph.input]


def test_a_call_returns_tensors(program):
    first, second = program(X)
    assert (torch.Size([2, 400]), torch.Size([2, 3])) == (first.shape, second.shape)
    torch.testing.assert_close(second, X + 1)
    program.release()
    torch.testing.assert_close(program(x=X)[1], X + 1)


def test_optimize_changes_nothing(program):
    before = program.model_proto
    program.optimize()
    assert before == program.model_proto


WEIGHTS = ["linear.bias", "linear.weight"]


@pytest.mark.parametrize(
    ("keywords", "inputs", "initializers"),
    [
        ({}, ["x"], ["/Add_B", *WEIGHTS]),
        ({"keep_initializers_as_inputs": False}, ["x"], ["/Add_B", *WEIGHTS]),
        ({"keep_initializers_as_inputs": True}, ["x", *WEIGHTS[::-1]], WEIGHTS),
        ({"include_initializers": False}, ["x", *WEIGHTS[::-1]], ["/Add_B"]),
        ({"include_initializers": False, "keep_initializers_as_inputs": True}, ["x", *WEIGHTS[::-1]], ["/Add_B"]),
    ],
    ids=str,
)
def test_save_with_and_without_weights(program, tmp_path, keywords, inputs, initializers):
    before = program.model_proto
    program.save(tmp_path / "m.onnx", **keywords)
    assert (inputs, initializers) == names(tmp_path / "m.onnx")
    assert before == program.model_proto


@pytest.mark.parametrize(("external", "expected"), [(None, 1), (False, 1), (True, 2)])
def test_save_with_a_side_file(program, tmp_path, external, expected):
    program.save(destination=tmp_path / "m.onnx", external_data=external)
    assert expected == len(list(tmp_path.iterdir()))


class Exportable(torch.onnx.ExportableModule):
    def forward(self, x):
        return x * 2

    def example_arguments(self):
        return (X,), None

    def input_names(self):
        return ("image",)

    def dynamic_shapes(self):
        return ({0: "batch"},)


def test_a_module_that_knows_its_example():
    with lading.taking_over():
        program = torch.onnx.export(Exportable())
    assert (["image"], {"image": {0: "batch"}, "output": {0: "batch"}}) == (program.input_names, program.axes)


def test_a_module_that_knows_its_example_and_is_told_otherwise():
    with lading.taking_over():
        program = torch.onnx.export(Exportable(), input_names=["x"], output_names=["y"])
    assert (["x"], ["y"]) == (program.input_names, program.output_names)
