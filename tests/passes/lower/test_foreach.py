# SPDX-License-Identifier: Apache-2.0
"""Operators on lists of tensors become the operator on each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest
import torch

import lading

NEWEST = onnx.defs.onnx_opset_version()
SHAPES = ([2, 3], [4], [])


class Lists(torch.nn.Module):
    """A function of two lists of tensors that returns lists."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        return self.function(list(tensors[:3]), list(tensors[3:]))


def arithmetic(a: list[torch.Tensor], b: list[torch.Tensor]) -> list[torch.Tensor]:
    return [
        *torch._foreach_add(a, b, alpha=2.0),
        *torch._foreach_mul(a, [2.0, 1.0, 0.5]),
        *torch._foreach_sub(a, 1.5),
        *torch._foreach_div(a, b[2]),
        *torch._foreach_pow(2.0, b),
        *torch._foreach_addcmul(a, b, a, value=0.5),
        *torch._foreach_addcdiv(a, b, a, [0.5, 1.0, 2.0]),
        *torch._foreach_lerp(a, b, 0.3),
    ]


def the_rest(a: list[torch.Tensor], b: list[torch.Tensor]) -> list[torch.Tensor]:
    return [
        *torch._foreach_maximum(a, 1.0),
        *torch._foreach_minimum(a, b),
        *torch._foreach_clamp_max(a, [0.5, 1.0, 2.0]),
        *torch._foreach_norm(a, 1),
        *torch._foreach_max(a),
        *torch._foreach_exp(a),
        *torch._foreach_round(b),
    ]


def in_place(a: list[torch.Tensor], b: list[torch.Tensor]) -> list[torch.Tensor]:
    made = [tensor.clone() for tensor in a]
    torch._foreach_add_(made, b)
    torch._foreach_mul_(made, 0.5)
    torch._foreach_zero_(made[:1])
    torch._foreach_copy_(made[1:2], [b[1]])
    return made


@pytest.mark.parametrize("opset", [7, NEWEST])
@pytest.mark.parametrize("function", [arithmetic, the_rest, in_place])
def test_each_tensor_is_worked_on(function: Callable[..., Any], opset: int) -> None:
    torch.manual_seed(0)
    tensors = [torch.rand(shape) + 0.5 for shape in (*SHAPES, *SHAPES)]
    exported = lading.export(Lists(function), tuple(tensors), None, opset_version=opset)
    others = [torch.rand(shape) + 0.5 for shape in (*SHAPES, *SHAPES)]
    for expected, got in zip(Lists(function)(*others), exported(*others), strict=True):
        torch.testing.assert_close(torch.from_numpy(got), expected)
