# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 11, 18, NEWEST)

X = tensor(2, 5, 3)
HOLES = torch.where(tensor(2, 5, 3, seed=3) > 0.7, math.nan, X)
SHARES = torch.tensor([0.0, 0.3, 1.0])

CALLS = [
    call(A.quantile.default, X, SHARES, free=False),
    *(call(A.quantile.default, X, SHARES, dim, True, free=False) for dim in (0, 1, -1)),
    call(A.quantile.scalar, X, 0.4, 1, floor=10),
    *(
        call(A.quantile.scalar, X, 0.4, 1, interpolation=kind, free=False)
        for kind in ("lower", "higher", "midpoint", "nearest")
    ),
    call(A.quantile.scalar, HOLES, 0.4, 1, free=False, floor=11),
    call(A.nanquantile.default, HOLES, SHARES, 1, floor=11),
    call(A.nanquantile.scalar, HOLES, 0.5, floor=11),
    call(A.nanmedian.default, HOLES, floor=11),
    call(A.nanmedian.dim, HOLES, 1, True, floor=11),
    call(A.nanmedian.dim, tensor(3, 4, dtype=torch.int64), 1, floor=11),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_quantiles_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
