# SPDX-License-Identifier: Apache-2.0
"""Decisions that a model comes to on one side of another decision alone."""

from __future__ import annotations

import pytest
import torch

AXES = {"x": {0: "rows", 1: "length"}}
SIZES = [(rows, length) for rows in (1, 2, 3, 5) for length in (1, 7, 8, 9, 20)]


def both(x):
    return x * 3 if x.shape[1] > 8 and x.shape[0] > 2 else x


def either(x):
    return x * 3 if x.shape[1] > 8 or x.shape[0] > 2 else x


def between(x):
    return x * 3 if 2 < x.shape[1] <= 8 else x


@pytest.mark.parametrize("model", [both, either, between])
@pytest.mark.parametrize("sizes", [(2, 6), (3, 6), (2, 9), (3, 9), (1, 1)])
def test_a_second_question_that_the_example_does_not_come_to_is_asked(free, model, sizes):
    exported = free(model, [torch.randn(sizes)], AXES)
    assert [] == [one for one in SIZES if exported.differs(torch.randn(one))]
    assert [] == exported.limits
