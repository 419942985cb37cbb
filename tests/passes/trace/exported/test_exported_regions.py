# SPDX-License-Identifier: Apache-2.0
"""Control flow, in-place writes and sizes known at run time, as exported programs have them."""

from __future__ import annotations

import pytest
import torch
from lading.passes.trace.exported.writes import needs_functionalization
from lading.pipeline.errors import CaptureError
from torch import nn
from torch._higher_order_ops import map as mapped
from torch._higher_order_ops import scan, while_loop
from torch.export import Dim

import lading


class Choice(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: (x * 2, x.sum()), lambda x: (x.flip(0), x.mean()), (x,))


class ChoiceInChoice(nn.Module):
    def forward(self, x):
        def inner(x):
            return torch.cond(x.max() > 1, lambda x: x * x.shape[0], lambda x: x.clone(), (x,))

        return torch.cond(x.sum() > 0, inner, lambda x: x - x.shape[0], (x,))


class ChoiceOnSize(nn.Module):
    def forward(self, x):
        return torch.cond(x.shape[0] > 4, lambda x: x * 2, lambda x: x[:3].sum() + x, (x,))


class CountedLoop(nn.Module):
    def forward(self, x):
        return while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * (i + 1)), (0, x))


class OpenLoop(nn.Module):
    def forward(self, x):
        def goes_on(i, x):
            return (i < 9) & (x.abs().sum() < 100)

        return while_loop(goes_on, lambda i, x: (i + 1, x * 2), (torch.tensor(0), x))


class Scanned(nn.Module):
    def forward(self, x):
        return scan(lambda carry, x: (carry + x, carry * x), x[0] * 0, x, dim=0)


class Mapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return mapped(lambda row, first: self.layer(row) + first, x, x[0].clone())


class Vectorised(nn.Module):
    def forward(self, x):
        return torch.vmap(lambda row: row.sum() * row)(x)


class Regions(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        with torch.no_grad():
            y = x * 2
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = self.layer(y)
        return z.float() + torch.utils.checkpoint.checkpoint(torch.tanh, x, use_reentrant=False)


class Writes(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.mean.copy_(x.mean(0))
        self.calls += 1
        y = x.clone()
        y[:, 1] = 0
        y.view(-1).add_(self.mean[0])
        y[0] += self.mean
        return y, self.calls * 2


class Found(nn.Module):
    def forward(self, x):
        places = (x > 0).nonzero()
        return places * 2, x[x > 0], places.shape[0]


class Counted(nn.Module):
    def forward(self, x):
        count = x.abs().sum().int().item()
        torch._check(count >= 0)
        torch._check(count < 100)
        return torch.zeros(count), torch.arange(count) + 1, x * count


MODELS = [
    Choice,
    ChoiceInChoice,
    ChoiceOnSize,
    CountedLoop,
    OpenLoop,
    Scanned,
    Mapped,
    Vectorised,
    Regions,
    Writes,
    Found,
    Counted,
]


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_the_file_agrees_with_the_program(kind):
    torch.manual_seed(0)
    program = torch.export.export(kind().eval(), (torch.randn(5, 4),), dynamic_shapes=({0: Dim.AUTO},))
    exported = lading.export(program, verify=True, overrides={"verify.rtol": 1e-2} if kind is Regions else None)
    checks = exported.verification.checks
    assert {"passed"} == {check.status for check in checks if check.name.startswith(("example", "random"))}
    assert any(check.status == "passed" for check in checks if " = " in check.name)


@pytest.mark.parametrize("kind", [Choice, OpenLoop, Scanned], ids=lambda kind: kind.__name__)
def test_control_flow_stays_in_the_file(kind):
    program = torch.export.export(kind().eval(), (torch.randn(5, 4),), dynamic_shapes=({0: Dim.AUTO},))
    kinds = {node.op_type for node in lading.export(program).model.graph}
    assert kinds & {"If", "Loop", "Scan"}


def test_both_branches_run():
    program = torch.export.export(Choice().eval(), (torch.randn(5, 4),), dynamic_shapes=({0: Dim.AUTO},))
    exported = lading.export(program)
    for x in (torch.ones(3, 4), -torch.ones(3, 4)):
        got = tuple(torch.as_tensor(value) for value in exported(x))
        torch.testing.assert_close(got, Choice()(x))


def test_a_plain_write_needs_no_rewriting():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Hardtanh(inplace=True))
    program = torch.export.export(model.eval(), (torch.randn(2, 4),))
    assert not needs_functionalization(program.graph_module, frozenset())


class SeenThroughView(nn.Module):
    def forward(self, x):
        y = x + 1
        view = y.view(-1)
        y.mul_(2)
        return view


def test_a_write_that_a_view_shows_is_rewritten():
    program = torch.export.export(SeenThroughView(), (torch.randn(2, 4),))
    assert needs_functionalization(program.graph_module, frozenset())
    assert "passed" == lading.export(program, verify=True).verification.status


@torch.library.custom_op("lading_test_exported::fill", mutates_args=("x",))
def fill(x: torch.Tensor) -> None:
    x.fill_(1)


class WritesByOperator(nn.Module):
    def forward(self, x):
        y = x.clone()
        fill(y)
        return y


def test_an_operator_that_writes_into_its_argument_is_declined():
    program = torch.export.export(WritesByOperator(), (torch.randn(2),))
    with pytest.raises(CaptureError, match="auto_functionalized"):
        lading.export(program)
