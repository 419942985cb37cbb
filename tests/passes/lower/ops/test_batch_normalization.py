# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 13, 14, 15, NEWEST)

X, ROWS = tensor(4, 3, 5, 2), tensor(6, 3)
WEIGHT, BIAS, MEAN, VAR = tensor(3), tensor(3, seed=1), tensor(3, seed=2), tensor(3, seed=3).abs() + 0.5
ONES, ZEROS = torch.ones(3), torch.zeros(3)

CALLS = [
    call(A.batch_norm.default, X, WEIGHT, BIAS, MEAN, VAR, False, 0.1, 1e-5, True),
    call(A.batch_norm.default, ROWS, None, None, MEAN, VAR, False, 0.1, 1e-3, True),
    call(A.batch_norm.default, X.half(), WEIGHT, BIAS, MEAN, VAR, False, 0.1, 1e-5, True),
    call(A.batch_norm.default, X.double(), WEIGHT.double(), None, MEAN.double(), VAR.double(), False, 0.1, 1e-5, True),
    call(A.batch_norm.default, X, WEIGHT, BIAS, MEAN, VAR, True, 0.1, 1e-5, True),
    call(A.batch_norm.default, X, None, None, None, None, True, 0.1, 1e-5, True),
    call(A.batch_norm.default, X, ONES, ZEROS, torch.zeros(3), torch.ones(3), True, 0.1, 1e-5, True),
    call(A.batch_norm.default, ROWS, WEIGHT, None, MEAN, VAR, True, 0.1, 1e-5, True),
    call(A.native_batch_norm.default, X, WEIGHT, BIAS, MEAN, VAR, True, 0.1, 1e-5),
    call(A.native_batch_norm.default, X, WEIGHT, BIAS, MEAN, VAR, False, 0.1, 1e-5),
    call(A._native_batch_norm_legit.default, X, WEIGHT, BIAS, MEAN, VAR, True, 0.1, 1e-5),
    call(A._native_batch_norm_legit.no_stats, X, WEIGHT, BIAS, True, 0.1, 1e-5),
    call(A._native_batch_norm_legit_no_training.default, X, WEIGHT, BIAS, MEAN, VAR, 0.1, 1e-5),
    call(A._native_batch_norm_legit_functional.default, X, WEIGHT, BIAS, MEAN, VAR, True, 0.3, 1e-5),
    call(A._native_batch_norm_legit_functional.default, X, WEIGHT, BIAS, MEAN, VAR, False, 0.3, 1e-5),
    call(A._batch_norm_with_update_functional.default, X, WEIGHT, BIAS, MEAN, VAR, 0.3, 1e-5),
    call(A._batch_norm_no_update.default, X, WEIGHT, BIAS, MEAN, VAR, 0.3, 1e-5),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_batch_normalization_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.batch_norm.default, X, WEIGHT, BIAS, MEAN, VAR, False, 0.1, 1e-5, True), 7, ["BatchNormalization"]),
        (call(A.batch_norm.default, X, WEIGHT, BIAS, MEAN, VAR, True, 0.1, 1e-5, True), 15, ["BatchNormalization"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))
