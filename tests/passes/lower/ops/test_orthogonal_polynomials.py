# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten

FAMILIES = (
    *(f"{shift}chebyshev_polynomial_{kind}" for shift in ("", "shifted_") for kind in "tuvw"),
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
)
# Inside of the interval, on both ends and beyond them.
X = torch.tensor([-2.0, -1.0, -0.7, 0.0, 0.3, 0.5, 1.0, 1.5])
ORDERS = torch.tensor([[-1.0], [0.0], [1.0], [2.0], [3.7], [6.0], [9.0], [20.0]])
MANY = torch.tensor([5.0, 130.0])


def _of(family: str, overload: str = "default") -> object:
    return getattr(getattr(A, f"special_{family}"), overload)


CALLS = [
    *(call(_of(family), X, ORDERS) for family in FAMILIES),
    *(call(_of(family), tensor(3, 2, dtype=torch.int64), torch.tensor([2, 3])) for family in FAMILIES[:1]),
    *(call(_of(family, "n_scalar"), X, 4) for family in FAMILIES[-4:]),
    *(call(_of(family, "x_scalar"), 0.3, ORDERS) for family in FAMILIES[-4:]),
    call(_of("hermite_polynomial_h"), torch.tensor(0.1), MANY),
    call(_of("legendre_polynomial_p"), tensor(0, 2), torch.tensor(3.0), free=False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 18)))
def test_polynomials_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=2e-4, atol=2e-5)
