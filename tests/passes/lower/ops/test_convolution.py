# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 13, NEWEST)

LINE, PLANE, SPACE = tensor(2, 4, 9), tensor(2, 4, 9, 8), tensor(2, 4, 5, 6, 5)
W1, W2, W3 = tensor(6, 4, 3), tensor(6, 4, 3, 2), tensor(6, 2, 3, 2, 2)
BIAS = tensor(6)

CALLS = [
    call(A.convolution.default, LINE, W1, BIAS, [2], [1], [1], False, [0], 1),
    call(A.convolution.default, PLANE, W2, None, [2, 1], [1, 0], [1, 2], False, [0, 0], 1),
    call(A.convolution.default, SPACE, W3, BIAS, [1, 1, 1], [1, 0, 1], [1, 1, 1], False, [0, 0, 0], 2),
    call(A.convolution.default, PLANE.double(), W2.double(), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
    call(A.convolution.default, LINE, tensor(4, 3, 3), BIAS, [2], [1], [1], True, [1], 2),
    call(A.convolution.default, PLANE, tensor(4, 3, 3, 2), None, [2, 2], [1, 0], [1, 2], True, [1, 0], 1),
    call(A.convolution.default, PLANE, tensor(4, 3, 2, 2), tensor(3), [1, 1], [1, 3], [4, 4], True, [2, 3], 1),
    call(A.convolution.default, PLANE, tensor(4, 3, 2, 2), tensor(3), [1, 1], [1, 3], [4, 4], True, [2, 2], 1),
    call(A.conv1d.default, LINE[0], W1, BIAS),
    call(A.conv2d.default, PLANE[0], W2, BIAS, [2, 2]),
    call(A.conv1d.padding, LINE, tensor(6, 4, 4), None, [1], "same", [1], free=False),
    call(A.conv2d.padding, PLANE, W2, BIAS, [1, 1], "same", [2, 1], free=False),
    call(A.conv3d.padding, SPACE, W3, None, [2, 1, 1], "valid", [1, 1, 1], 2),
    call(A._convolution_mode.default, PLANE, W2, None, [1, 1], "valid", [1, 1], 1),
    call(A._convolution.default, PLANE, W2, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, False, False, True, True),
    call(A.conv_transpose1d.default, LINE, tensor(4, 2, 3), None, [2], [1], [1], 1, [1]),
    call(A.conv_transpose2d.input, PLANE[0], tensor(4, 2, 3, 3), tensor(2), [2, 2], [1, 1], [1, 1]),
    call(A.conv_transpose3d.input, SPACE, tensor(4, 2, 2, 2, 2)),
    call(A.conv_tbc.default, tensor(7, 2, 4), tensor(3, 4, 5), tensor(5), 1),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_convolution_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, atol=1e-4)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.convolution.default, PLANE, W2, BIAS[:6], [1, 1], [1, 1], [1, 1], False, [0, 0], 1), 7, ["Conv"]),
        (call(A.conv2d.padding, PLANE, W2, None, [1, 1], "same"), 13, ["Conv"]),
        (call(A.conv_transpose2d.input, PLANE, tensor(4, 2, 3, 3)), 13, ["ConvTranspose"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
