# SPDX-License-Identifier: Apache-2.0
"""Sizes that a model has found to be multiples of a number: windows and patches need no further question."""

from __future__ import annotations

import pytest
import sympy
import torch
from lading.passes.torch_private import normal_form, sympy_functions
from lading.passes.trace.multiples import Multiples, found_in
from lading.passes.trace.symbols import Axes, text_of
from torch import nn

S, T = (sympy.Symbol(name, integer=True, positive=True) for name in "st")
_FloorDiv, _Mod = sympy_functions.FloorDiv, sympy_functions.Mod


def _half_rounded_up(size):
    return _FloorDiv(size - 1, sympy.Integer(2)) + 1


@pytest.mark.parametrize(
    ("found", "question", "answer"),
    [
        ({S: 8}, sympy.Eq(_Mod(S, 8), 0), True),
        ({S: 8}, sympy.Ne(_Mod(S, 8), 0), False),
        ({S: 4}, sympy.Eq(_Mod(2 * S, 8), 0), True),
        ({}, sympy.Eq(_Mod(S, 8), 0), False),
        ({}, sympy.Eq(_Mod(S, 8), 1), True),
        ({}, sympy.Eq(_Mod(S + 1, 8), 0), True),
        ({}, sympy.Eq(S, 8), True),
        ({S: 2}, sympy.Eq(_FloorDiv(S, sympy.Integer(2)), _half_rounded_up(S)), True),
        ({S: 4}, sympy.Eq(S, 4 * _FloorDiv(S - 1, sympy.Integer(4)) + 4), True),
        ({}, sympy.Eq(_half_rounded_up(S), 2 * _FloorDiv(S - 1, sympy.Integer(4)) + 2), True),
        (
            {S: 8, T: 8},
            sympy.Eq(12 * S * T, 768 * _FloorDiv(S, sympy.Integer(8)) * _FloorDiv(T, sympy.Integer(8))),
            True,
        ),
        ({}, sympy.Eq(12 * S * T, 700 * _FloorDiv(S, sympy.Integer(8)) * _FloorDiv(T, sympy.Integer(8))), True),
        ({}, sympy.Eq(_Mod(S, T), 0), True),
    ],
)
def test_multiples_are_found_in_what_is_asked(found, question, answer):
    assert found == dict(found_in(question, answer))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("s", 8 * T),
        ("3*s - 1", 24 * T - 1),
        ("s // 8", T),
        ("s // 16", _FloorDiv(T, sympy.Integer(2))),
        ("s == 64", sympy.Eq(8 * T, 64, evaluate=False)),
        ("s - 8 <= 0", sympy.Le(8 * T - 8, 0, evaluate=False)),
    ],
)
def test_what_is_said_is_over_the_whole_size(text, made):
    multiples = Multiples()
    multiples.add(T, S, 8)
    assert text == text_of(multiples.over_wholes(made))


def test_a_part_of_a_part_is_one_of_the_whole():
    multiples = Multiples()
    multiples.add(T, S, 8)
    half = sympy.Symbol("half", integer=True, positive=True)
    multiples.add(half, T, 2)
    assert ("s", S) == (text_of(multiples.over_wholes(16 * half)), multiples.whole(half))


@pytest.mark.parametrize(
    ("made", "whole"),
    [
        (lambda b, h, w: (b * h * w) / (64 * h * w / 8 / 8), "b"),
        (lambda b, h, w: 8 * h / 8.0, "h"),
        (lambda b, h, w: (6 * h + 3) / 3, "2*h + 1"),
        (lambda b, h, w: h / 8, None),
        (lambda b, h, w: b / h, None),
        (lambda b, h, w: (h + 1) / h, None),
        (lambda b, h, w: h * 0.5, None),
    ],
)
def test_a_quotient_of_sizes_is_whole_where_it_always_is(made, whole):
    axes = Axes()
    numbers = [axes.axis(name, size) for name, size in (("b", 3), ("h", 5), ("w", 7))]
    found = normal_form.whole(made(*numbers).node.expr)
    assert whole == (None if found is None else axes.text(found))


