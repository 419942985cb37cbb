# SPDX-License-Identifier: Apache-2.0
"""Constructs that meet: aliases of lists, state that crosses loops and branches, calls inside of bodies."""

# ruff: noqa: SIM108, B007 - what is shown is the statement itself

from __future__ import annotations

import torch
from constructs.registry import AS_SCRIPT, SCRIPT_ONLY, construct, down, ints, t, up, whole
from torch import Tensor, nn


def _collect(into: list[Tensor], x: Tensor) -> None:
    into.append(x * 2)
    into.append(x + 1)


@construct((t(2, 3),))
def list_filled_by_a_function(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    _collect(out, x)
    _collect(out, x * 3)
    return torch.stack(out)


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_filled_by_a_function_in_a_loop(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        _collect(out, x[i])
    return torch.stack(out)


@construct((t(2, 3),))
def two_names_for_a_list(x: Tensor) -> Tensor:
    a = [x]
    b = a
    b.append(x * 2)
    return torch.cat(a)


@construct((up(2, 3),), (down(2, 3),), forms=SCRIPT_ONLY)
def list_chosen_at_run_time(x: Tensor) -> Tensor:
    a = [x, x + 1]
    b = [x - 1, x * 2]
    if x.sum() > 0:
        c = a
    else:
        c = b
    return c[0] * c[1]


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def two_lists_in_one_loop(x: Tensor) -> tuple[Tensor, Tensor]:
    a: list[Tensor] = []
    b: list[Tensor] = []
    for i in range(x.size(0)):
        a.append(x[i])
        if x[i].sum() > 0:
            b.append(x[i] * 2)
        else:
            b.append(x[i] * 3)
    return torch.stack(a), torch.stack(b)


@construct((t(6, 2),), (up(4, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def append_and_break(x: Tensor) -> Tensor:
    out = [torch.zeros(2)]
    for i in range(x.size(0)):
        if x[i].sum() > 1.5:
            break
        out.append(x[i])
    return torch.stack(out)


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_in_a_list_comprehension(x: Tensor) -> Tensor:
    sizes = [x[i].sum() for i in range(x.size(0))]
    return torch.stack(sizes)


@construct((t(2, 5, 3),), (t(4, 5, 3),), axes={"x": [0]}, forms=AS_SCRIPT)
class StatefulDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        state: tuple[Tensor, Tensor] | None = None
        outputs: list[Tensor] = []
        for i in range(5):
            if state is None:
                h, c = self.cell(x[:, i])
            else:
                h, c = self.cell(x[:, i], state)
            state = (h, c)
            outputs.append(h)
        return torch.stack(outputs, 1)


@construct((t(4, 2, 3),), (t(6, 2, 3),), axes={"x": [0]}, forms=AS_SCRIPT)
class OptionalPairInALoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        state: tuple[Tensor, Tensor] | None = None
        out = torch.zeros(2, 3)
        for i in range(x.size(0)):
            if state is None:
                h, c = self.cell(x[i])
            else:
                h, c = self.cell(x[i], state)
            state = (h, c)
            out = out + h
        return out


@construct((up(3, 2),), (down(4, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
class CounterInALoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.count = 0
        for i in range(x.size(0)):
            if x[i].sum() > 0:
                self.count += 1
        return x * self.count


@construct((t(4, 4),), (up(5, 5),), axes={"x": [0, 1]}, forms=SCRIPT_ONLY)
def return_from_nested_loops(x: Tensor) -> Tensor:
    for i in range(x.size(0)):
        for j in range(x.size(1)):
            if x[i, j] < -1:
                return x[i] * 0 + j
    return x[0]


@construct((t(6),), (down(6),), forms=SCRIPT_ONLY)
def break_from_the_inner_loop(x: Tensor) -> Tensor:
    total = torch.zeros(1)
    for i in range(3):
        for j in range(6):
            if x[j] > i:
                break
            total = total + x[j]
    return total


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def dict_changed_on_one_side(x: Tensor) -> Tensor:
    table = {"a": x, "b": x * 2}
    if x.sum() > 0:
        table["a"] = table["b"] + 1
    return table["a"]


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def view_taken_before_a_loop(x: Tensor) -> Tensor:
    y = torch.zeros(4)
    v = y[:2]
    for i in range(x.size(0)):
        v += x[i]
    return y


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def two_views_of_one_tensor(x: Tensor) -> Tensor:
    y = torch.zeros(2, 2)
    top = y[0]
    left = y[:, 0]
    for i in range(x.size(0)):
        top.add_(x[i])
        left.mul_(0.5)
    return y + top + left


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def nested_writes(x: Tensor) -> Tensor:
    y = torch.zeros(3)
    if x.sum() > 0:
        y += 1
        if x[0] > 0.2:
            y[1] = 5.0
        y *= 2
    return y


@construct((t(4),), (up(4),), forms=SCRIPT_ONLY)
def write_in_a_loop_in_a_branch(x: Tensor) -> Tensor:
    y = torch.zeros(4)
    if x.sum() > 0:
        for i in range(x.size(0)):
            y[i] = x[i] * 2
    else:
        y.fill_(-1)
    return y


@construct((t(5),), (t(7, seed=9),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def maximum_by_hand(x: Tensor) -> tuple[Tensor, int]:
    best = x[0]
    place = 0
    for i in range(1, x.size(0)):
        if x[i] > best:
            best = x[i]
            place = i
    return best, place


@construct((t(5),), (t(8, seed=2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def bubble_sort(x: Tensor) -> Tensor:
    y = x.clone()
    n = y.size(0)
    for i in range(n):
        for j in range(n - 1):
            if y[j] > y[j + 1]:
                swap = y[j].clone()
                y[j] = y[j + 1]
                y[j + 1] = swap
    return y


@construct((up(2, 2),), (up(2, 2) * 0.1,), forms=SCRIPT_ONLY)
def newton_iteration(x: Tensor) -> tuple[Tensor, int]:
    y = torch.ones_like(x)
    steps = 0
    for i in range(50):
        z = (y + x / y) / 2
        steps += 1
        if (z - y).abs().max() < 1e-4:
            break
        y = z
    return y, steps


@construct((t(4, 5), ints(3)), (t(4, 5), ints(1)), forms=SCRIPT_ONLY)
def greedy_decoding(weights: Tensor, start: Tensor) -> Tensor:
    tokens = [start]
    for _ in range(6):
        scores = weights[tokens[-1] % 4]
        tokens.append(scores.argmax(-1))
    return torch.cat(tokens)


@construct((t(4, 4), whole(3)), (t(4, 4), whole(6)), forms=SCRIPT_ONLY)
def greedy_decoding_of_the_run(weights: Tensor, steps: Tensor) -> Tensor:
    token = torch.zeros(1, dtype=torch.int64)
    tokens = [token]
    for _ in range(int(steps)):
        token = weights[token].argmax(-1)
        tokens.append(token)
    return torch.cat(tokens)


@construct((t(3, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def sliding_windows(x: Tensor) -> Tensor:
    total = torch.zeros(2)
    for i in range(x.size(0) - 1):
        total = total + x[i : i + 2].mean(0)
    return total


@construct((t(6, 2),), (t(4, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def negative_index_of_the_run(x: Tensor) -> Tensor:
    total = torch.zeros(2)
    for i in range(x.size(0)):
        total = total * 0.5 + x[-i - 1]
    return total


@construct((t(2, 6),), (t(2, 4),), axes={"x": [1]}, forms=SCRIPT_ONLY)
def columns_in_pairs(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(0, x.size(1), 2):
        out.append(x[:, i] + x[:, i + 1])
    return torch.stack(out, 1)


@construct((up(3),), (down(3),), (t(3, shift=30.0),), forms=SCRIPT_ONLY)
def many_branches_one_variable(x: Tensor) -> Tensor:
    scale = 1.0
    if x.sum() > 20:
        scale = 0.1
    elif x.sum() > 0:
        scale = 2.0
    else:
        scale = float(x.abs().sum())
    return x * scale


@construct((up(3), torch.tensor(True)), (up(3), torch.tensor(False)), forms=SCRIPT_ONLY)
def bool_argument_negated_twice(x: Tensor, flag: Tensor) -> Tensor:
    on = bool(flag)
    off = not on
    if not off:
        x = x + 1
    if off and not on:
        x = x - 1
    return x


@construct((t(3, 3),))
def assertion_that_holds_at_capture(x: Tensor) -> Tensor:
    assert x.size(0) == x.size(1), "square only"
    return x.t() @ x


@construct((ints(5, 2, 9),), (ints(1, 1, 1),), forms=SCRIPT_ONLY)
def greatest_common_divisor(x: Tensor) -> int:
    a = int(x[0] * x[2])
    b = int(x[1] * x[2])
    while b != 0:
        a, b = b, a % b
    return a


@construct((t(3, 2), ints(2, 0)), (t(3, 2), ints(1, 2)), forms=SCRIPT_ONLY)
def rows_repeated(x: Tensor, counts: Tensor) -> Tensor:
    out = torch.zeros(1, 2)
    for i in range(counts.size(0)):
        for _ in range(int(counts[i])):
            out = torch.cat([out, x[i : i + 1]])
    return out


@construct((t(3, 2),), (t(4, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def padded_to_a_length(x: Tensor) -> Tensor:
    while x.size(0) < 6:
        x = torch.cat([x, torch.zeros(1, 2)])
    return x


@construct((t(5, 2),), (t(5, 2, seed=8),), forms=SCRIPT_ONLY)
def list_popped(x: Tensor) -> Tensor:
    rows = [x[0], x[1], x[2], x[3], x[4]]
    total = torch.zeros(2)
    while len(rows) > 1:
        total = total * 0.5 + rows.pop()
    return total + rows[0]


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_popped_at_run_time(x: Tensor) -> Tensor:
    rows: list[Tensor] = []
    for i in range(x.size(0)):
        rows.append(x[i])
    total = torch.zeros(2)
    while len(rows) > 0:
        total = total * 0.5 + rows.pop()
    return total


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def results_of_different_origin(x: Tensor) -> tuple[Tensor, Tensor, float]:
    a, b, c = x, x, 0.5
    if x.sum() > 0:
        a = torch.ones(3)
        c = 1.5
    else:
        b = torch.zeros(3)
    return a, b, c
