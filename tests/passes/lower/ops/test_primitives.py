# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch._prims  # registers the operators
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

P = torch.ops.prims

X, Y = tensor(3, 4), tensor(3, 4, seed=1)
WIDE, INTS = tensor(2, 3, 4), tensor(3, 4, dtype=torch.int64)

CALLS = [
    call(P.broadcast_in_dim.default, X, [2, 3, 5, 4], [1, 3], free=False),
    call(P.transpose.default, WIDE, [2, 0, 1]),
    call(P.reshape.default, WIDE, [6, 4], free=False),
    call(P.squeeze.default, tensor(1, 3, 1), [0, 2], free=False),
    call(P.squeeze.default, X, []),
    call(P.collapse.default, WIDE, 0, 1),
    call(P.collapse_view.default, WIDE, 1, 2),
    call(P.split_dim.default, tensor(2, 6, 3), 1, 2),
    call(P.rev.default, WIDE, [0, 2]),
    call(P.cat.default, [X, Y], 1),
    call(P.as_strided.default, X, [2, 3], [1, 2], 1),
    call(P.as_strided_scatter.default, X, tensor(2, 3, seed=2), [2, 3], [1, 2], 1, free=False),
    call(P.cbrt.default, X),
    call(P.prod.default, X, [1]),
    call(P.prod.default, INTS, [0, 1]),
    call(P.fmax.default, X, Y),
    call(P.fmin.default, X, Y),
    call(P.remainder.default, X, Y),
    call(P.ndtri.default, torch.rand(3, 4, generator=torch.Generator().manual_seed(0))),
    call(P.frexp.default, X, floor=9),
    call(P.fill.default, X, 2.5),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 11, 13, NEWEST)))
def test_primitives_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (call(P.broadcast_in_dim.default, X, [2, 3, 5, 4], [1, 3]), ["Unsqueeze", "Expand"]),
        (call(P.collapse_view.default, WIDE, 1, 2), ["Reshape"]),
        (call(P.transpose.default, WIDE, [2, 0, 1]), ["Transpose"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_few_operators_do(item: Call, expected: list[str]) -> None:
    assert expected == operators(agrees(item, NEWEST, False))
