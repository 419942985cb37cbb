# SPDX-License-Identifier: Apache-2.0
"""Modules captured by torch.export: containers, sizes of one, state; and what auto does where recording fails."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
from lading.passes.trace import strategies
from lading.pipeline.errors import CaptureError, UsageError
from lading.pipeline.facts import Fact
from torch import nn
from torch.export import Dim

import lading


def by_export(model, args, **options):
    return lading.export(model, args, verify=True, settings=["trace.strategy=export"], **options)


def decisions(exported, what):
    return [
        decided
        for event in exported.events
        if event.get("step") == "trace"
        for decided in event.get("decisions") or ()
        if decided["what"] == what
    ]


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Options:
    shift: torch.Tensor
    factor: float


class Containers(nn.Module):
    def forward(self, x, options, pair):
        return {"sum": x + options.shift, "pair": Pair(pair[0] * options.factor, x.shape[0]), "none": None}


def test_containers_of_the_user_need_no_registration():
    args = (torch.randn(3, 2), Options(torch.randn(2), 2.0), [torch.randn(4), torch.randn(1)])
    exported = by_export(Containers(), args, dynamic_axes={"x": {0: "n"}})
    assert ["x", "options.shift", "pair.0", "pair.1"] == exported.input_names
    assert ["sum", "pair.left", "pair.right"] == exported.output_names
    assert "passed" == exported.verification.status


def test_a_function_is_exported():
    assert "passed" == by_export(lambda x: x.sigmoid() + 1, torch.randn(3)).verification.status


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.layer(self.embed(tokens)))


@pytest.mark.parametrize("shape", [(2, 5), (1, 1), (1, 3)], ids=str)
def test_sizes_of_one_fix_nothing(shape):
    exported = by_export(
        Sequence().eval(), torch.randint(11, shape), dynamic_axes={"tokens": {0: "batch", 1: "length"}}
    )
    assert {"tokens": {0: "batch", 1: "length"}, "output": {0: "batch", 1: "length"}} == exported.axes
    assert ["passed"] == sorted({check.status for check in exported.verification.checks})


def test_names_and_sharing_survive():
    graph = by_export(Sequence().eval(), torch.randint(11, (2, 5))).work.need(Fact.GRAPH)
    assert {"embed.weight": ("head.weight",)} == graph.tied


def test_origins_are_paths_in_the_model_of_the_user():
    exported = by_export(nn.Sequential(nn.Sequential(nn.Linear(2, 2))), torch.randn(1, 2))
    origins = [node.meta["lading.origin"] for node in exported.model.graph]
    assert [("0.0", "Linear")] == [(origin.module, origin.module_class) for origin in origins]


class Joined(nn.Module):
    def forward(self, x, y):
        return torch.cat([x.flatten(), y.flatten()])


def test_a_derived_name_stands_in_parentheses_inside_of_an_expression():
    n = Dim("n")
    args = (torch.randn(2, 3), torch.randn(5, 3))
    exported = by_export(Joined(), args, dynamic_shapes={"x": {0: n}, "y": {0: 2 * n + 1}})
    assert {"3*(2*n + 1) + 3*n", "3*n + 3*(2*n + 1)"} & {exported.axes["output"][0]}


class Decides(nn.Module):
    def forward(self, x):
        return x * float(x.shape[0])


@pytest.mark.parametrize("size", [1, 3])
def test_a_size_that_becomes_a_constant_is_an_error_with_the_size_of_the_example(size):
    with pytest.raises(CaptureError, match=f"axis 0 of 'x' \\('n'\\) is fixed to {size}"):
        by_export(Decides(), torch.randn(size, 2), dynamic_axes={"x": {0: "n"}})


class Halves(nn.Module):
    def forward(self, x):
        return x.view(-1, 2) * 2


def test_guards_are_limits_over_the_names_of_the_user():
    capture = by_export(Halves(), torch.randn(4), dynamic_axes={"x": {0: "n"}}).work.need(Fact.GRAPH)
    assert "(n % 2) == 0" in [guard.condition for guard in capture.guards]


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lading.export(model, torch.randn(4, 3), settings=["trace.strategy=export"], training="train")
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


# ---- auto ------------------------------------------------------------------------------------------------------------


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        while bool(x.sum() > 0):
            x = self.layer(x) - 1
        return x


def test_auto_records_where_it_can():
    exported = lading.export(nn.Linear(2, 2), torch.randn(1, 2))
    assert ("record", []) == (exported.work.need(Fact.GRAPH).strategy, decisions(exported, "strategy left"))


def test_auto_goes_down_step_by_step_with_reasons():
    exported = lading.export(Branches(), torch.randn(3, 4), verify=True)
    left = decisions(exported, "strategy left")
    assert ["record", "export"] == [decided["details"]["strategy"] for decided in left]
    assert all(decided["why"] for decided in left)
    assert ("script", "passed") == (exported.work.need(Fact.GRAPH).strategy, exported.verification.status)


class Unscriptable(nn.Module):
    def forward(self, x, *rest, **more):
        return x if bool((x > 0).all()) else x.new_tensor(x.sum().item())


def test_if_all_fail_the_first_error_comes_first_and_the_others_are_told(capfd):
    with pytest.raises(CaptureError) as raised:
        lading.export(Unscriptable(), torch.ones(3))
    parts = ("record: the model's Python asks", "export: torch.export cannot", "scripted: torch.jit.script cannot")
    places = [str(raised.value).index(part) for part in parts]
    assert sorted(places) == places
    assert "Unscriptable" not in capfd.readouterr().out


def test_a_model_that_fails_by_itself_is_tried_once(monkeypatch):
    tried = []
    find = strategies.find
    monkeypatch.setattr(strategies, "find", lambda name: lambda given: tried.append(name) or find(name)(given))
    with pytest.raises(CaptureError, match="the model failed on the example arguments"):
        lading.export(nn.Linear(3, 3), torch.randn(2, 5))
    assert ["record"] == tried


def test_a_usage_error_is_no_reason_to_step_down():
    with pytest.raises(UsageError, match="the model takes no argument 'z'"):
        lading.export(nn.Linear(3, 3), (torch.randn(2, 3), {"z": 1}))
