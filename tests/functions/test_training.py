# SPDX-License-Identifier: Apache-2.0
"""Functions in exports for training: random operators, and statistics that a call moves."""

from __future__ import annotations

import copy

import onnxruntime
import pytest
import torch
from torch import nn

import lading


class Normed(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class Net(nn.Module):
    """Three blocks, the first of them run twice; fresh, so that many of its parameters are equal."""

    def __init__(self, channels):
        super().__init__()
        self.a, self.b, self.c = Normed(channels), Normed(channels), Normed(channels)

    def forward(self, x):
        return self.c(self.b(self.a(self.a(x)))).sum((2, 3))


@pytest.mark.parametrize("opset", [15, 18, 24])
@pytest.mark.parametrize("state", [False, True], ids=["", "state"])
@pytest.mark.parametrize("channels", [4, 16])
def test_statistics_that_functions_move_are_those_of_eager(channels, state, opset):
    torch.manual_seed(0)
    model = Net(channels).train()
    exported = lading.export(
        model,
        (torch.randn(2, channels, 5, 5),),
        recipe="training",
        opset_version=opset,
        dynamic_axes={"x": {0: "batch"}},
        settings=["inline.preserve=Normed", f"trace.buffer_outputs={state}"],
    )
    assert 4 == sum(node.domain == "modules" for node in exported.model.graph)
    for batch in (2, 3):
        x = torch.randn(batch, channels, 5, 5)
        trained = copy.deepcopy(model)
        with torch.no_grad():
            expected = {exported.output_names[0]: trained(x)}
        expected.update({f"{name}.updated": value for name, value in trained.state_dict().items()})
        for name, result in zip(exported.output_names, exported(x), strict=True):
            got = torch.from_numpy(result).to(expected[name].dtype)
            torch.testing.assert_close(got, expected[name], rtol=1e-4, atol=1e-5)


def test_each_call_draws_its_own_random_numbers():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(x) - self.drop(x)

    exported = lading.export(Noisy(), (torch.ones(64, 64),), recipe="training", settings=["inline.preserve=Dropout"])
    assert ["Dropout", "Dropout", "Sub"] == [node.op_type for node in exported.model.graph]
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString())
    (result,) = session.run(None, {"x": torch.ones(64, 64).numpy()})
    assert {-2.0, 0.0, 2.0} == set(result.reshape(-1).tolist())


def test_weights_are_those_that_are_trained():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    exported = lading.export(
        model, (torch.randn(3, 4),), recipe="training", settings=["inline.preserve=Linear,BatchNorm1d"]
    )
    stored = set(exported.model.graph.initializers)
    assert {"0.weight", "0.bias", "1.weight", "1.bias"} <= stored
