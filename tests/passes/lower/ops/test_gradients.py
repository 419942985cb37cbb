# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten

G, X = tensor(3, 4), tensor(3, 4, seed=1)
V, SIZE = tensor(3, 4, 2), tensor(3, 1, 1)
NORMS = V.pow(2).sum((1, 2), keepdim=True).sqrt()
P, Q = tensor(2, 3, 4), tensor(2, 5, 4, seed=1)
P[0, 0] = Q[0, 1]


def _distances(p: float) -> Call:
    return call(A._cdist_backward.default, tensor(2, 3, 5, seed=4), P, Q, p, A._cdist_forward.default(P, Q, p, None))


CALLS = [
    call(A.hardshrink_backward.default, G, X, 0.5),
    call(A.softshrink_backward.default, G, X, 0.3),
    call(A._weight_norm_interface_backward.default, tensor(3, 4, 2, seed=3), V, SIZE, NORMS, 0),
    *(_distances(p) for p in (0.0, 1.0, 1.5, 2.0, 3.0, float("inf"))),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS))
def test_gradients_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
