# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor

A = torch.ops.aten

INT = torch.int64
CALLS = [
    call(A.linear.default, tensor(2, 3), tensor(4, 3), tensor(4)),
    call(A.linear.default, tensor(2, 3), tensor(4, 3)),
    call(A.linear.default, tensor(2, 5, 3), tensor(4, 3), tensor(4)),
    call(A.linear.default, tensor(3), tensor(4, 3), tensor(4)),
    call(A.linear.default, tensor(2, 3), tensor(3)),
    call(A.linear.default, tensor(2, 3, dtype=INT), tensor(4, 3, dtype=INT), tensor(4, dtype=INT)),
    call(A.mm.default, tensor(2, 3), tensor(3, 4)),
    call(A.mm.default, tensor(2, 3, dtype=INT), tensor(3, 4, dtype=INT)),
    call(A.bmm.default, tensor(2, 3, 4), tensor(2, 4, 5)),
    call(A.mv.default, tensor(2, 3), tensor(3)),
    call(A.dot.default, tensor(3), tensor(3, seed=1)),
    call(A.vdot.default, tensor(3), tensor(3, seed=1)),
    call(A.matmul.default, tensor(2, 1, 3, 4), tensor(5, 4, 2)),
    call(A.matmul.default, tensor(4), tensor(2, 4, 3)),
    call(A.inner.default, tensor(2, 3), tensor(4, 3)),
    call(A.inner.default, tensor(2, 3), tensor()),
    call(A.addmm.default, tensor(4), tensor(2, 3), tensor(3, 4)),
    call(A.addmm.default, tensor(2, 4), tensor(2, 3), tensor(3, 4), beta=0.5, alpha=2),
    call(A.addmm.default, torch.full((2, 4), float("nan")), tensor(2, 3), tensor(3, 4), beta=0),
    call(A.addmm.default, tensor(4, dtype=INT), tensor(2, 3, dtype=INT), tensor(3, 4, dtype=INT), beta=2, alpha=3),
    call(A.baddbmm.default, tensor(2, 3, 5), tensor(2, 3, 4), tensor(2, 4, 5), beta=0.5, alpha=2),
    call(A.addbmm.default, tensor(3, 5), tensor(2, 3, 4), tensor(2, 4, 5), beta=2),
    call(
        A.addbmm.default,
        *(tensor(*shape, dtype=torch.int64) for shape in ((3, 5), (2, 3, 4), (2, 4, 5))),
        beta=0.2,
        alpha=2.6,
    ),
    call(A.addmv.default, tensor(2), tensor(2, 3), tensor(3), alpha=2),
    call(A.addr.default, tensor(2, 3), tensor(2), tensor(3), beta=2, alpha=0.5),
    call(A.outer.default, tensor(2), tensor(3)),
    call(A.outer.default, tensor(2, dtype=INT), tensor(3)),
    call(A.linalg_vecdot.default, tensor(2, 3), tensor(2, 3, seed=1)),
    call(A.tensordot.default, tensor(2, 3, 4), tensor(4, 3, 5), [1, 2], [1, 0]),
    call(A.tensordot.default, tensor(2, 3, 4), tensor(4, 3, 5), [2], [0]),
    call(A.tensordot.default, tensor(2, 1), tensor(3, 4), [1], [0], free=False),
    call(A.chain_matmul.default, [tensor(2, 3), tensor(3, 4), tensor(4, 5)]),
    call(A.bilinear.default, tensor(4, 2, 3), tensor(4, 2, 5), tensor(6, 3, 5), tensor(6)),
    call(A.kron.default, tensor(2, 3), tensor(4, 5)),
    call(A.kron.default, tensor(3), tensor(4, 5)),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 11, 18)))
def test_products_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        pytest.param(["Gemm"], call(A.linear.default, tensor(2, 3), tensor(4, 3), tensor(4)), id="linear"),
        pytest.param(
            ["Transpose", "MatMul", "Add"],
            call(A.linear.default, tensor(2, 5, 3), tensor(4, 3), tensor(4)),
            id="linear-3d",
        ),
        pytest.param(["Gemm"], call(A.addmm.default, tensor(4), tensor(2, 3), tensor(3, 4), alpha=2), id="addmm"),
        pytest.param(["MatMul"], call(A.bmm.default, tensor(2, 3, 4), tensor(2, 4, 5)), id="bmm"),
    ],
)
def test_products_take_no_more_nodes_than_needed(expected: list[str], item: Call) -> None:
    assert expected == operators(agrees(item, 18, True))
