# SPDX-License-Identifier: Apache-2.0
"""What the runtime has in 32 bits only keeps the digits of 64, and windows have positions at every opset."""

from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

import lading

A, F64 = torch.ops.aten, torch.float64

X, W, B = tensor(2, 4, 7, 6, dtype=F64), tensor(6, 2, 3, 2, seed=1, dtype=F64), tensor(6, seed=2, dtype=F64)
VOLUME = tensor(1, 3, 5, 4, 6, dtype=F64)
GRID = tensor(2, 3, 3, 2, seed=3, dtype=F64)

DOUBLES = [
    call(A.convolution.default, X, W, B, [2, 1], [1, 0], [2, 1], False, [0, 0], 2, free=False),
    call(A.conv_transpose2d.input, X, tensor(4, 3, 3, 2, dtype=F64), B, [3, 2], [1, 1], [2, 1], 2, [1, 2], free=False),
    call(A.conv3d.default, VOLUME, tensor(2, 3, 2, 3, 1, dtype=F64), None, [1, 1, 1], [1, 1, 0], free=False),
    call(A.conv1d.default, X[0, :, 0], tensor(3, 4, 4, dtype=F64)[:, :, :2].contiguous(), None, free=False),
    call(A.avg_pool2d.default, X, [3, 3], [2, 2], [1, 1], True, False, free=False),
    call(A.avg_pool2d.default, X, [3, 2], [2, 1], [1, 0], False, True, 5, floor=9),
    call(A.grid_sampler_2d.default, X, GRID, 0, 0, False),
    *(
        call(function, X)
        for function in (A.erfc.default, A.gelu.default, A.tan.default, A.sinh.default, A.asinh.default)
    ),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(DOUBLES, (7, 13, 17, 20, 23)))
def test_doubles_keep_their_digits(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=1e-11, atol=1e-12)


class Network(torch.nn.Module):
    """Convolutions there and back."""

    def __init__(self) -> None:
        super().__init__()
        self.there = torch.nn.Conv2d(4, 6, (3, 2), 2, 1, groups=2, dtype=F64)
        self.back = torch.nn.ConvTranspose2d(6, 4, 3, (2, 3), 1, (1, 2), dtype=F64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.back(self.there(x))


@pytest.mark.parametrize("opset", [9, 17])
def test_doubles_keep_their_digits_at_other_sizes(opset: int) -> None:
    model = Network().eval().requires_grad_(False)
    exported = lading.export(model, (X,), None, opset_version=opset, dynamic_axes={"x": {0: "b", 2: "h", 3: "w"}})
    other = tensor(3, 4, 10, 9, dtype=F64)
    torch.testing.assert_close(torch.from_numpy(exported(other)[0]), model(other), rtol=1e-11, atol=1e-12)


PLANE = tensor(2, 3, 9, 7)
WINDOWS = ([3, 3], [2, 2], [1, 1])
POSITIONS = [
    call(A.max_pool2d_with_indices.default, PLANE, *WINDOWS, floor=9),
    call(A.max_pool2d_with_indices.default, PLANE, *WINDOWS, free=False),
    call(A.max_pool2d_with_indices.default, PLANE, *WINDOWS, [2, 2], free=False),
    call(A.max_pool2d_with_indices.default, PLANE, [2, 3], [2, 2], [0, 1], [1, 1], True, free=False),
    call(A.max_pool2d_with_indices.default, torch.full((1, 1, 4, 4), -torch.inf), *WINDOWS, free=False),
    call(A.max_pool2d_with_indices.default, tensor(1, 2, 6, 5, dtype=torch.int64), *WINDOWS, free=False),
    call(A.max_pool3d_with_indices.default, tensor(1, 2, 5, 4, 6), [2, 2, 3], [1, 2, 2], [1, 0, 1], free=False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(POSITIONS, (7, 8, 9, 10, NEWEST)))
def test_positions_of_maxima_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
