# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST, NotLowered, check

A = torch.ops.aten

G1, G2, G3 = tensor(2, 3, 8), tensor(2, 3, 8, 9), tensor(1, 2, 8, 4, 6)

CALLS = [
    call(A.upsample_nearest1d_backward.default, G1, [8], [2, 3, 5], free=False),
    call(A.upsample_nearest2d_backward.default, G2, [8, 9], [2, 3, 4, 5], free=False),
    call(A.upsample_nearest2d_backward.default, G2, [8, 9], [2, 3, 4, 5], 2.0, 1.9, free=False),
    call(A.upsample_nearest3d_backward.default, G3, [8, 4, 6], [1, 2, 5, 4, 3], free=False),
    call(A._upsample_nearest_exact2d_backward.default, G2, [8, 9], [2, 3, 11, 5], free=False),
    call(A.upsample_linear1d_backward.default, G1, [8], [2, 3, 5], True, free=False),
    call(A.upsample_bilinear2d_backward.default, G2, [8, 9], [2, 3, 4, 12], False, free=False),
    call(A.upsample_bilinear2d_backward.default, G2, [8, 9], [2, 3, 4, 5], True, free=False),
    call(A.upsample_bilinear2d_backward.default, G2, [8, 9], [2, 3, 4, 5], False, 2.1, 1.8, free=False),
    call(A.upsample_trilinear3d_backward.default, G3, [8, 4, 6], [1, 2, 5, 4, 3], False, free=False),
    call(A.upsample_bicubic2d_backward.default, G2, [8, 9], [2, 3, 4, 5], False, free=False),
    call(A._upsample_bilinear2d_aa_backward.default, G2, [8, 9], [2, 3, 20, 5], False, free=False),
    call(A._upsample_bicubic2d_aa_backward.default, G2, [8, 9], [2, 3, 20, 25], True, free=False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, NEWEST)))
def test_resampling_gradients_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_one_product_an_axis_does() -> None:
    item = call(A.upsample_bilinear2d_backward.default, G2, [8, 9], [2, 3, 4, 9], False)
    assert ["MatMul"] == operators(agrees(item, NEWEST, False))


def test_planes_of_free_size_are_declined() -> None:
    with pytest.raises(NotLowered, match="needs sizes that are static"):
        check(A.upsample_nearest2d_backward.default, G2, [8, 9], [2, 3, 4, 5], free=True)
