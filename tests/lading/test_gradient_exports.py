# SPDX-License-Identifier: Apache-2.0
"""Models that take gradients themselves, a whole training step included."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lading


def _convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, stride=2),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4, 5),
    ).eval()


class Step(nn.Module):
    """One step of gradient descent: from a batch to the new parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.model = _convolutional()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
        parameters = dict(self.model.named_parameters())

        def loss(current: dict[str, torch.Tensor]) -> torch.Tensor:
            return F.cross_entropy(torch.func.functional_call(self.model, current, (x,)), labels)

        slopes = torch.func.grad(loss)(parameters)
        return [value - 0.1 * slopes[name] for name, value in parameters.items()]


class Sensitivity(nn.Module):
    """The gradient of a transformer layer's energy by its input."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda z: self.layer(z).pow(2).sum())(x)


@pytest.mark.parametrize("opset", [11, 18])
def test_a_training_step_agrees_at_another_batch(opset: int) -> None:
    example = torch.randn(2, 3, 12, 12), torch.tensor([1, 2])
    axes = {"x": {0: "batch"}, "labels": {0: "batch"}}
    exported = lading.export(Step(), example, None, opset_version=opset, dynamic_axes=axes)
    other = torch.randn(3, 3, 12, 12), torch.tensor([0, 4, 2])
    for expected, got in zip(Step()(*other), exported(*other), strict=True):
        torch.testing.assert_close(torch.as_tensor(got), expected.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 23])
def test_the_gradient_of_attention_agrees(opset: int) -> None:
    exported = lading.export(Sensitivity(), (torch.randn(2, 5, 8),), None, opset_version=opset)
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(torch.as_tensor(exported(x)[0]), Sensitivity()(x).detach(), rtol=1e-3, atol=1e-4)
