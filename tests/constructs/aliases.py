# SPDX-License-Identifier: Apache-2.0
"""Two names for one thing: tensors in lists that are written later, lists in lists, dicts and attributes handed on."""

# ruff: noqa: SIM108 - the if is what is shown

from __future__ import annotations

import torch
from constructs.registry import SCRIPT_ONLY, construct, down, t, up
from torch import Tensor, nn


@construct((t(3, 2),))
def appended_and_then_written_in_a_known_loop(x: Tensor) -> Tensor:
    h = torch.zeros(2)
    out: list[Tensor] = []
    for i in range(3):
        h += x[i]
        out.append(h)
    return torch.stack(out)


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def copies_appended(x: Tensor) -> Tensor:
    h = torch.zeros(2)
    out: list[Tensor] = []
    for i in range(x.size(0)):
        h += x[i]
        out.append(h.clone())
    return torch.stack(out)


@construct((t(3, 2),))
def member_written_through_the_list(x: Tensor) -> Tensor:
    y = x.clone()
    parts = [y, x * 2]
    parts[0].add_(1)
    parts[1][0] = 5.0
    return y + parts[1]


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def member_of_a_grown_list_written(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i].clone())
    out[0].mul_(10)
    return torch.stack(out)


@construct((t(3, 2),))
def list_of_lists_changed_later(x: Tensor) -> Tensor:
    row = [x[0]]
    rows = [row, row]
    row.append(x[1])
    return torch.stack(rows[1]) * len(rows[0])


@construct((t(3, 2),))
def dict_handed_on(x: Tensor) -> Tensor:
    table = {"a": x}
    other = table
    _add_key(other, x * 2)
    return table["a"] + table["b"]


def _add_key(table: dict[str, Tensor], x: Tensor) -> None:
    table["b"] = x
    table["a"] = x + 1


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def one_list_two_names_in_a_branch(x: Tensor) -> Tensor:
    a = [x]
    b = a
    if x.sum() > 0:
        b.append(x * 2)
    else:
        a.append(x * 3)
    return torch.stack(a) + torch.stack(b)


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def views_of_rows_written_in_a_loop(x: Tensor) -> Tensor:
    y = x.clone()
    total = torch.zeros(2)
    for i in range(x.size(0)):
        row = y[i]
        row.mul_(2)
        total += row
    return y + total


@construct((t(4, 2),))
def argument_and_its_view(x: Tensor) -> Tensor:
    y = x + 0
    _write_both(y, y[1:])
    return y


def _write_both(a: Tensor, b: Tensor) -> None:
    b.add_(1)
    a.mul_(2)
    b[0] = 7.0


@construct((t(2, 3),))
class ChildKeepsWhatItIsGiven(nn.Module):
    class Keeper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = torch.zeros(1)

        def keep(self, x: Tensor) -> None:
            self.kept = x

        def forward(self, x: Tensor) -> Tensor:
            return x + self.kept

    def __init__(self) -> None:
        super().__init__()
        self.keeper = ChildKeepsWhatItIsGiven.Keeper()

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        self.keeper.keep(y)
        y.add_(1)
        return self.keeper(x)


@construct((t(3, 4),))
def swapped_in_place(x: Tensor) -> Tensor:
    y = x.clone()
    top, bottom = y[0].clone(), y[2]
    y[0] = bottom
    y[2] = top
    return y


@construct((t(4, 4),), (t(6, 6),), axes={"x": {0: "n", 1: "n"}})
def expanded_then_copied(x: Tensor) -> Tensor:
    row = x[0].expand(x.size(0), x.size(1)).clone()
    row[0] = 0.0
    return row + x


@construct((t(2, 3, 4),))
def view_of_a_transposed_view(x: Tensor) -> Tensor:
    y = x.clone()
    y.transpose(1, 2)[:, 0].mul_(3)
    y.permute(2, 0, 1)[0, 1].fill_(2.0)
    y.unsqueeze(0).squeeze(0).narrow(1, 0, 2).sub_(1)
    return y


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def side_that_is_another_name(x: Tensor) -> Tensor:
    y = x.clone()
    if x.sum() > 0:
        v = y
    else:
        v = y * 2
    v = v + 1
    y.add_(3)
    return v - y


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def the_row_before(x: Tensor) -> Tensor:
    before = torch.zeros(2)
    total = torch.zeros(2)
    for i in range(x.size(0)):
        now = x[i] * 2
        total += now - before
        before = now
        total.clamp_(max=3.0)
    return total + before


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def state_written_and_replaced(x: Tensor) -> Tensor:
    h = torch.ones(2)
    for i in range(x.size(0)):
        h.mul_(0.5)
        h = h + x[i]
    h.add_(1)
    return h