class Windows(nn.Module):
    """Attention within windows, as vision transformers have it."""

    def forward(self, x):
        batch, height, width, channels = x.shape
        if height % 4 or width % 4:
            raise ValueError("not a multiple of the window")
        windows = (
            x.view(batch, height // 4, 4, width // 4, 4, channels).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, channels)
        )
        windows = torch.softmax(windows @ windows.transpose(1, 2), -1) @ windows
        batch = int(windows.shape[0] / (height * width / 4 / 4))
        windows = windows.view(batch, height // 4, width // 4, 4, 4, -1)
        return windows.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, -1)


def test_windows_ask_nothing_but_whether_they_fit(captured):
    axes = {"x": {0: "batch", 1: "height", 2: "width"}}
    result = captured(Windows(), torch.randn(1, 8, 12, 3), dynamic_axes=axes)
    limits = [guard.condition for guard in result.capture.guards if not guard.harmless]
    assert ["height % 4 != 0", "width % 4 != 0"] == limits
    assert "[batch,height,width,3]" == str(result.graph.outputs[0].shape)
    assert result.same_as_eager(torch.randn(3, 20, 4, 3))


class Halved(nn.Module):
    """A network that halves an image and doubles it again, with a sum that needs even sizes."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)

    def forward(self, x):
        down = self.down(x) + nn.functional.avg_pool2d(x.mean(1, keepdim=True), 2)
        return self.up(down) + x


def test_one_limit_is_left_of_sizes_that_have_to_fit(captured):
    result = captured(Halved().eval(), torch.randn(2, 3, 8, 12), dynamic_axes={"x": {2: "height", 3: "width"}})
    limits = [guard.condition for guard in result.capture.guards if not guard.harmless]
    assert 2 == len(limits)
    assert "[2,3,height,width]" == str(result.graph.outputs[0].shape)
    assert result.same_as_eager(torch.randn(2, 3, 6, 22))


class AtMost(nn.Module):
    """What it pads to a multiple it cuts off again."""

    def forward(self, x):
        length = x.shape[1]
        padded = nn.functional.pad(x, (0, -length % 8))
        return padded.view(x.shape[0], -1, 8).cumsum(-1).view(x.shape[0], -1)[:, :length]


def test_a_padded_size_is_not_below_the_size(captured):
    result = captured(AtMost(), torch.randn(2, 13), dynamic_axes={"x": {0: "batch", 1: "length"}})
    assert [] == [guard.condition for guard in result.capture.guards if not guard.harmless]
    assert result.same_as_eager(torch.randn(3, 16))
    assert result.same_as_eager(torch.randn(1, 9))


class Marked(nn.Module):
    """The mask of shifted windows: regions of an image, the first of which is empty where there is one window alone."""

    def forward(self, x):
        height = x.shape[1]
        if height % 4:
            raise ValueError("not a multiple of the window")
        mask = torch.zeros(height)
        for number, part in enumerate((slice(0, -4), slice(-4, -2), slice(-2, None), slice(-2, 0))):
            mask[part] = number + 1
        return x + mask


def test_a_slice_that_may_be_empty_is_no_decision(captured):
    result = captured(Marked(), torch.randn(2, 12), dynamic_axes={"x": {0: "batch", 1: "height"}})
    assert ["height % 4 != 0"] == [guard.condition for guard in result.capture.guards if not guard.harmless]
    assert result.same_as_eager(torch.randn(3, 4))
    assert result.same_as_eager(torch.randn(1, 20))


@pytest.mark.parametrize("part", [slice(1, -1), slice(None, -2), slice(-2, None), slice(None, None, 2), slice(2, 5)])
def test_slices_of_a_free_size_are_those_of_the_run(captured, part):
    def cut(x):
        return x[:, part] * 2

    result = captured(cut, torch.randn(2, 6), dynamic_axes={"x": {1: "length"}})
    for length in (5, 7, 11):
        assert result.same_as_eager(torch.randn(2, length))
