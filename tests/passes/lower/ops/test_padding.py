# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 11, 13, NEWEST)

X = tensor(2, 3, 4, 5)
NUMBERS = tensor(5, dtype=torch.int64)

CALLS = [
    call(A.constant_pad_nd.default, X, [1, 2, -1, 0], 3.5),
    call(A.constant_pad_nd.default, X, [0, 0, 0, 1, 1, 1]),
    call(A.constant_pad_nd.default, NUMBERS, [1, 2], 3),
    call(A.constant_pad_nd.default, NUMBERS > 0, [1, 2], True),
    call(A.pad.default, X, [1, 2, 0, 1]),
    call(A.pad.default, X, [1, 2, 0, 1], "reflect"),
    call(A.pad.default, X, [1, -2, 0, 1], "reflect"),
    call(A.pad.default, X, [1, 2, 0, 1], "replicate"),
    call(A.pad.default, X, [1, 2, -1, 1], "circular"),
    call(A._pad_circular.default, X, [2, 0, 1, 3]),
    call(A._pad_enum.default, X, [1, 2, 1, 1], 0),
    call(A._pad_enum.default, X, [1, 2, 1, 1], 3, 0.5),
    call(A.reflection_pad1d.default, X[0], [1, 3]),
    call(A.reflection_pad3d.default, X, [1, 1, 1, 1, 0, 1]),
    call(A.replication_pad1d.default, X[0], [1, 3]),
    call(A.replication_pad2d.default, X, [-5, 5, 0, 0]),
    call(A.replication_pad3d.default, X, [1, 1, 1, 1, 0, 1]),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_padding_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.constant_pad_nd.default, X, [1, 2, 3, 0]), 7, ["Pad"]),
        (call(A.constant_pad_nd.default, X, [0, -2]), 13, ["Slice"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
