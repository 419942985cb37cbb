# SPDX-License-Identifier: Apache-2.0
"""What PyTorch's symbolic sizes are asked, and what is kept of it."""

from __future__ import annotations

import operator

import pytest
import torch
from lading.passes.torch_private.asking import Asked, AskedShapeEnv
from lading.passes.torch_private.numbers import Number
from lading.passes.trace.symbols import Axes


def _axes(**sizes):
    axes = Axes()
    return axes, [axes.axis(name, size) for name, size in sizes.items()]


def test_environments_that_have_come_the_same_way_share_their_answers(monkeypatch):
    axes, (length,) = _axes(length=6)
    assert bool(length * 2 > 1)
    again, (length,) = _axes(length=6)
    monkeypatch.setattr(AskedShapeEnv, "_state", lambda _: pytest.fail("asked anew"))
    assert bool(length * 2 > 1)
    assert again is not axes


def test_a_guard_is_taken_in_each():
    taken = []
    for _ in range(2):
        axes, (length,) = _axes(length=6)
        assert length * 2 > 10
        taken.append([(guard.condition, guard.outcome) for guard in axes.decisions()])
    assert [[("2*length > 10", True)]] * 2 == taken


def test_another_example_is_another_way():
    answers = []
    for size in (6, 4):
        _, (length,) = _axes(length=size)
        answers.append((bool(length * 2 > 10), bool(length > 5)))
    assert [(True, True), (False, False)] == answers


def test_questions_are_noted_once_with_their_answers():
    axes, (length,) = _axes(length=6)
    axes.asked = asked = Asked()
    expression = (length > 3).node.expr
    for _ in range(2):
        axes._maybe_evaluate_static(expression)
    axes.asked = None
    assert asked.repeatable
    assert [None] == [answer for question, answer in asked.answers.items() if axes.ask_again(question) is answer]


def test_new_symbols_are_not_repeatable():
    axes, _ = _axes(length=6)
    axes.asked = asked = Asked()
    axes.create_unbacked_symint()
    assert not asked.repeatable


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.floordiv, torch.sym_max])
def test_numbers_stay_of_one_kind_and_keep_the_size_of_the_example(operation):
    _, (left, right) = _axes(left=7, right=3)
    for _ in range(2):
        made = operation(left, right)
        assert (Number, operation(7, 3)) == (type(made.node), made.node.hint)
