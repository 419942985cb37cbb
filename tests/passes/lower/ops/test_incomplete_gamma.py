# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from support.operator_check import NEWEST, check

A = torch.ops.aten
SHAPES = torch.tensor([0.0, 1e-3, 0.5, 1.0, 2.5, 9.0, 60.0, 700.0, math.inf, -1.0])
POINTS = torch.tensor([0.0, 1e-4, 0.3, 1.0, 3.0, 10.0, 55.0, 720.0, math.inf, -1.0, math.nan])


@pytest.mark.parametrize("opset", [7, 13, NEWEST])
@pytest.mark.parametrize("name", ["igamma", "igammac"])
def test_incomplete_gamma_functions_from_the_origin_to_infinity(name: str, opset: int) -> None:
    check(getattr(A, name).default, SHAPES[:, None], POINTS[None], opset=opset)


def test_incomplete_gamma_function_of_sizes_known_at_run_time() -> None:
    check(A.igamma.default, SHAPES[1:8].double(), POINTS[1:8].double(), free=True, rtol=1e-5)
