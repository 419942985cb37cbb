# SPDX-License-Identifier: Apache-2.0
"""Sizes that a model's Python hands to `int`: `int(h * 0.5)`, `int(math.ceil(h / 8))`."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from lading.passes.trace.whole_numbers import needs_the_class
from torch import nn

AXES = {"x": {2: "height", 3: "width"}}


def picture(height: int, width: int) -> torch.Tensor:
    return torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(height))


def half(size):
    return int(size * 0.5)


class Halved(nn.Module):
    """Rounds in a function that its forward calls."""

    def forward(self, x):
        return F.interpolate(x, size=(half(x.shape[2]), half(x.shape[3])), mode="nearest")


class PaddedUp(nn.Module):
    """Resizes to the next multiple of eight where the size is none."""

    def forward(self, x):
        height = int(math.ceil(x.shape[2] / 8) * 8)
        if height != x.shape[2]:
            x = F.interpolate(x, size=(height, x.shape[3]), mode="bilinear")
        return x.mean(2)


class Checked(nn.Module):
    """Needs a plain number, and says so."""

    def forward(self, x):
        height = int(x.shape[2])
        if not isinstance(height, int):
            raise TypeError("no number")
        return x.reshape(x.shape[0], height, -1)


class OtherUses(nn.Module):
    """Uses `int` for everything but sizes."""

    def forward(self, x):
        count = int("2") + int(True) + int.from_bytes(b"\x01", "big") + isinstance(2, int) + issubclass(bool, int)
        return x[:, :, : int(x.shape[2])] * (count + int(2.9))


@pytest.mark.parametrize("kind", [Halved, PaddedUp, OtherUses])
def test_a_rounded_size_is_a_size(kind, free):
    found = free(kind().eval(), [picture(16, 12)], AXES)
    assert [] == found.limits
    assert ["", "", ""] == [found.differs(picture(*sizes)) for sizes in ((16, 12), (19, 8), (32, 5))]


def test_python_has_its_own_int_afterwards(free):
    free(Halved().eval(), [picture(16, 12)], AXES)
    assert "int" not in globals()


def test_a_model_that_needs_a_number_fixes_the_size(free):
    found = free(Checked().eval(), [picture(16, 12)], AXES, settings=["dynamic-axes.on_fixed_axis=warn"])
    assert {3: "width"} == found.exported.axes["x"]
    assert "" == found.differs(picture(16, 9))


def test_a_module_that_asks_for_the_class_itself_keeps_it():
    source = "def plain(x):\n    return type(x) is int\n\n\ndef rounded(x):\n    return int(x)\n"
    module: dict = {}
    exec(source, module)
    assert [True, False] == [needs_the_class(module[name].__code__) for name in ("plain", "rounded")]
