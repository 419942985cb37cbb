# SPDX-License-Identifier: Apache-2.0
"""Questions on values that Python asks only to raise an exception: the file takes what is asserted to hold."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn
from torch.distributions import Normal

import lading

X = torch.arange(6.0).reshape(2, 3) / 6


class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def asserts(x):
    assert (x >= 0).all(), "negative"
    return x * 2


def raises_unless(x):
    if not (x >= 0).all():
        raise ValueError(f"negative in {tuple(x.shape)} " + ("of one" if len(x) == 1 else "of many"))
    return x * 2


def raises_for_either(x):
    if torch.isnan(x).any() or (x < 0).any().item():
        raise ValueError
    return x * 2


def raises_at_a_count(x):
    if (x < 0).sum() > 0:
        raise ValueError
    return x * 2


def raises_in_a_context(x):
    with torch.no_grad():
        if (x < 0).any():
            raise ValueError
    return x * 2


def raises_in_a_layer(x):
    # The default may have been switched off for the whole process, as some libraries do.
    return Normal(x, x.exp(), validate_args=True).mean * 2


def exported(function):
    return lading.export(
        Model(function), X, dynamic_axes={"x": {0: "n"}}, overrides={"trace.strategy": "record"}, verify=True
    )


def assertions(result):
    found = [decision for event in result.events for decision in event.get("decisions") or ()]
    return [decision for decision in found if decision["what"] == "assertion left out"]


@pytest.mark.parametrize(
    "function",
    [asserts, raises_unless, raises_for_either, raises_at_a_count, raises_in_a_context, raises_in_a_layer],
    ids=lambda one: one.__name__,
)
def test_an_assertion_is_taken_to_hold_and_said(function):
    result = exported(function)
    assert "passed" == result.verification.status
    assert ["Mul"] == [node.op_type for node in result.model.graph]
    assert 1 == len(assertions(result))


# ---- what is no assertion --------------------------------------------------------------------------------------------


def branches(x):
    if (x < 0).any():
        x = -x
    return x * 2


def catches(x):
    try:
        if not (x < 0).any():
            raise ValueError
    except ValueError:
        return x
    return x * 2


def suppresses(x):
    with contextlib.suppress(ValueError):
        if not (x < 0).any():
            raise ValueError
        x = x * 3
    return x * 2


def is_caught_by_its_caller(x):
    try:
        return raises_for_either(x)
    except ValueError:
        return x


def keeps_the_answer(x):
    return x * (2 if not (x < 0).any() else 3)


@pytest.mark.parametrize(
    "function", [branches, catches, suppresses, is_caught_by_its_caller, keeps_the_answer], ids=lambda one: one.__name__
)
def test_a_question_with_two_answers_is_no_assertion(function):
    result = exported(function)
    assert [] == assertions(result)
    for x in (X, -X, X.abs(), -X.abs()):
        assert result(x)[0].flatten().tolist() == pytest.approx(function(x).flatten().tolist())
