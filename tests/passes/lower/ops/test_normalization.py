# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 13, 17, 18, 21, 23, NEWEST)

X = tensor(2, 6, 5, 4)
SIX = tensor(6), tensor(6, seed=1)
FOUR = tensor(4), tensor(4, seed=1)

CALLS = [
    call(A.layer_norm.default, X, [4], *FOUR),
    call(A.layer_norm.default, X, [5, 4]),
    call(A.layer_norm.default, X.double(), [4], FOUR[0].double(), None),
    call(A.layer_norm.default, X.half(), [4], FOUR[0].half(), FOUR[1].half()),
    call(A.native_layer_norm.default, X, [4], *FOUR, 1e-5),
    call(A.native_layer_norm.default, X, [5, 4], None, None, 1e-3),
    call(A.rms_norm.default, X, [4], FOUR[0]),
    call(A.rms_norm.default, X, [5, 4], None, 1e-3),
    call(A.rms_norm.default, X.half(), [4], FOUR[0].half()),
    call(A._fused_rms_norm.default, X, [4], FOUR[0], 1e-5),
    call(A.group_norm.default, X, 3, *SIX),
    call(A.group_norm.default, X, 2, None, None, 1e-3),
    call(A.group_norm.default, X[:, :, 0, 0], 2, *SIX),
    call(A.native_group_norm.default, X, *SIX, 2, 6, 20, 2, 1e-5),
    call(A.instance_norm.default, X, *SIX, None, None, True, 0.1, 1e-5, True),
    call(A.instance_norm.default, X[..., 0], None, None, None, None, True, 0.1, 1e-5, True),
    call(A.instance_norm.default, X, *SIX, SIX[0], SIX[1].abs() + 0.5, False, 0.1, 1e-5, True),
    call(A._weight_norm.default, X, tensor(2, 1, 1, 1), 0),
    call(A._weight_norm_interface.default, tensor(5, 4), tensor(1, 4), 1),
    call(A.norm_except_dim.default, X, 2, 1),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_normalization_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.layer_norm.default, X, [4], *FOUR), 17, ["LayerNormalization"]),
        (call(A.rms_norm.default, X, [4], FOUR[0]), 23, ["RMSNormalization"]),
        (call(A.group_norm.default, X, 3, *SIX), 21, ["GroupNormalization"]),
        (call(A.instance_norm.default, X, *SIX, None, None, True, 0.1, 1e-5, True), 7, ["InstanceNormalization"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
