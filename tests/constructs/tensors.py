# SPDX-License-Identifier: Apache-2.0
"""Tensors and numbers: making, indexing, shapes, dtypes, arithmetic on sizes and on values of the run."""

from __future__ import annotations

import math

import torch
from constructs.registry import SCRIPT_ONLY, construct, ints, t, up, whole
from torch import Tensor


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]})
def zeros_of_a_size(x: Tensor) -> Tensor:
    return torch.zeros(x.size(0), 2) + 1


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]})
def arange_of_a_size(x: Tensor) -> Tensor:
    return torch.arange(x.size(0)) * 2


@construct((t(3, 4),), (t(6, 4),), axes={"x": [0]})
def reshape_by_sizes(x: Tensor) -> Tensor:
    return x.reshape(x.size(0) * 2, -1)


@construct((t(4, 4),), (t(6, 4),), axes={"x": [0]})
def halves_by_sizes(x: Tensor) -> Tensor:
    n = x.size(0) // 2
    return x[:n] - x[n : 2 * n]


@construct((t(3, 4),), (t(2, 6),), axes={"x": [0, 1]})
def mean_by_hand(x: Tensor) -> Tensor:
    return x.sum() / (x.size(0) * x.size(1))


@construct((t(3, 4),), (t(2, 4),), axes={"x": [0]})
def expanded(x: Tensor) -> Tensor:
    return x.unsqueeze(1).expand(-1, 3, -1)


@construct((t(3, 4),))
def literal_tensor(x: Tensor) -> Tensor:
    return x * torch.tensor([1.0, 2.0, 3.0, 4.0])


@construct((t(3),), (t(5),), axes={"x": [0]})
def tensor_of_a_size(x: Tensor) -> Tensor:
    return torch.tensor([x.size(0), 2])


@construct((t(3, 4),))
def math_on_constants(x: Tensor) -> Tensor:
    return x * math.sqrt(2.0) + math.pi / math.floor(3.7)


@construct((t(3, 4),), (t(3, 9),), axes={"x": [1]}, forms=SCRIPT_ONLY)
def math_on_sizes(x: Tensor) -> Tensor:
    return x / math.sqrt(x.size(1))


@construct((t(3, 4),))
def dtype_conversions(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.int(), x.to(torch.float64), (x > 0).long()


@construct((t(3, 4),))
def integer_division(x: Tensor) -> Tensor:
    k = 7 // 2 + 7 % 3 + int(7 / 2)
    return x * k


@construct((t(3, 4),))
def comparisons(x: Tensor) -> Tensor:
    return ((x > 0) & (x < 1)) | (x == -1)


@construct((t(3, 4), ints(2, 0)), (t(3, 4), ints(1, 1)))
def rows_by_index(x: Tensor, i: Tensor) -> Tensor:
    return x[i]


@construct((t(3, 4),))
def advanced_slices(x: Tensor) -> Tensor:
    return x[1:, ::2] + x[None, 0, 1:3].sum()


@construct((t(2, 3, 4),))
def ellipsis_and_none(x: Tensor) -> Tensor:
    return x[..., 0, None] + x[:, -1:, 1:2]


@construct((up(4),), forms=SCRIPT_ONLY)
def float_arithmetic_of_the_run(x: Tensor) -> Tensor:
    a = float(x[0])
    b = float(x[1])
    return x * (a * b + 1.0) - a / (b + 2.0) + math.sqrt(a)


@construct((ints(3, 5),), (ints(9, 4),), forms=SCRIPT_ONLY)
def integer_arithmetic_of_the_run(x: Tensor) -> tuple[int, int, int]:
    a = int(x[0])
    b = int(x[1])
    return a + b * 2, a // b, a % b


@construct((whole(3),), (whole(5),), forms=SCRIPT_ONLY)
def ones_of_a_size_of_the_run(n: Tensor) -> Tensor:
    return torch.ones(int(n), 2).cumsum(0)


@construct((t(6, 2), whole(2)), (t(6, 2), whole(5)), forms=SCRIPT_ONLY)
def slice_up_to_the_run(x: Tensor, n: Tensor) -> Tensor:
    return x[: int(n)] * 2


@construct((t(6, 2), whole(2)), (t(6, 2), whole(5)), forms=SCRIPT_ONLY)
def row_of_the_run(x: Tensor, n: Tensor) -> Tensor:
    return x[int(n)]


@construct((up(5),), forms=SCRIPT_ONLY)
def min_and_max_of_numbers(x: Tensor) -> Tensor:
    return x * max(float(x[0]), float(x[1])) + min(2, x.size(0))


@construct((t(3, 4),))
def where_and_masks(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.zeros_like(x)) + x.masked_fill(x > 1, 9.0)


@construct((t(3, 4),))
def several_results(x: Tensor) -> tuple[Tensor, Tensor]:
    values, indices = x.max(dim=1)
    return values, indices


@construct((t(3, 4),))
def top_k(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.topk(2, dim=1)


@construct((t(3, 4),), (t(2, 4),), axes={"x": [0]})
def stack_of_shifts(x: Tensor) -> Tensor:
    return torch.stack([x.roll(i, 1) for i in range(3)], dim=1)


@construct((t(2, 3), t(3, 4)))
def matrix_products(x: Tensor, y: Tensor) -> Tensor:
    return x @ y + torch.einsum("ij,jk->ik", x, y)


@construct((t(2, 3),))
def new_tensors_like(x: Tensor) -> Tensor:
    return x.new_ones(2, 3) + x.new_full((3,), 2.0) + torch.full_like(x, 0.5)


@construct((t(2, 3),))
def keyword_arguments(x: Tensor) -> Tensor:
    return torch.sum(x, dim=1, keepdim=True) + torch.mean(input=x, dim=[0], keepdim=True)


@construct((t(3),))
def shape_as_a_list(x: Tensor) -> Tensor:
    shape = list(x.shape)
    return torch.ones(shape + [2])  # noqa: RUF005 - TorchScript knows no other way


@construct((t(2, 3),))
def nonzero_positions(x: Tensor) -> Tensor:
    return torch.nonzero(x > 0)


@construct((t(4, 3),), (up(4, 3),))
def rows_by_mask(x: Tensor) -> Tensor:
    return x[x.sum(1) > 0]


@construct((t(3, 4),))
def casts_by_type_as(x: Tensor) -> Tensor:
    return (x > 0).type_as(x) * x


@construct((t(2, 2),))
def powers(x: Tensor) -> Tensor:
    return x**2 + 2**x + x.abs() ** 0.5


@construct((t(2, 2), t(2, 2, seed=4)))
def arguments_with_defaults(x: Tensor, y: Tensor, scale: float = 2.0, flip: bool = False) -> Tensor:
    if flip:
        x, y = y, x
    return x * scale - y
