# SPDX-License-Identifier: Apache-2.0
"""An exported program as the model: names, axes, weights, and agreement in the runtime."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import Dim

import lading


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(64, 5)).eval()


@pytest.fixture(scope="module")
def program(network):
    return torch.export.export(network, (torch.randn(2, 3, 10, 10),), dynamic_shapes=({0: Dim("batch", max=64)},))


def test_a_program_needs_no_arguments(program):
    assert "passed" == lading.export(program, verify=True).verification.status


def test_axes_have_the_names_of_the_dims(program):
    assert {"input": {0: "batch"}, "output": {0: "batch"}} == lading.export(program).axes


def test_weights_keep_their_names_and_their_memory(program, network):
    exported = lading.export(program, do_constant_folding=False)
    weight = exported.model.graph.initializers["5.weight"].const_value
    assert network[5].weight.data_ptr() == weight.raw.data_ptr()


def test_the_strategy_exports_a_module(network):
    exported = lading.export(
        network,
        torch.randn(1, 3, 10, 10),
        dynamic_axes={"input": {0: "n"}},
        settings=["trace.strategy=export"],
        verify=True,
    )
    assert ("passed", {"input": {0: "n"}, "output": {0: "n"}}) == (exported.verification.status, exported.axes)
