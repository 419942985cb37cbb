# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread
from support.operator_check import NEWEST

A = torch.ops.aten

CALLS = [
    *(
        call(getattr(A, f"{name}_window").periodic, 20, periodic)
        for name in ("hann", "hamming", "blackman", "bartlett", "kaiser")
        for periodic in (False, True)
    ),
    call(A.hann_window.default, 7, dtype=torch.float64),
    call(A.hamming_window.periodic_alpha_beta, 9, True, 0.5, 0.4),
    call(A.kaiser_window.beta, 9, True, 8.0),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, NEWEST)))
def test_windows_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


def test_a_window_is_a_constant() -> None:
    assert ["Identity"] == operators(agrees(CALLS[0], 13, False))
