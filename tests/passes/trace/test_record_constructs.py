# SPDX-License-Identifier: Apache-2.0
"""What models do besides calling operators: literals, attributes, transforms, custom functions, plain functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x**3 * factor

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2 * ctx.factor, None


class CubeWithSetup(torch.autograd.Function):
    @staticmethod
    def forward(x, factor):
        return x**3 * factor, x + 1

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output[1])
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, grad, _):
        return grad, None


class UsesFunction(nn.Module):
    def forward(self, x):
        first = Cube.apply(x, 2.0)
        second, third = CubeWithSetup.apply(x, 0.5)
        return first + second + third


class UsesVmap(nn.Module):
    def forward(self, x, y):
        return torch.vmap(lambda row: (row * 2).sum() + row[0] @ row[1])(x) + torch.vmap(torch.dot)(y, y)


class KeepsTensorAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.arange(6.0).reshape(2, 3)
        self.several = [torch.ones(3), torch.full((3,), 2.0)]

    def forward(self, x):
        return x * self.table + self.several[1] - torch.tensor([1.0, 2.0, 3.0])


class SharedHelper(nn.Module):
    def forward(self, x):
        return x.sum(0) / torch.tensor(3.0) + torch.tensor([x.shape[0], 2])


def test_autograd_function_is_captured_by_its_forward(captured):
    assert captured(UsesFunction(), torch.randn(3)).same_as_eager()


def test_autograd_function_is_put_back(captured):
    before = torch.autograd.Function.__dict__["apply"]
    captured(UsesFunction(), torch.randn(3))
    assert before is torch.autograd.Function.__dict__["apply"]


def test_vmap_is_captured(captured):
    assert captured(UsesVmap(), (torch.randn(4, 3, 3), torch.randn(4, 5))).same_as_eager()


def test_tensor_attributes_and_literals_are_initializers(captured):
    result = captured(KeepsTensorAttribute(), torch.randn(2, 3))
    assert {"table", "several.1", "constant"} == set(result.graph.initializers)
    assert result.same_as_eager()


def test_constants_tell_the_attribute_they_came_from(captured):
    result = captured(KeepsTensorAttribute(), torch.randn(2, 3))
    assert {"table": "table", "several.1": "several.1", "constant": ""} == result.capture.constants


def test_tensor_of_sizes_is_computed_from_the_sizes(captured):
    result = captured(SharedHelper(), torch.randn(3, 2), dynamic_axes={"x": {0: "n"}})
    assert result.same_as_eager(torch.randn(5, 2))


def test_plain_function_is_a_model(captured):
    def scaled(x, factor=3):
        return torch.sigmoid(x) * factor

    result = captured(scaled, torch.randn(2))
    assert result.same_as_eager()


def test_model_without_tensor_inputs(captured):
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3))

        def forward(self, length: int):
            return self.weight * torch.arange(length)

    result = captured(Table(), (3,))
    assert [] == list(result.graph.inputs)
    assert result.same_as_eager()


def test_nested_modules_give_nodes_their_path_and_class(captured):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            return self.fc(x) + 1

    from lading.pipeline.origin import origin_of

    result = captured(nn.Sequential(Block(), Block()), torch.randn(1, 2))
    origins = [origin_of(node) for node in result.graph]
    assert [("0.fc", "Linear"), ("0", "Block"), ("1.fc", "Linear"), ("1", "Block")] == [
        (origin.module, origin.module_class) for origin in origins
    ]


def test_nodes_tell_the_line_of_the_user(captured):
    def model(x):
        return F.relu(x)

    from lading.pipeline.origin import origin_of

    (node,) = captured(model, torch.randn(2)).graph
    line = model.__code__.co_firstlineno + 1
    assert f"tests/passes/trace/test_record_constructs.py:{line}" == origin_of(node).source


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate", "constant"])
def test_padding_stays_one_operator(captured, mode):
    result = captured(lambda x: F.pad(x, (1, 2, 0, 1), mode=mode), torch.randn(1, 2, 4, 5))
    assert {"aten::pad": 1} == result.ops()
    assert result.same_as_eager()


def test_whatever_is_no_tensor_in_the_result_is_named(captured):
    class Result:
        pass

    kept = Result()
    result = captured(lambda x: {"logits": x + 1, "extra": kept, "none": None}, torch.randn(2))
    assert {"extra": "Result"} == result.capture.dropped_outputs


def test_names_of_outputs_follow_the_structure(captured):
    result = captured(lambda x: {"a": x + 1, "b": (x * 2, [x * 3])}, torch.randn(2))
    assert ["a", "b.0", "b.1.0"] == [value.name for value in result.graph.outputs]
