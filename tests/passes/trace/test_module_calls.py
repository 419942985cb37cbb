# SPDX-License-Identifier: Apache-2.0
"""Every capture tells which call of which module an operator ran in."""

from __future__ import annotations

import pytest
import torch
from lading.pipeline.origin import origin_of
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        return torch.relu(self.fc(x))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()

    def forward(self, x):
        return self.block(self.block(x)) + 1


CAPTURES = {
    "record": lambda model, x: ("record", model),
    "export": lambda model, x: ("export", model),
    "program": lambda model, x: ("export", torch.export.export(model, (x,))),
    "strict program": lambda model, x: ("export", torch.export.export(model, (x,), strict=True)),
    "script": lambda model, x: ("script", torch.jit.script(model)),
    "trace": lambda model, x: ("jit-trace", model),
}


@pytest.fixture(params=CAPTURES)
def calls(request, captured):
    """The calls of the operators of `Twice`, in order, outermost first."""
    x = torch.randn(2, 3)
    strategy, model = CAPTURES[request.param](Twice(), x)
    found = []
    for node in captured(model, (x,), strategy=strategy).graph:
        call, chain = origin_of(node).call, []
        while call is not None:
            chain.insert(0, call)
            call = call.outer
        found.append(chain)
    return found


def test_calls_nest_as_modules_call_each_other(calls):
    root, block, fc = ("", "Twice"), ("block", "Block"), ("block.fc", "Linear")
    expected = [[root, block, fc], [root, block], [root, block, fc], [root, block], [root]]
    assert expected == [[(call.module, call.module_class) for call in chain] for chain in calls]


def test_a_module_that_runs_twice_has_two_calls(calls):
    first, relu, second, *_ = calls
    assert [first[1], relu[1]] == [relu[1], first[1]]
    assert first[1] is not second[1]
    assert first[2] is not second[2]


def test_all_of_it_is_one_call_of_the_root(calls):
    assert 1 == len({chain[0] for chain in calls})
