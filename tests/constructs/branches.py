# SPDX-License-Identifier: Apache-2.0
"""Choices: conditions of the run, of sizes and of capture, early returns, Optionals, assertions."""

# ruff: noqa: SIM108 - TorchScript knows no zip(strict=...), and the if is what is shown

from __future__ import annotations

import torch
from constructs.registry import AS_SCRIPT, SCRIPT_ONLY, construct, down, ints, no, t, up, whole, yes
from torch import Tensor


@construct((up(2, 3),), (down(2, 3),), (down(5, 3),), axes={"x": {0: "n"}}, forms=SCRIPT_ONLY)
def if_on_a_sum(x: Tensor) -> Tensor:
    if x.sum() > 0:
        y = x * 2
    else:
        y = x - 1
    return y


@construct((t(2, 3), yes()), (t(2, 3), no()), forms=SCRIPT_ONLY)
def if_on_a_flag(x: Tensor, flag: Tensor) -> Tensor:
    if bool(flag):
        return x.exp()
    return x.neg()


@construct((t(2, 3), whole(3)), (t(2, 3), whole(-3)), forms=SCRIPT_ONLY)
def if_on_an_item(x: Tensor, n: Tensor) -> Tensor:
    k = int(n.item())
    if k > 0:
        return x + k
    elif k < -2:
        return x * k
    return x


@construct((up(4),), (down(4),), forms=SCRIPT_ONLY)
def two_results_of_an_if(x: Tensor) -> tuple[Tensor, Tensor]:
    if x.max() > 0:
        a, b = x.sin(), x.cos()
    else:
        a, b = x.cos(), x
    return a, b


@construct((up(4),), (down(4),), (t(4),), forms=SCRIPT_ONLY)
def nested_ifs(x: Tensor) -> Tensor:
    if x[0] > 0:
        if x[1] > 0:
            r = x * 3
        else:
            r = x * 5
    else:
        if x[1] > 0:
            r = x * 7
        else:
            r = x * 11
    return r + 1


