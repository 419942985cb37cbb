# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten

X, POINTS, WEIGHT = tensor(4, 5), tensor(6, 2), tensor(6, seed=1).abs()
EDGES = torch.tensor([-1.5, -0.5, 0.0, 2.0])
# Numbers on the edges of intervals, on both ends and outside of them.
ON_EDGES = torch.tensor([0.0, 0.25, 0.5, 1.0, 1.25, -0.25])
PLANE = torch.tensor([[0.0, 0.0], [0.5, 1.0], [1.0, 2.0], [1.5, 1.0], [0.25, 2.0]])

CALLS = [
    call(A.histc.default, X, 4),
    call(A.histc.default, X, 4, -1, 1),
    call(A.histc.default, torch.tensor([1.0, 1.0]), 3),
    call(A.histogram.bin_ct, X, 7),
    call(A.histogram.bin_ct, X, 7, weight=X.abs(), density=True),
    call(A.histogram.bin_ct, X, 4, range=[-1.0, 1.0]),
    call(A.histogram.bin_ct, ON_EDGES, 4, range=[0.0, 1.0]),
    call(A.histogram.bin_ct, torch.tensor([2.0, 2.0]), 3),
    call(A.histogram.bins_tensor, X, EDGES),
    call(A.histogram.bins_tensor, ON_EDGES, torch.tensor([0.0, 0.5, 1.0]), density=True),
    call(A._histogramdd_bin_edges.default, POINTS, [3, 2]),
    call(A._histogramdd_bin_edges.default, POINTS, [3, 2], range=[-1.0, 1.0, 0.0, 2.0]),
    call(A._histogramdd_from_bin_cts.default, POINTS, [3, 2], weight=WEIGHT),
    call(A._histogramdd_from_bin_cts.default, PLANE, [2, 2], range=[0.0, 1.0, 0.0, 2.0]),
    call(A._histogramdd_from_bin_cts.default, POINTS, [3, 2], density=True),
    call(A._histogramdd_from_bin_tensors.default, POINTS, [EDGES, EDGES.flip(0).neg()], weight=WEIGHT, free=False),
    call(A._histogramdd_from_bin_tensors.default, PLANE, [EDGES, EDGES], density=True, free=False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 18)))
def test_histograms_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
