# SPDX-License-Identifier: Apache-2.0
"""The limits of a file in words, as conditions, and the sizes at which a fault would show."""

from __future__ import annotations

import pytest
import sympy
from lading.passes.size_limits import size_limits, telling_sizes
from lading.passes.torch_private import sympy_functions
from lading.passes.trace.capture import Guard
from lading.passes.trace.symbols import axis_symbol, text_of

height, width = axis_symbol("height"), axis_symbol("width")
MOD = sympy_functions.PythonMod


def guard(question, outcome, **more):
    return Guard(text_of(question), outcome, "model.py:3", True, expression=question, **more)


@pytest.mark.parametrize(
    ("question", "outcome", "words"),
    [
        (sympy.Eq(MOD(height, 32), 0), True, "height divisible by 32"),
        (sympy.Ne(MOD(height, 32), 0), False, "height divisible by 32"),
        (sympy.Eq(MOD(height, 32), 0), False, "height not divisible by 32"),
        (height > 512, False, "height at most 512"),
        (height > 512, True, "height at least 513"),
        (height < 8, False, "height at least 8"),
        (height - 5 < 0, True, "height at most 4"),
        (sympy.Eq(height, 7), True, "height equal to 7"),
        (sympy.Eq(height, 7), False, "height other than 7"),
        (sympy.Eq(height, width), True, "height equal to width"),
        (sympy.Or(height < 3, sympy.Eq(width, 2)), True, "(height < 3) or (width == 2)"),
    ],
    ids=str,
)
def test_a_limit_says_what_sizes_have_to_be(question, outcome, words):
    (limit,) = size_limits([guard(question, outcome)])
    assert words == limit.words


@pytest.mark.parametrize(
    ("question", "outcome"),
    [
        (sympy.Eq(MOD(height, 4), 0), True),
        (height > 9, False),
        (height - width < 2, True),
        (sympy.Or(height < 3, sympy.Eq(width, 2)), False),
    ],
    ids=str,
)
def test_a_limit_holds_where_the_decision_has_the_same_outcome(question, outcome):
    (limit,) = size_limits([guard(question, outcome)])
    sizes = [{"height": a, "width": b} for a in range(1, 14) for b in (1, 2, 5)]
    expected = [bool(question.subs({height: s["height"], width: s["width"]})) == outcome for s in sizes]
    assert expected == [limit.holds(one) for one in sizes]


def test_harmless_decisions_are_no_limits():
    assert () == size_limits([guard(height > 3, True, harmless=True)])


def test_equal_limits_stand_once():
    assert 1 == len(size_limits([guard(height > 3, True), guard(height <= 3, False)]))


def test_the_other_side_of_a_harmless_decision_is_tried():
    guards = [guard(height > 8, False, harmless=True)]
    ((reason, sizes),) = telling_sizes(guards, {"height": 4, "width": 2}, {}, most=6)
    assert ("other side of height > 8", True, 2) == (reason, sizes["height"] > 8, sizes["width"])


def test_sizes_that_are_tried_keep_the_limits():
    guards = [guard(height > 8, False, harmless=True), guard(sympy.Eq(MOD(height, 4), 0), True)]
    ((_, sizes),) = telling_sizes(guards, {"height": 4, "width": 2}, {}, most=6)
    assert (True, 0) == (sizes["height"] > 8, sizes["height"] % 4)
