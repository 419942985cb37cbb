# SPDX-License-Identifier: Apache-2.0
"""Operators that read memory by strides, on tensors whose elements lie in another order than their axes."""

from __future__ import annotations

import pytest
import torch
from lading.pipeline.errors import CaptureError, UnsupportedOperators

import lading

X = torch.arange(12.0).reshape(4, 3)
ACROSS = X.t().contiguous().t()


class Called(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


CASES = {
    "in order": lambda x: x.as_strided((2, 6), (6, 1)),
    "turned": lambda x: x.t().as_strided((2, 6), (6, 1)),
    "computed from what was turned": lambda x: (x.t() * 2).as_strided((3, 2), (1, 4)),
    "from the middle": lambda x: x[1:].as_strided((2, 3), (3, 1)),
    "from the middle, counted from the start": lambda x: x[1:].as_strided((2, 3), (3, 1), 4),
    "overlapping": lambda x: x.as_strided((4, 3), (2, 1), 2),
    "resized": lambda x: x.clone().resize_(2, 5),
    "turned and resized": lambda x: x.clone().t().resize_(2, 6),
    "resized like another": lambda x: x.clone().t().resize_as_(torch.zeros(2, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_memory_is_read_as_eager_reads_it(agrees, name):
    agrees(Called(CASES[name]), (X,))


@pytest.mark.parametrize("name", [name for name in CASES if "middle" not in name])
def test_an_input_keeps_the_order_that_the_example_has_in_memory(agrees, name):
    agrees(Called(CASES[name]), (ACROSS,))


@pytest.mark.parametrize("name", [name for name in CASES if "resized" not in name])
def test_memory_in_an_exported_program(agrees, name):
    agrees(Called(CASES[name]), (X,), overrides={"trace.strategy": "export"})


def test_gaps_in_memory_are_refused(captured):
    with pytest.raises(CaptureError, match="do not lie side by side in memory"):
        captured(Called(lambda x: x.t()[1:].as_strided((2, 3), (3, 1))), (X,))


def test_what_lies_before_a_view_is_refused():
    with pytest.raises(UnsupportedOperators, match="reaches beyond the tensor"):
        lading.export(Called(lambda x: x[1:].as_strided((2, 3), (3, 1), 0)), (X,))


def test_growing_in_place_is_refused():
    with pytest.raises(UnsupportedOperators, match="elements that nothing has written"):
        lading.export(Called(lambda x: x.clone().resize_(20)), (X,))
