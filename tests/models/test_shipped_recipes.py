# SPDX-License-Identifier: Apache-2.0
"""Recipes for runtimes and aims, on models: the file is right, and is what the recipe says."""

from __future__ import annotations

import pytest
import torch

import lading

RUNTIMES = {"onnxruntime": 21, "tensorrt": 20, "openvino": 17, "coreml": 20, "web": 20}


class Block(torch.nn.Module):
    """A convolution, a normalization and a gelu, then twice the same weights in two places."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.GroupNorm(2, 8)
        self.one, self.two = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.two.load_state_dict(self.one.state_dict())

    def forward(self, x):
        y = torch.nn.functional.gelu(self.norm(self.conv(x))).mean((2, 3))
        return self.two(torch.relu(self.one(y)))


@pytest.fixture
def block():
    torch.manual_seed(0)
    return Block().eval(), torch.randn(2, 3, 8, 8)


@pytest.mark.parametrize(("recipe", "opset"), RUNTIMES.items())
def test_a_recipe_for_a_runtime_makes_a_right_file_of_its_opset(block, recipe, opset):
    exported = lading.export(*block, recipe=recipe, verify=True, dynamic_axes={"x": {0: "batch", 2: "height"}})
    assert (opset, "passed") == (exported.opset, exported.verification.status)


@pytest.mark.parametrize("recipe", ["coreml", "tensorrt", "web"])
def test_gelu_stays_one_node_where_the_opset_has_it(block, recipe):
    assert 1 == sum(node.op_type == "Gelu" for node in lading.export(*block, recipe=recipe).model.graph)


def test_types_are_bridged_for_the_kernels_of_one_runtime_only():
    model, x = torch.nn.GELU().bfloat16().eval(), torch.randn(2, 3).bfloat16()
    casts = {
        recipe: sum(node.op_type == "Cast" for node in lading.export(model, x, recipe=recipe).model.graph)
        for recipe in ("onnxruntime", "tensorrt")
    }
    assert {"onnxruntime": 2, "tensorrt": 0} == casts


def test_minimal_size_is_right_and_smaller(block, tmp_path):
    sizes = {}
    for recipe in ("inference", "minimal-size"):
        file = tmp_path / f"{recipe}.onnx"
        assert "passed" == lading.export(*block, file, recipe=recipe, verify=True).verification.status
        sizes[recipe] = file.stat().st_size
    assert sizes["minimal-size"] < sizes["inference"] - 4 * 64


def test_equal_weights_are_there_once_in_the_smallest_file(block):
    apart = lading.export(*block, overrides={"initializers.share_equal_weights": False})
    smallest = lading.export(*block, recipe="minimal-size")
    assert len(apart.model.graph.initializers) > len(smallest.model.graph.initializers)
