# SPDX-License-Identifier: Apache-2.0
"""Names of inputs, outputs and weights, given by the user or found by capture."""

from __future__ import annotations

import pytest
import torch
from lading.pipeline.errors import UsageError
from torch import nn


def outputs(result):
    return [value.name for value in result.graph.outputs]


def two(x):
    return x + 1, x * 2


def test_output_names_are_the_users(captured):
    assert ["sum", "product"] == outputs(captured(two, torch.ones(2), output_names=("sum", "product")))


def test_outputs_without_a_name_are_named_by_structure(captured):
    assert ["sum", "output.1"] == outputs(captured(two, torch.ones(2), output_names=("sum",)))


def test_a_single_result_is_called_output(captured):
    assert ["output"] == outputs(captured(lambda x: x + 1, torch.ones(2)))


def test_more_names_than_outputs(captured):
    with pytest.raises(UsageError, match=r"(?s)3 output names.*2 outputs.*at most 2"):
        captured(two, torch.ones(2), output_names=("a", "b", "c"))


def test_output_named_like_an_input(captured):
    assert ["output.x"] == outputs(captured(lambda x: {"x": x + 1}, torch.ones(2)))


def test_names_beyond_the_inputs_name_parameters(captured):
    result = captured(nn.Linear(2, 3), torch.ones(1, 2), input_names=("image", "w", "b"))
    assert (["image"], ["w", "b"]) == ([value.name for value in result.graph.inputs], list(result.graph.initializers))


def test_names_beyond_the_parameters(captured):
    with pytest.raises(UsageError, match=r"(?s)4 input names.*1 inputs and 2 weights.*at most 3"):
        captured(nn.Linear(2, 3), torch.ones(1, 2), input_names=("image", "w", "b", "more"))


def test_parameter_named_like_an_input(captured):
    class Scales(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, weight):
            return weight * self.weight

    result = captured(Scales(), torch.ones(2))
    assert (["weight"], ["weight_1"]) == (
        [value.name for value in result.graph.inputs],
        list(result.graph.initializers),
    )


def test_parameters_that_are_not_used_are_left_out(captured):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

        def forward(self, x):
            return x * self.used

    assert ["used"] == list(captured(Idle(), torch.ones(2)).graph.initializers)


def test_literals_are_named_by_the_module_that_makes_them(captured):
    class Shift(nn.Module):
        def forward(self, x):
            return x + torch.tensor([1.0, 2.0]) + torch.tensor([3.0, 4.0])

    result = captured(nn.Sequential(Shift(), Shift()), torch.ones(2))
    assert ["0.constant", "0.constant_1", "1.constant", "1.constant_1"] == list(result.graph.initializers)


def test_two_captures_give_the_same_text(captured):
    def text():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, 3))
        return str(captured(model, torch.ones(2, 1, 5, 5), dynamic_axes={"input": {0: "batch"}}).graph)

    assert text() == text()
