# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.operator_check import check

X = torch.linspace(-15, 12, 109)


@pytest.mark.parametrize("opset", [7, 18])
def test_airy_agrees_with_eager(opset: int) -> None:
    check(torch.ops.aten.special_airy_ai.default, X, opset=opset)


def test_airy_in_double_precision_where_eager_is_exact() -> None:
    check(torch.ops.aten.special_airy_ai.default, torch.linspace(-1, 12, 53, dtype=torch.float64), rtol=1e-6, atol=0.0)


def test_airy_far_out() -> None:
    x = torch.tensor([104.0, torch.inf, -torch.inf, torch.nan])
    check(torch.ops.aten.special_airy_ai.default, x)
