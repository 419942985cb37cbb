# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten
OPSETS = (7, 16, 20)

PLANE, SPACE = tensor(2, 3, 5, 6), tensor(2, 3, 5, 6, 4)
POINTS, SPACE_POINTS = tensor(2, 4, 7, 2, seed=1) * 1.2, tensor(2, 3, 4, 5, 3, seed=1) * 1.2
THETA, SPACE_THETA = tensor(2, 2, 3), tensor(2, 3, 4)

CALLS = [
    *(
        call(A.grid_sampler_2d.default, PLANE, POINTS, m, p, c, free=m == 0)
        for m in (0, 1, 2)
        for p in (0, 1, 2)
        for c in (False, True)
    ),
    *(call(A.grid_sampler_3d.default, SPACE, SPACE_POINTS, m, p, False, free=False) for m in (0, 1) for p in (0, 1, 2)),
    call(A.grid_sampler.default, PLANE, POINTS, 0, 0, False),
    call(A.grid_sampler.default, SPACE, SPACE_POINTS, 0, 0, True),
    call(A.affine_grid_generator.default, THETA, [2, 3, 4, 5], False),
    call(A.affine_grid_generator.default, THETA, [2, 3, 4, 5], True),
    call(A.affine_grid_generator.default, THETA, [2, 3, 1, 5], True),
    call(A.affine_grid_generator.default, SPACE_THETA, [2, 3, 4, 5, 3], False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_grid_sampling_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, atol=1e-4)