@construct((up(3, 4),), (down(3, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def sizes_that_differ_between_sides(x: Tensor) -> Tensor:
    if x.mean() > 0:
        y = x[1:]
    else:
        y = torch.cat([x, x])
    return y * 2


@construct((up(3, 4),), (down(3, 4),), forms=SCRIPT_ONLY)
def use_of_a_size_after_an_if(x: Tensor) -> Tensor:
    if x.mean() > 0:
        y = x[:, 1:]
    else:
        y = x
    return torch.zeros(y.size(1), 2) + y.size(1)


@construct((t(2, 3),), (t(6, 3),), axes={"x": {0: "n"}}, forms=SCRIPT_ONLY)
def if_on_a_free_size(x: Tensor) -> Tensor:
    if x.size(0) > 4:
        return x * 10
    return x


@construct((t(2, 3),), (t(5, 3),), axes={"x": {0: "n"}}, forms=SCRIPT_ONLY)
def if_on_an_even_size(x: Tensor) -> Tensor:
    if x.size(0) % 2 == 0:
        return x.reshape(-1, 2).sum(1)
    return x.sum(1)


@construct((t(2, 3),))
def if_on_a_fixed_size(x: Tensor) -> Tensor:
    if x.size(1) == 3:
        return x * 2
    return x + 100


@construct((t(2, 3, 4),))
def if_on_the_rank(x: Tensor) -> Tensor:
    if x.dim() == 3:
        x = x.flatten(1)
    return x


@construct((t(2, 3),))
def if_on_the_dtype(x: Tensor) -> Tensor:
    if x.dtype == torch.float32:
        return x / 2
    return x.float()


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def early_return(x: Tensor) -> Tensor:
    if x.sum() < 0:
        return torch.zeros_like(x)
    y = x.sqrt()
    if y.max() > 100:
        return y
    return y + 1


@construct((up(3),), (down(3),), (t(3, shift=20.0),), forms=SCRIPT_ONLY)
def chain_of_elifs(x: Tensor) -> Tensor:
    s = x.sum()
    if s > 10:
        return x - 10
    elif s > 0:
        return x
    elif s > -10:
        return x + 10
    return x * 0


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def if_without_else(x: Tensor) -> Tensor:
    y = x
    if x.sum() > 0:
        y = y * y
    return y


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def conditional_expression(x: Tensor) -> Tensor:
    scale = 2.0 if bool(x.sum() > 0) else 0.5
    return x * scale


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def integer_chosen_at_run_time(x: Tensor) -> Tensor:
    k = 1
    if x.sum() > 0:
        k = 2
    return torch.ones(k, 3) * x


@construct((up(3), up(3)), (up(3), down(3)), (down(3), up(3)), forms=SCRIPT_ONLY)
def conditions_joined_by_and(x: Tensor, y: Tensor) -> Tensor:
    if bool(x.sum() > 0) and bool(y.sum() > 0):
        return x + y
    return x - y


@construct((up(3), up(3)), (down(3), down(3)), (down(3), up(3)), forms=SCRIPT_ONLY)
def conditions_joined_by_or(x: Tensor, y: Tensor) -> Tensor:
    if bool(x.sum() > 0) or bool(y.sum() > 0):
        return x + y
    return x - y


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def negated_condition(x: Tensor) -> Tensor:
    positive = bool(x.sum() > 0)
    if not positive:
        x = x.abs()
    return x + 1


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def condition_used_twice(x: Tensor) -> Tensor:
    c = bool(x.sum() > 0)
    if c:
        x = x + 1
    y = x * 2
    if c:
        y = y - 3
    return y


@construct((t(2, 3), t(2, 3, seed=1)))
class OptionalGiven(torch.nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if y is not None:
            return x + y
        return x


@construct((t(2, 3),))
class OptionalLeftOut(torch.nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if y is None:
            y = torch.ones_like(x)
        return x + y


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def optional_of_the_run(x: Tensor) -> Tensor:
    y: Tensor | None = None
    if x.sum() > 0:
        y = x * 4
    if y is not None:
        x = x + y
    return x


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def tuple_chosen_at_run_time(x: Tensor) -> tuple[Tensor, int]:
    if x.sum() > 0:
        p = (x, 1)
    else:
        p = (-x, 2)
    return p[0] * p[1], p[1]


@construct((up(3),), (up(5),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def assertion_on_values(x: Tensor) -> Tensor:
    assert bool(x.min() > 0), f"all numbers must be positive, and there are {x.size(0)}"
    return x.log()


@construct((t(2, 3),))
def assertion_on_the_rank(x: Tensor) -> Tensor:
    assert x.dim() == 2
    return x.t()


@construct((up(3),), forms=SCRIPT_ONLY)
def raise_on_one_side(x: Tensor) -> Tensor:
    if x.sum() < 0:
        raise ValueError("negative")
    else:
        y = x + 1
    return y


@construct((ints(1, 2, 3),), (ints(-1, -2, -3),), forms=SCRIPT_ONLY)
def if_on_integers(x: Tensor) -> Tensor:
    if int(x.sum()) >= 0:
        return x * 2
    return x // 2


@construct((up(2, 2),), (down(2, 2),), forms=AS_SCRIPT)
class LayersOnBothSides(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = torch.nn.Linear(2, 4)
        self.right = torch.nn.Linear(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.left(x)
        return torch.relu(self.right(x))


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def write_in_place_on_one_side(x: Tensor) -> Tensor:
    y = x.clone()
    if x.sum() > 0:
        y[0] = 9.0
    else:
        y.mul_(2)
    return y + x


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def write_through_a_view_on_one_side(x: Tensor) -> Tensor:
    y = torch.zeros(3)
    v = y[1:]
    if x.sum() > 0:
        v.add_(5)
    return y + v.sum() + x


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def result_is_an_input_on_one_side(x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x
    return x.abs()


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def bool_as_result(x: Tensor) -> tuple[bool, Tensor]:
    c = bool(x.sum() > 0)
    return c, x * 1


@construct((t(3),), (t(4),), axes={"x": [0]})
def size_as_result(x: Tensor) -> tuple[Tensor, int]:
    return x + 1, x.size(0)


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def float_read_from_a_tensor(x: Tensor) -> Tensor:
    s = float(x.sum())
    if s > 1.0:
        return x * s
    return x / (s + 3.0)


@construct((t(3, 4),), (t(8, 4),), (t(4, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def side_that_fits_other_sizes_only(x: Tensor) -> Tensor:
    if x.size(0) == 8:
        return x.view(2, 4, 4).sum(0)
    return x[:1] + torch.ones(4, 1)


@construct((t(3, 4),), (t(6, 4),), (t(9, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def first_rows_of_a_longer_tensor(x: Tensor) -> Tensor:
    if x.size(0) > 5:
        head = x[:5]
        return head.reshape(4, 5) + torch.ones(4, 5)
    return x.sum() * torch.ones(4, 5)


@construct((t(3, 4), t(5, 4)), (t(5, 4), t(5, 4)), (t(2, 4), t(1, 4)), axes={"x": [0], "y": [0]}, forms=SCRIPT_ONLY)
def padded_to_the_longer(x: Tensor, y: Tensor) -> Tensor:
    n = x.size(0)
    m = y.size(0)
    if n < m:
        x = torch.cat([x, torch.zeros(m - n, 4)])
    elif n > m:
        y = torch.cat([y, torch.zeros(n - m, 4)])
    return x[: max(n, m)] * y[: max(n, m)]


@construct((t(3, 4),), (t(6, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def halves_of_an_even_size(x: Tensor) -> Tensor:
    if x.size(0) % 2 == 0:
        half = x.size(0) // 2
        return x[:half] * x[half:]
    return x
