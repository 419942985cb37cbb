# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 10, 11, 13, 18, NEWEST)

LINE, PLANE, SPACE = tensor(2, 3, 5), tensor(2, 3, 5, 6), tensor(1, 2, 3, 4, 5)

CALLS = [
    call(A.upsample_nearest2d.vec, PLANE, None, [2.0, 2.0]),
    call(A.upsample_nearest2d.vec, PLANE, [14, 15], None, free=False),
    call(A.upsample_nearest2d.vec, tensor(1, 1, 6, 3), [14, 7], None, free=False),
    call(A.upsample_nearest2d.default, PLANE, [10, 13], 2.0, 2.2, free=False),
    call(A.upsample_nearest1d.vec, LINE, None, [1.7], free=False),
    call(A.upsample_nearest3d.vec, SPACE, [6, 5, 10], None, free=False),
    call(A._upsample_nearest_exact2d.vec, PLANE, [7, 15], None, free=False),
    call(A._upsample_nearest_exact1d.vec, LINE, None, [1.7], free=False),
    call(A._upsample_nearest_exact3d.vec, SPACE, None, [2.0, 1.5, 1.0], free=False),
    call(A.upsample_linear1d.vec, LINE, [9], False, None, free=False),
    call(A.upsample_linear1d.vec, LINE, [9], True, None, floor=11),
    call(A.upsample_bilinear2d.vec, PLANE, [7, 4], True, None, free=False),
    call(A.upsample_bilinear2d.vec, PLANE, None, False, [1.5, 2.3], floor=11),
    call(A.upsample_bilinear2d.default, PLANE, [1, 1], False, floor=11),
    call(A.upsample_bilinear2d.default, PLANE, [10, 12], True, 2.0, 2.0, floor=11),
    call(A.upsample_trilinear3d.vec, SPACE, [6, 5, 10], False, None, floor=11),
    call(A.upsample_bicubic2d.vec, PLANE, [7, 4], False, None, free=False),
    call(A.upsample_bicubic2d.vec, PLANE, None, True, [1.5, 2.3], floor=11),
    call(A._upsample_bilinear2d_aa.vec, PLANE, [3, 4], False, None, free=False),
    call(A._upsample_bilinear2d_aa.vec, PLANE, [3, 4], False, None, floor=18),
    call(A._upsample_bicubic2d_aa.vec, PLANE, [3, 8], False, None, floor=18),
    call(A._upsample_bicubic2d_aa.vec, PLANE, None, True, [0.6, 0.6], free=False),
    call(A._upsample_lanczos2d_aa.vec, PLANE, [3, 8], False, None, free=False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_resampling_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, atol=1e-4)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.upsample_nearest2d.vec, PLANE, None, [2.0, 2.0]), 13, ["Resize"]),
        (call(A.upsample_bilinear2d.vec, PLANE, [7, 4], True, None), 13, ["Resize"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
