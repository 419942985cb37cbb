# SPDX-License-Identifier: Apache-2.0
"""Eigenvalues, singular values and what is made of them; of vectors, what their signs do not touch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST, lowered, model_of, run

A = torch.ops.aten
OPSETS = (7, 13, NEWEST)

TALL, WIDE, STACK = tensor(5, 3), tensor(3, 5, seed=1), tensor(2, 4, 4, seed=2)
SYMMETRIC = STACK + STACK.mT
RANK_ONE = torch.outer(torch.tensor([1.0, -2.0, 3.0]), torch.tensor([2.0, 0.0, 1.0]))

VALUES = [
    *(call(A.linalg_eigvalsh.default, x, free=False) for x in (SYMMETRIC, torch.eye(3), tensor(0, 0))),
    # Sorting an axis of free size takes TopK 10.
    call(A.linalg_eigvalsh.default, STACK, "U", floor=10),
    *(call(A.linalg_svdvals.default, x, free=False) for x in (TALL, WIDE, STACK, RANK_ONE, tensor(3, 0))),
    call(A.linalg_pinv.atol_rtol_tensor, TALL, free=False),
    call(A.linalg_pinv.atol_rtol_tensor, RANK_ONE, free=False),
    call(A.linalg_pinv.default, WIDE, 0.4, free=False),
    call(A.linalg_lstsq.default, TALL, tensor(5, 2, seed=3), driver="gels", free=False),
    call(A.linalg_lstsq.default, WIDE, tensor(3, 2, seed=3), driver="gelsd", free=False),
    call(A.linalg_lstsq.default, TALL, tensor(5, 2, seed=3), driver="gelss", free=False),
    call(A.linalg_lstsq.default, STACK, tensor(2, 4, seed=3), free=False),
    call(A.linalg_lstsq.default, RANK_ONE, tensor(3, 1, seed=3), 1e-3, driver="gelsd", free=False),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(VALUES, OPSETS))
def test_values_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=1e-3, atol=1e-4)


def _computed(overload: Any, *args: Any, opset: int = NEWEST, free: bool = False, **kwargs: Any) -> list[np.ndarray]:
    model, feeds, expected = model_of(overload, args, kwargs, free=free)
    got = run(lowered(model, opset), feeds)
    assert [tuple(tensor.shape) for tensor in expected] == [array.shape for array in got]
    return got


def _close(wanted: Any, got: np.ndarray) -> None:
    np.testing.assert_allclose(got, np.asarray(wanted), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("overload", "x", "options"),
    [
        (A.linalg_pinv.atol_rtol_tensor, STACK, {"atol": torch.tensor([0.5, 2.0])}),
        (A.linalg_pinv.atol_rtol_tensor, SYMMETRIC, {"rtol": torch.tensor(0.5), "hermitian": True}),
        (A.linalg_pinv.atol_rtol_float, WIDE, {"atol": 0.1, "rtol": 0.3}),
        (A.linalg_pinv.atol_rtol_float, TALL, {"atol": 1.0}),
    ],
)
def test_tolerances_say_what_counts_as_zero(overload: Any, x: torch.Tensor, options: Any, opset: int) -> None:
    (got,) = _computed(overload, x, opset=opset, **options)
    _close(overload(x, **options), got)


@pytest.mark.parametrize(("opset", "free"), [(7, False), (10, True), (13, False), (NEWEST, True)])
@pytest.mark.parametrize("upper", ["L", "U"])
def test_eigenvectors_diagonalise_the_matrix_of_one_triangle(opset: int, free: bool, upper: str) -> None:
    values, vectors = _computed(A._linalg_eigh.default, STACK, upper, opset=opset, free=free)
    half = STACK.triu(1) if upper == "U" else STACK.tril(-1)
    matrix = half + half.mT + torch.diag_embed(STACK.diagonal(dim1=1, dim2=2))
    _close(torch.linalg.eigvalsh(matrix), values)
    _close(matrix.numpy() @ vectors, vectors * values[:, None, :])
    _close(np.broadcast_to(np.eye(4), (2, 4, 4)), vectors.transpose(0, 2, 1) @ vectors)


@pytest.mark.parametrize("size", [17, 30])
def test_eigenvectors_of_larger_matrices_stay_orthogonal(size: int) -> None:
    x = tensor(size, size)
    _, vectors = _computed(A._linalg_eigh.default, x + x.T)
    _close(np.eye(size), vectors.T @ vectors)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("x", [TALL, WIDE, STACK, RANK_ONE, torch.zeros(3, 2)], ids=lambda x: f"{tuple(x.shape)}")
def test_singular_vectors_make_up_the_matrix(x: torch.Tensor, full: bool, opset: int) -> None:
    left, values, right = _computed(A._linalg_svd.default, x, full, opset=opset)
    count = values.shape[-1]
    _close(torch.linalg.svdvals(x), values)
    _close(x, left[..., :count] * values[..., None, :] @ right[..., :count, :])
    for basis in (left, right.swapaxes(-1, -2)):
        grams = basis.swapaxes(-1, -2) @ basis
        _close(np.broadcast_to(np.eye(grams.shape[-1]), grams.shape), grams)
