# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, symbolic_model, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 11, 13, NEWEST)

X = tensor(2, 3)
N = tensor(2, 3, dtype=torch.int64)

FILLED = [
    call(A.zeros.default, [2, 3]),
    call(A.zeros.default, []),
    call(A.ones.default, [3], dtype=torch.int64),
    call(A.ones.default, [3], dtype=torch.bool),
    call(A.full.default, [2, 3], 1.5),
    call(A.full.default, [2, 0], 7),
    call(A.full.default, [2, 3], True),
    call(A.new_zeros.default, N, [4]),
    call(A.new_full.default, X, [2], 3),
    call(A.zeros_like.default, X),
    call(A.ones_like.default, N, dtype=torch.float64),
    call(A.full_like.default, X, 2),
    call(A.fill.Tensor, X, torch.tensor(3)),
    call(A.scalar_tensor.default, 2.5),
    call(A.scalar_tensor.default, 2, dtype=torch.int32),
]

RANGES = [
    call(A.arange.default, 5),
    call(A.arange.default, 2.5),
    call(A.arange.start_step, 2, 9, 3),
    call(A.arange.start_step, 9, -1, -4),
    call(A.arange.start_step, 0, 1, 0.1),
    call(A.arange.start, 0, 1000),
    call(A.arange.start, 0, 5, dtype=torch.float32),
    call(A.arange.start_step, 0.0, 300.0, 0.1, dtype=torch.float64),
    call(A.linspace.default, 0, 1, 7),
    call(A.linspace.default, -2, 5, 1),
    call(A.linspace.Tensor_Scalar, torch.tensor(1.5), 4, 5),
    call(A.logspace.default, 0, 2, 5, 2.0),
]

MATRICES = [
    call(A.eye.default, 3),
    call(A.eye.m, 30, 20),
    call(A.eye.m, 2, 3, dtype=torch.int64),
    *(call(A.tril.default, X, diagonal) for diagonal in (-1, 0, 1)),
    call(A.triu.default, tensor(2, 3, 4), 1),
    call(A.triu.default, N),
    call(A.tril.default, N > 0),
    call(A.tril_indices.default, 3, 4, 1),
    call(A.triu_indices.default, 3, 4),
    call(A.one_hot.default, torch.tensor([[0, 2], [1, 3]]), 5),
    call(A.one_hot.default, torch.tensor([0, 2])),
    call(A.one_hot.default, torch.tensor(2), 5),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(FILLED + RANGES + MATRICES, OPSETS))
def test_creation_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (call(A.zeros.default, [20, 30]), 9, ["ConstantOfShape"]),
        (call(A.arange.default, 1000), 11, ["Range"]),
        (call(A.tril.default, X), 14, ["Trilu"]),
        (call(A.one_hot.default, torch.tensor([0, 2]), 4), 9, ["OneHot"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_one_operator_does(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))


@pytest.mark.parametrize("opset", OPSETS)
def test_a_range_ends_at_a_size_known_at_run_time(opset: int) -> None:
    model = symbolic_model(A.arange.start_step, [], [2, "n", 3], ["m"], opset)
    session = ort.InferenceSession(model.SerializeToString())
    (got,) = session.run(None, {"n": np.asarray(12, np.int64)})
    assert [2.0, 5.0, 8.0, 11.0] == got.tolist()


@pytest.mark.parametrize("opset", OPSETS)
def test_a_filled_tensor_has_a_size_known_at_run_time(opset: int) -> None:
    model = symbolic_model(A.zeros.default, [], [["n", 2]], ["n", 2], opset)
    (got,) = ort.InferenceSession(model.SerializeToString()).run(None, {"n": np.asarray(3, np.int64)})
    assert (3, 2) == got.shape
