# SPDX-License-Identifier: Apache-2.0
"""Faults that are planted in a step are found in that step."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest
import torch
from lading.passes.verification.report import Check

import lading
from lading import Fact, Note, Work
from lading.bisecting import Departure, StepCheck, find_departure


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x)).sin()


def swap(name: str, old: str, new: str) -> Any:
    """A pass that makes one kind of node another."""

    @lading.a_pass(name, requires=(Fact.ONNX,))
    class Swap:
        """Exchange an operator."""

        def run(self, work: Work, note: Note) -> None:
            graph = work.need_model().graph
            for node in list(graph):
                if node.op_type == old:
                    made = ir.node(new, node.inputs)
                    made.outputs[0].shape, made.outputs[0].type = node.outputs[0].shape, node.outputs[0].type
                    ir.convenience.replace_nodes_and_values(graph, node, [node], [made], node.outputs, made.outputs)

    return Swap()


def test_a_run_that_is_right_departs_nowhere() -> None:
    departure = find_departure(Net(), (torch.randn(2, 4),))
    assert (None, {"passed"}) == (departure.step, {entry.check.status for entry in departure.checked})


def test_a_wrong_pass_is_found() -> None:
    departure = find_departure(Net(), (torch.randn(2, 4),), passes=(swap("bend-relu", "Relu", "Neg"),))
    assert departure.step is not None
    assert departure.step.endswith("bend-relu")


def test_what_is_wrong_when_lowering_ends_is_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "forward", lambda self, x: Wrong.apply(self.linear(x)))
    assert "fallback" == find_departure(Net(), (torch.randn(2, 4),)).step


class Wrong(torch.autograd.Function):
    """An operator whose own lowering is not what it computes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.sin()

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        return g.op("Cos", x)


def test_a_fault_that_a_later_step_mends_does_not_count() -> None:
    def entry(step: str, status: Any) -> StepCheck:
        return StepCheck(step=step, check=Check(name="example", status=status))

    statuses = [("a", "failed"), ("b", "passed"), ("c", "failed"), ("d", "skipped"), ("e", "failed")]
    assert "c" == Departure(checked=tuple(entry(*pair) for pair in statuses)).step
