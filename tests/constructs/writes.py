# SPDX-License-Identifier: Apache-2.0
"""In-place operators and views, and what they do to each other."""

from __future__ import annotations

import torch
from constructs.registry import SCRIPT_ONLY, construct, ints, t, up, whole
from torch import Tensor


@construct((t(3, 4),))
def add_in_place(x: Tensor) -> Tensor:
    y = x.clone()
    y += 1
    y.mul_(2)
    return y


@construct((t(3, 4),))
def row_set(x: Tensor) -> Tensor:
    y = x.clone()
    y[1] = 5.0
    return y


@construct((t(3, 4),))
def column_added(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 1] += x[:, 0]
    return y


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]})
def slice_set(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[1:, :2] = x[1:, 2:]
    return y


@construct((t(3, 4),))
def view_then_write_to_base(x: Tensor) -> Tensor:
    y = x.clone()
    v = y.view(12)
    y.add_(1)
    return v * 2


@construct((t(3, 4),))
def write_to_view_seen_in_base(x: Tensor) -> Tensor:
    y = x.clone()
    y.view(-1)[2:5].zero_()
    return y


@construct((t(3, 4),))
def transposed_view_written(x: Tensor) -> Tensor:
    y = x.clone()
    y.t()[0].fill_(1.0)
    return y


@construct((t(3, 4),))
def masked_fill_in_place(x: Tensor) -> Tensor:
    y = x.clone()
    y.masked_fill_(x > 0, 0.0)
    return y


@construct((t(3, 4),))
def set_by_mask(x: Tensor) -> Tensor:
    y = x.clone()
    y[x < 0] = -1.0
    return y


@construct((t(5, 2), ints(0, 3)), (t(5, 2), ints(4, 1)))
def set_by_index(x: Tensor, i: Tensor) -> Tensor:
    y = x.clone()
    y[i] = 0.0
    return y


@construct(
    (t(5, 2), ints(0, 3, 3)),
)
def index_added(x: Tensor, i: Tensor) -> Tensor:
    return torch.zeros(5, 2).index_add(0, i, x[:3])


@construct((t(5, 2), whole(2)), (t(5, 2), whole(4)), forms=SCRIPT_ONLY)
def row_of_the_run_set(x: Tensor, i: Tensor) -> Tensor:
    y = x.clone()
    y[int(i)] = 7.0
    return y


@construct((t(3, 4),))
def copy_in_place(x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    y.copy_(x * 3)
    return y


@construct((t(3, 4),))
def chain_of_views(x: Tensor) -> Tensor:
    y = x.clone()
    a = y[1:]
    b = a[:, 2:]
    b.mul_(10)
    a[0, 0] = 4.0
    return y + b.sum()


@construct((t(3, 4),))
def squeezed_in_place(x: Tensor) -> Tensor:
    y = x.unsqueeze(0)
    y = y.squeeze(0)
    y = y.relu()
    return y.clamp_(max=1.0)


@construct((t(4),))
def swap_by_tuple(x: Tensor) -> Tensor:
    a, b = x[:2], x[2:]
    a, b = b, a
    return torch.cat([a, b])


@construct((up(3), up(3)), forms=SCRIPT_ONLY)
def argument_written(x: Tensor, y: Tensor) -> Tensor:
    z = x + y
    z.sqrt_()
    z.add_(x, alpha=2)
    return z


@construct((t(2, 3),), (t(4, 3),), axes={"x": [0]})
def buffer_filled_by_parts(x: Tensor) -> Tensor:
    out = torch.zeros(x.size(0), 6)
    out[:, :3] = x
    out[:, 3:] = x * 2
    return out


@construct((t(4, 4),))
def diagonal_written(x: Tensor) -> Tensor:
    y = x.clone()
    y.diagonal().fill_(0.0)
    return y


@construct((t(3),), (t(6),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def running_sum_written(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    s = torch.zeros(1)
    for i in range(x.size(0)):
        s += x[i]
        y[i] = s[0]
    return y


@construct((t(3, 3),), (t(5, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def accumulated_in_place(x: Tensor) -> Tensor:
    total = torch.zeros(3)
    for i in range(x.size(0)):
        total.add_(x[i])
        total[0] = 0.5
    return total


@construct((up(2),), (t(2, shift=-3.0),), forms=SCRIPT_ONLY)
def write_then_branch(x: Tensor) -> Tensor:
    y = x.clone()
    v = y[:1]
    if x.sum() > 0:
        y.add_(1)
        v.mul_(3)
    v.add_(0.5)
    return y
