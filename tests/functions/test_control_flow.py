# SPDX-License-Identifier: Apache-2.0
"""Modules that run in branches and loops, modules that have some inside, and decisions on sizes."""

from __future__ import annotations

import onnx_ir as ir
import torch
from torch import nn


class Choosing(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        y = self.fc(x)
        if bool(y.sum() > 0):
            return y * 2 + self.fc(y)
        return y - 1


class Looping(nn.Module):
    def __init__(self):
        super().__init__()
        self.step = Choosing()

    def forward(self, x, count: torch.Tensor):
        for _ in range(int(count)):
            x = self.step(x)
            if bool(x.sum() > 0):
                x = self.step(x) + 1
        return x


LOOP = torch.tensor([[1.0, -2.0, 0.5, 0.25]]), torch.tensor(3)


def all_nodes(graph):
    return list(ir.traversal.RecursiveGraphIterator(graph))


def operators(graph):
    return [node.op_type for node in all_nodes(graph)]


def test_a_module_in_the_body_of_a_loop_is_called_there(kept):
    made = kept(Looping(), LOOP, "Choosing", strategy="script", dynamic_axes={"x": {0: "batch"}})
    assert ["Choosing"] == list(made.functions)
    assert [] == made.calls
    assert 2 == operators(made.exported.model.graph).count("Choosing")


def test_a_branch_in_a_module_is_part_of_its_function(kept):
    made = kept(Looping(), LOOP, "Choosing", strategy="script")
    assert "If" in made.operators("Choosing")


def test_functions_call_functions_in_branches(kept):
    made = kept(Looping(), LOOP, "Choosing,Linear,Looping", strategy="script")
    assert ["Looping"] == made.calls
    assert 2 == operators(made.functions["Choosing"].graph).count("Linear")
    assert 2 == operators(made.functions["Looping"].graph).count("Choosing")


class Relu(nn.Module):
    def forward(self, x):
        return torch.relu(x) + 1


class Conditional(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = Relu()

    def forward(self, x):
        return self.relu(torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,)))


def test_a_module_behind_an_exported_condition(kept):
    assert ["Relu"] == kept(Conditional(), torch.randn(2, 4), "Relu", strategy="export").calls


class Both(nn.Module):
    """Decides on a size inside of the module."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        y = self.fc(x)
        y = y * 2 if x.shape[1] > 5 else torch.relu(y) - 1
        return self.fc(y)


class OnSizes(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Both(), Both()

    def forward(self, x):
        return self.b(self.a(x))


def test_a_module_with_two_sides_is_one_function_with_both(kept):
    made = kept(OnSizes(), torch.randn(2, 3, 4), "Both", dynamic_axes={"x": {0: "batch", 1: "length"}})
    assert ["Both", "Both"] == made.calls
    assert 1 == made.operators("Both").count("If")


class Sometimes(nn.Module):
    """Runs a module on one side of a decision only."""

    def __init__(self):
        super().__init__()
        self.relu = Relu()

    def forward(self, x):
        return self.relu(x) if x.shape[0] > 5 else x - 1


def test_a_module_on_one_side_of_a_decision_is_called_there(kept):
    made = kept(Sometimes(), torch.randn(2, 3), "Relu", dynamic_axes={"x": {0: "batch"}})
    assert 1 == operators(made.exported.model.graph).count("Relu")
    assert ["Relu"] == list(made.functions)


class Half(nn.Module):
    def forward(self, x, long: bool):
        y = torch.relu(x)
        if long:
            y = y.flatten(0, 1)
        return torch.exp(y) + 1


class Pieces(nn.Module):
    """The shape that one module gives on one side of a decision goes on to the next ones."""

    def __init__(self):
        super().__init__()
        self.part = Half()

    def forward(self, x):
        return torch.tanh(self.part(x, x.shape[1] > 5)).sum()


def test_a_module_that_a_decision_beyond_it_has_in_pieces_stays_flat(kept):
    made = kept(Pieces(), torch.randn(2, 3, 4), "Half", dynamic_axes={"x": {1: "length"}})
    (warning,) = [each for each in made.warnings if "preserved" in each["message"]]
    assert {} == made.functions
    assert "part" == warning["details"]["module"]
