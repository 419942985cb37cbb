# SPDX-License-Identifier: Apache-2.0
"""Capture does not execute a model, whether example outputs are given or not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lading

CALLS = []


@torch.library.custom_op("lading_never_run::counted", mutates_args=())
def counted(x: torch.Tensor) -> torch.Tensor:
    CALLS.append(x.shape)
    return x * 2


@counted.register_fake
def _(x):
    return torch.empty_like(x)


class Counted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 2:
            x = torch.ops.lading_never_run.counted(x)
        return x + 1


class RaisesOnTheExample(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > 0):
            raise ValueError("positive")
        return x * 2


@pytest.fixture
def lowered():
    lading.lowers("lading_never_run::counted")(lambda op, x: op.Mul(x, 2.0))
    CALLS.clear()
    yield
    lading.unregister_lowering("lading_never_run::counted")


@pytest.mark.parametrize("given", [None, torch.ones(2, 3)], ids=["found", "given"])
@pytest.mark.parametrize("make", [lambda model: model, torch.jit.script], ids=["eager", "script"])
@pytest.mark.usefixtures("lowered")
def test_a_model_is_not_executed(make, given):
    exported = lading.export(make(Counted().eval()), torch.ones(2, 3), example_outputs=given, verify=False)
    assert (["output"], []) == (exported.output_names, CALLS)


@pytest.mark.parametrize("given", [None, torch.ones(2, 3)], ids=["found", "given"])
def test_a_scripted_model_that_raises_on_the_example_is_exported(given):
    scripted = torch.jit.script(RaisesOnTheExample().eval())
    exported = lading.export(scripted, torch.ones(2, 3), example_outputs=given, verify=False)
    (result,) = exported(-torch.ones(2, 3))
    assert [[-2.0] * 3] * 2 == result.tolist()
