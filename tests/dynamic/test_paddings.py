# SPDX-License-Identifier: Apache-2.0
"""Decisions that change by how much is padded: one program in which the file computes the amounts."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

IMAGE = {"x": {2: "height", 3: "width"}}


def amount(size, kernel, stride):
    """What TensorFlow pads along an axis, as the layers of several libraries have it."""
    if size % stride == 0:
        return max(kernel - stride, 0)
    return max(kernel - size % stride, 0)


class Same(nn.Module):
    """A convolution that is padded as TensorFlow does it."""

    def __init__(self, stride):
        super().__init__()
        self.convolution = nn.Conv2d(2, 2, 3, stride)

    def forward(self, x):
        high, wide = (amount(int(size), 3, self.convolution.stride[0]) for size in x.shape[2:])
        x = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return self.convolution(x)


def agree(exported, heights, widths):
    for height, width in itertools.product(heights, widths):
        assert "" == exported.differs(torch.randn(1, 2, height, width)), (height, width)


@pytest.mark.parametrize("sizes", [(8, 8), (9, 12), (16, 7)], ids=str)
def test_layer_after_layer_each_axis_is_free(free, sizes):
    model = nn.Sequential(Same(2), nn.ReLU(), Same(2), Same(3)).eval()
    exported = free(model, [torch.randn(1, 2, *sizes)], {"input": IMAGE["x"]})
    agree(exported, (3, 4, 5, 6, 7, 8, 11, 12, 16, 23), (3, 4, 6, 9, 13, 16))
    assert (0, 6) == (exported.count("If"), len(exported.decided("paddings chosen")))


def test_an_amount_by_two_decisions_is_right_on_all_four_sides(free):
    def model(x):
        wide = 1 if x.shape[3] % 2 == 0 else 2
        if x.shape[2] > 9:
            wide = wide + 3
        return F.pad(x, (0, wide)).cumsum(-1)

    exported = free(model, [torch.randn(1, 2, 4, 6)], IMAGE)
    agree(exported, (1, 4, 9, 10, 12), (1, 2, 3, 6, 7, 8))


def test_an_answer_that_is_kept_beside_the_amount_has_its_effect(free):
    def model(x):
        is_even = bool(x.shape[3] % 2 == 0)
        x = F.pad(x, (0, 1 if is_even else 2))
        if x.shape[2] > 9:
            x = x * (3 if is_even else 5)
        return x

    exported = free(model, [torch.randn(1, 2, 4, 6)], IMAGE)
    agree(exported, (1, 4, 9, 10, 12), (1, 2, 3, 6, 7, 8))


def test_what_is_limited_after_a_padding_says_so_for_the_sizes_of_the_input(free):
    def model(x):
        x = F.pad(x, (0, 1 if x.shape[3] % 2 == 0 else 2))
        if x.shape[3] > 12:
            raise ValueError("too wide")
        return x * 2

    exported = free(model, [torch.randn(1, 2, 4, 6)], IMAGE)
    limits = exported.exported.limits
    assert [True, True, False, False] == [
        all(limit.holds({"height": 4, "width": width}) for limit in limits) for width in (8, 10, 12, 13)
    ]
    agree(exported, (1, 4), (1, 2, 3, 6, 7, 8, 10))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_other_modes_than_zeros(free, mode):
    def model(x):
        return F.pad(x, (0, 1 if x.shape[3] % 2 == 0 else 2, 0, 0), mode=mode).sum(2)

    exported = free(model, [torch.randn(1, 2, 4, 6)], IMAGE)
    agree(exported, (3, 4), (4, 5, 6, 7))
