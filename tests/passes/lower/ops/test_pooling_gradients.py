# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten

PLANE, SPACE = tensor(2, 3, 9, 8), tensor(2, 3, 5, 6, 4)


def _averages(x: torch.Tensor, *windows: Any) -> Call:
    axes = x.dim() - 2
    forward, backward = (
        (A.avg_pool2d.default, A.avg_pool2d_backward.default)
        if axes == 2
        else (A.avg_pool3d.default, A.avg_pool3d_backward.default)
    )
    return call(backward, tensor(*forward(x, *windows).shape, seed=5), x, *windows)


def _maxima(x: torch.Tensor, *windows: Any) -> Call:
    forward, backward = (
        (A.max_pool2d_with_indices.default, A.max_pool2d_with_indices_backward.default)
        if x.dim() == 4
        else (A.max_pool3d_with_indices.default, A.max_pool3d_with_indices_backward.default)
    )
    y, positions = forward(x, *windows)
    return call(backward, tensor(*y.shape, seed=5), x, *windows, positions)


def _adaptive(x: torch.Tensor, size: list[int]) -> list[Call]:
    pool = A.adaptive_max_pool2d if x.dim() == 4 else A.adaptive_max_pool3d
    average = A._adaptive_avg_pool2d_backward if x.dim() == 4 else A._adaptive_avg_pool3d_backward
    maximum = A.adaptive_max_pool2d_backward if x.dim() == 4 else A.adaptive_max_pool3d_backward
    y, positions = pool.default(x, size)
    g = tensor(*y.shape, seed=5)
    return [call(average.default, g, x), call(maximum.default, g, x, positions)]


CALLS = [
    _averages(PLANE, [3, 3], [2, 2], [1, 1], False, True, None),
    _averages(PLANE, [3, 2], [2, 1], [1, 0], True, False, None),
    _averages(PLANE, [3, 2], [2, 3], [1, 1], True, True, None),
    _averages(PLANE, [3, 3], [2, 2], [1, 1], False, True, 5),
    _averages(PLANE, [2], [], [0], False, True, None),
    _averages(SPACE, [2, 3, 2], [2, 2, 1], [1, 1, 0], True, True, None),
    _maxima(PLANE, [3, 3], [2, 2], [1, 1], [1, 1], False),
    _maxima(PLANE, [3, 2], [1, 1], [0, 0], [2, 1], False),
    _maxima(SPACE, [2, 2, 2], [1, 2, 1], [0, 0, 0], [1, 1, 1], True),
    *_adaptive(PLANE, [4, 3]),
    *_adaptive(SPACE, [2, 4, 3]),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 16, NEWEST)))
def test_pooling_gradients_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (_averages(PLANE, [3, 3], [2, 2], [1, 1], False, True, None), ["MatMul", "MatMul"]),
        (_adaptive(PLANE, [4, 3])[0], ["MatMul", "MatMul"]),
        (
            _maxima(PLANE, [3, 3], [2, 2], [1, 1], [1, 1], False),
            ["Expand", "Reshape", "Reshape", "ScatterElements", "Reshape"],
        ),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, expected: list[str]) -> None:
    assert expected == operators(agrees(item, NEWEST, False))
