# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (9, 13, NEWEST)
INF = math.inf

X = torch.tensor([-5.5, -2.3, -0.7, -0.1, 0.0, 0.2, 0.5, 1.0, 2.0, 3.3, 7.9, 20.0])
POSITIVE = torch.tensor([0.1, 0.5, 1.0, 1.9, 2.0, 3.7, 8.0, 30.0])
N = tensor(5, dtype=torch.int64)

ERRORS = [
    *(call(getattr(A, name).default, x) for name in ("erf", "erfc") for x in (X, X.double(), N)),
    *(call(getattr(A, f"special_{name}").default, X) for name in ("erfcx", "ndtr", "log_ndtr")),
    call(A.erfinv.default, torch.tensor([-1.0, -0.999, -0.3, 0.0, 0.4, 0.9, 1.0])),
    call(A.special_ndtri.default, torch.tensor([0.001, 0.3, 0.5, 0.99])),
]

GAMMAS = [
    call(A.lgamma.default, X),
    call(A.lgamma.default, torch.tensor([INF, -INF, -1.0, -2.0, 1e10])),
    call(A.digamma.default, X),
    call(A.digamma.default, torch.tensor([-0.0011, 0.0009, 2.5, -3.001]).half()),
    *(call(A.polygamma.default, n, torch.cat([POSITIVE, torch.tensor([-0.4, -2.7])])) for n in (0, 1, 2, 3)),
    call(A.mvlgamma.default, POSITIVE + 2, 3),
    call(
        A.special_zeta.default,
        torch.tensor([2.0, 3, 4, 2.5, 1, 3, 0.5]),
        torch.tensor([-0.5, -1.3, -2.7, -0.5, 2, 0, 3]),
    ),
    call(A.special_zeta.self_scalar, 2, POSITIVE),
]

BESSEL = [
    *(
        call(getattr(A, f"special_{name}").default, X)
        for name in ("i0", "i0e", "i1", "i1e", "bessel_j0", "bessel_j1", "spherical_bessel_j0")
    ),
    *(
        call(getattr(A, f"special_{name}").default, torch.cat([torch.tensor([0.0]), POSITIVE]))
        for name in (
            "bessel_y0",
            "bessel_y1",
            "modified_bessel_k0",
            "modified_bessel_k1",
            "scaled_modified_bessel_k0",
            "scaled_modified_bessel_k1",
        )
    ),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(ERRORS + GAMMAS + BESSEL, OPSETS))
def test_special_functions_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
