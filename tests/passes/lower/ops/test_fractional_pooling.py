# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten

PLANE, SPACE = tensor(2, 3, 9, 7), tensor(2, 3, 5, 6, 7)


def _samples(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


CALLS = [
    call(A.fractional_max_pool2d.default, PLANE, [3, 2], [3, 4], _samples(2, 3, 2)),
    call(A.fractional_max_pool2d.default, PLANE, [2, 2], [1, 6], _samples(2, 3, 2)),
    call(A.fractional_max_pool2d.default, PLANE[0], [3, 3], [2, 2], _samples(1, 3, 2)),
    call(A.fractional_max_pool2d.default, PLANE.double(), [3, 2], [3, 4], _samples(2, 3, 2).double()),
    call(A.fractional_max_pool3d.default, SPACE, [2, 3, 2], [2, 2, 3], _samples(2, 3, 3)),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 18)))
def test_pooling_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
