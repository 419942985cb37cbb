# SPDX-License-Identifier: Apache-2.0
"""Loops: of known and unknown length, over ranges, tensors and lists, with state, nested, left early."""

# ruff: noqa: SIM108, B905 - TorchScript knows no zip(strict=...), and the if is what is shown

from __future__ import annotations

import torch
from constructs.registry import AS_SCRIPT, SCRIPT_ONLY, construct, down, ints, t, up, whole
from torch import Tensor


@construct((t(2, 3),))
def range_of_known_length(x: Tensor) -> Tensor:
    for i in range(4):
        x = x * 2 + i
    return x


@construct((t(3, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def sum_over_rows(x: Tensor) -> Tensor:
    total = torch.zeros(2)
    for i in range(x.size(0)):
        total = total + x[i] * i
    return total


@construct((t(3, 2), whole(4)), (t(3, 2), whole(0)), (t(3, 2), whole(1)), forms=SCRIPT_ONLY)
def trip_count_of_the_run(x: Tensor, n: Tensor) -> Tensor:
    for _ in range(int(n)):
        x = x * 0.5 + 1
    return x


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def rows_by_iteration(x: Tensor) -> Tensor:
    h = torch.zeros(2)
    for row in x:
        h = torch.tanh(h + row)
    return h


@construct((up(3),), (down(3),), (up(3) * 100,), forms=SCRIPT_ONLY)
def while_on_values(x: Tensor) -> Tensor:
    while bool(x.sum() > 1):
        x = x / 2
    return x


@construct((up(3),), (up(3) * 50,), forms=SCRIPT_ONLY)
def while_that_counts(x: Tensor) -> tuple[Tensor, int]:
    n = 0
    while bool(x.max() > 0.5) and n < 20:
        x = x * 0.7
        n += 1
    return x, n


@construct((t(2),))
def while_on_a_known_counter(x: Tensor) -> Tensor:
    i = 0
    while i < 5:
        x = x + i
        i += 2
    return x


@construct((t(4, 3),), (t(7, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def two_carried_values(x: Tensor) -> tuple[Tensor, Tensor]:
    a = torch.zeros(3)
    b = torch.ones(3)
    for i in range(x.size(0)):
        a, b = a + x[i], b * 0.9 + a
    return a, b


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def carried_integer(x: Tensor) -> int:
    k = 1
    for i in range(x.size(0)):
        k = k + i * 2
    return k


@construct((up(4),), (t(4),), forms=SCRIPT_ONLY)
def carried_float(x: Tensor) -> Tensor:
    s = 0.5
    for i in range(x.size(0)):
        s = s * float(x[i]) + 1.0
    return x * s


@construct((t(5),), (down(5),), (up(5),), forms=SCRIPT_ONLY)
def if_inside_a_loop(x: Tensor) -> Tensor:
    total = torch.zeros(1)
    for i in range(5):
        if x[i] > 0:
            total = total + x[i]
        else:
            total = total - 1
    return total


@construct((t(5, 2),), (down(7, 2),), (up(3, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def if_inside_a_loop_of_the_run(x: Tensor) -> Tensor:
    total = torch.zeros(2)
    for i in range(x.size(0)):
        if x[i].sum() > 0:
            total = total + x[i]
        else:
            total = total * 0.5
    return total


@construct((t(3, 4),), (t(2, 5),), axes={"x": [0, 1]}, forms=SCRIPT_ONLY)
def nested_loops(x: Tensor) -> Tensor:
    total = torch.zeros(1)
    for i in range(x.size(0)):
        for j in range(x.size(1)):
            total = total * 0.9 + x[i, j]
    return total


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def known_loop_in_a_loop_of_the_run(x: Tensor) -> Tensor:
    total = torch.zeros(4)
    for i in range(x.size(0)):
        for j in range(2):
            total = total + x[i] * (j + 1)
    return total


@construct((up(6),), (down(6),), (t(6),), forms=SCRIPT_ONLY)
def break_on_a_value(x: Tensor) -> Tensor:
    total = torch.zeros(1)
    for i in range(6):
        if x[i] < 0:
            break
        total = total + x[i]
    return total


@construct((up(6),), (down(4),), (t(9),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def break_in_a_loop_of_the_run(x: Tensor) -> tuple[Tensor, int]:
    total = torch.zeros(1)
    seen = 0
    for i in range(x.size(0)):
        if x[i] < -1:
            break
        total = total + x[i]
        seen += 1
    return total, seen


@construct((t(6),), (down(6),), forms=SCRIPT_ONLY)
def continue_on_a_value(x: Tensor) -> Tensor:
    total = torch.zeros(1)
    for i in range(6):
        if x[i] < 0:
            continue
        total = total + x[i]
    return total


@construct((t(6),), (t(9, seed=5),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def continue_in_a_loop_of_the_run(x: Tensor) -> Tensor:
    total = torch.zeros(1)
    for i in range(x.size(0)):
        if x[i] < 0:
            continue
        total = total + x[i]
    return total


@construct((up(5),), (t(5),), forms=SCRIPT_ONLY)
def return_from_a_loop(x: Tensor) -> Tensor:
    for i in range(5):
        if x[i] < 0:
            return x * i
    return x + 1


@construct((t(8, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def range_with_start_and_step(x: Tensor) -> Tensor:
    total = torch.zeros(2)
    for i in range(1, x.size(0), 2):
        total = total + x[i]
    return total


@construct((t(5, 2),), (t(4, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def range_that_goes_down(x: Tensor) -> Tensor:
    h = torch.zeros(2)
    for i in range(x.size(0) - 1, -1, -1):
        h = h * 0.5 + x[i]
    return h


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def slices_by_a_loop_index(x: Tensor) -> Tensor:
    total = torch.zeros(2)
    for i in range(x.size(0)):
        total = total + x[: i + 1].sum(0)
    return total


@construct((t(2, 3),), forms=SCRIPT_ONLY)
def tensor_that_grows(x: Tensor) -> Tensor:
    y = x
    n = int((x * 0 + 1).sum())
    for _ in range(n):
        y = torch.cat([y, x])
    return y


@construct((t(6, 3),), (t(3, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def tensor_that_shrinks(x: Tensor) -> Tensor:
    s = torch.zeros(3)
    while x.size(0) > 0:
        s = s * 0.5 + x[0]
        x = x[1:]
    return s


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def rows_written_in_place(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for i in range(x.size(0)):
        y[i] = x[i] * i
    return y


@construct((t(4, 3),))
def known_rows_written_in_place(x: Tensor) -> Tensor:
    y = x.clone()
    for i in range(3):
        y[i + 1] += y[i]
    return y


@construct((t(4, 3),), (t(2, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def optional_state(x: Tensor) -> Tensor:
    h: Tensor | None = None
    for i in range(x.size(0)):
        if h is None:
            h = x[i]
        else:
            h = h * 0.5 + x[i]
    assert h is not None
    return h


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=AS_SCRIPT)
class RecurrentCellInALoop(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.GRUCell(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(1, 5)
        for i in range(x.size(0)):
            h = self.cell(x[i].unsqueeze(0), h)
        return h


@construct((t(2, 4, 3),), (t(3, 6, 3),), axes={"x": [0, 1]}, forms=AS_SCRIPT)
class LstmCellByHand(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.LSTMCell(3, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(0), 4)
        c = torch.zeros(x.size(0), 4)
        outputs: list[Tensor] = []
        for i in range(x.size(1)):
            h, c = self.cell(x[:, i], (h, c))
            outputs.append(h)
        return torch.stack(outputs, 1), c


@construct((ints(3, 1, 2),), (ints(5, 0, 7),), forms=SCRIPT_ONLY)
def loop_over_integers_of_a_tensor(x: Tensor) -> Tensor:
    total = torch.zeros(1)
    for i in range(x.size(0)):
        total = total + torch.ones(int(x[i])).sum()
    return total


@construct((t(2, 3), whole(3)), (t(2, 3), whole(0)), forms=SCRIPT_ONLY)
def tuple_carried(x: Tensor, n: Tensor) -> Tensor:
    pair = (x, x)
    for _ in range(int(n)):
        pair = (pair[1], pair[0] + pair[1])
    return pair[0]


@construct((t(300),), forms=SCRIPT_ONLY)
def long_loop_of_known_length(x: Tensor) -> Tensor:
    h = torch.zeros(1)
    for i in range(x.size(0)):
        h = torch.tanh(h * 0.3 + x[i])
    return h


@construct((up(3),), (up(3) * 8,), forms=SCRIPT_ONLY)
def while_true_with_break(x: Tensor) -> Tensor:
    while True:
        x = x / 2
        if x.sum() < 1:
            break
    return x


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def enumerate_rows(x: Tensor) -> Tensor:
    total = torch.zeros(2)
    for i, row in enumerate(x):
        total = total + row * i
    return total


@construct(
    (t(3, 2), t(3, 2, seed=1)), (t(5, 2), t(5, 2, seed=1)), axes={"x": {0: "n"}, "y": {0: "n"}}, forms=SCRIPT_ONLY
)
def zip_of_two_tensors(x: Tensor, y: Tensor) -> Tensor:
    total = torch.zeros(2)
    for a, b in zip(x, y):
        total = total + a * b
    return total


@construct((whole(5),), (whole(1),), (whole(9),), forms=SCRIPT_ONLY)
def fibonacci(n: Tensor) -> int:
    a, b = 0, 1
    for _ in range(int(n)):
        a, b = b, a + b
    return a


@construct((whole(6),), (whole(27),), forms=SCRIPT_ONLY)
def collatz(n: Tensor) -> int:
    k = int(n)
    steps = 0
    while k != 1:
        if k % 2 == 0:
            k = k // 2
        else:
            k = 3 * k + 1
        steps += 1
    return steps
