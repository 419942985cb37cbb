# SPDX-License-Identifier: Apache-2.0
"""`for row in tensor`, where only the run knows how many rows there are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import lading

ROWS = {"x": {0: "rows"}}


class Experts(nn.Module):
    """A mixture in which the loop goes over the experts that some row has chosen."""

    def __init__(self):
        super().__init__()
        self.choose = nn.Linear(4, 5)
        self.weights = nn.Parameter(torch.randn(5, 4, 4))

    def forward(self, x):
        scores, chosen = self.choose(x).softmax(-1).topk(2, -1)
        mixed = torch.zeros_like(x)
        places = functional.one_hot(chosen, 6).permute(2, 1, 0)
        for expert in (places.sum((-1, -2)) > 0).nonzero():
            expert = expert[0]
            if expert == 5:
                continue
            rank, row = torch.where(places[expert])
            given = functional.linear(x[row], self.weights[expert]).relu()
            mixed.index_add_(0, row, given * scores[row, rank, None])
        return mixed


def positive(x):
    return (x[:, 0] > 0).nonzero()


def marked(x):
    result = x.clone()
    for place in positive(x):
        result[place[0]] = result[place[0]] * 2 + result.sum(0)
    return result


def in_turn(x):
    result = torch.zeros(3)
    for place in positive(x):
        for other in positive(x - 0.5):
            result += x[place[0]] * x[other[0]]
    return result


def left_early(x):
    result = torch.zeros(3)
    for place in positive(x):
        result += x[place[0]]
        break
    return result


def collected(x):
    rows = []
    for place in positive(x):
        rows.append(x[place[0]])
    return torch.stack(rows)


def rebound(x):
    result = torch.zeros(3)
    for place in positive(x):
        result = result + x[place[0]]
    return result


def numbered(x):
    result = torch.zeros(3)
    for number, place in enumerate(positive(x)):
        result += number * x[place[0]]
    return result


@pytest.mark.parametrize("rows", [1, 2, 7, 40])
def test_a_mixture_is_right_whichever_experts_are_hit(free, rows):
    torch.manual_seed(0)
    file = free(Experts(), (torch.randn(3, 4),), ROWS)
    assert "" == file.differs(torch.randn(rows, 4))


@pytest.mark.parametrize("model", [marked, in_turn])
@pytest.mark.parametrize("shift", [-9.0, 0.0, 9.0])
def test_what_iterations_write_in_place_is_handed_on(free, model, shift):
    file = free(model, (torch.randn(4, 3),), ROWS)
    assert "" == file.differs(torch.randn(6, 3) + shift)


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (left_early, "left by break or return"),
        (collected, "a list or a dict grows"),
        (rebound, "a variable that a loop sets is read in its next iteration or after it"),
    ],
)
def test_what_cannot_be_handed_on_is_an_error_that_names_the_line(model, what):
    with pytest.raises(lading.CaptureError, match=rf"(?s){what}.*test_loops_over_rows.py:\d+.*index_add_"):
        lading.export(model, torch.randn(4, 3), dynamic_axes=ROWS, settings=["trace.strategy=record"])


@pytest.mark.parametrize("model", [numbered, lambda x: torch.stack([x[place[0]] for place in positive(x)])])
def test_rows_that_are_wanted_themselves_are_no_loop(model):
    with pytest.raises(lading.CaptureError, match="asks for the value of a tensor"):
        lading.export(model, torch.randn(4, 3), dynamic_axes=ROWS, settings=["trace.strategy=record"])
