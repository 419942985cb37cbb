# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from support.calls import tensor
from support.operator_check import NEWEST, lowered, model_of, run

A = torch.ops.aten
OPSETS = (7, 9, 11, 15, NEWEST)

X = tensor(200, 50)
CHANCE = torch.full((200, 50), 0.3)


@pytest.fixture(autouse=True)
def _one_draw_of_eager() -> Iterator[None]:
    """The seed is not the one of X: where another test has left that one, PyTorch draws X again as its noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        yield


def drawn(overload: Any, *args: Any, opset: int, free: bool = False, **kwargs: Any) -> tuple[np.ndarray, torch.Tensor]:
    model, feeds, expected = model_of(overload, args, kwargs, free=free)
    (got,) = run(lowered(model, opset), feeds)
    assert expected[0].shape == got.shape
    assert str(expected[0].dtype) == f"torch.{got.dtype}"
    return got, expected[0]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("overload", "args"),
    [
        (A.rand.default, ([200, 50],)),
        (A.rand_like.default, (X,)),
        (A.randn.default, ([200, 50],)),
        (A.randn_like.default, (X,)),
        (A.uniform.default, (X, -2.0, 3.0)),
        (A.normal_functional.default, (X, 2.0, 0.5)),
        (A.normal.float_float, (1.0, 0.1, [200, 50])),
        (A.normal.Tensor_float, (X, 0.5)),
        (A.normal.Tensor_Tensor, (X, CHANCE)),
        (A.exponential.default, (X, 2.0)),
        (A.log_normal.default, (X, 0.0, 0.25)),
        (A.geometric.default, (X, 0.3)),
        (A.randint.default, (7, [200, 50])),
        (A.randint.low, (-3, 7, [200, 50])),
        (A.randint_like.default, (X, 5)),
        (A.bernoulli.default, (CHANCE,)),
        (A.bernoulli.default, (CHANCE.double(),)),
        (A.bernoulli.default, (CHANCE.half(),)),
        (A.bernoulli.p, (X, 0.3)),
        (A.randperm.default, (400,)),
        (A.multinomial.default, (CHANCE, 20, True)),
        (A.multinomial.default, (CHANCE, 20, False)),
    ],
    ids=lambda value: str(value) if callable(value) else "",
)
def test_moments_are_those_of_the_distribution(overload: Any, args: tuple[Any, ...], opset: int) -> None:
    got, expected = drawn(overload, *args, opset=opset)
    wanted = expected.double()
    spread = max(wanted.std().item(), 0.05)
    assert wanted.mean().item() == pytest.approx(got.astype(np.float64).mean(), abs=0.1 * spread)
    assert wanted.std().item() == pytest.approx(got.astype(np.float64).std(), rel=0.1)


@pytest.mark.parametrize("opset", OPSETS)
def test_random_numbers_take_a_free_shape(opset: int) -> None:
    got, _ = drawn(A.rand_like.default, X, opset=opset, free=True)
    assert 0.0 <= got.min() < got.max() < 1.0


def test_a_permutation_has_every_index_once() -> None:
    got, _ = drawn(A.randperm.default, 30, opset=13)
    assert list(range(30)) == sorted(got.tolist())


def test_a_draw_without_replacement_has_no_index_twice() -> None:
    got, _ = drawn(A.multinomial.default, CHANCE, 50, False, opset=13)
    assert all(len(set(row)) == 50 for row in got.tolist())


def test_a_weight_of_zero_is_never_drawn() -> None:
    got, _ = drawn(A.multinomial.default, torch.tensor([0.0, 1.0, 0.0, 1.0]), 2, False, opset=13)
    assert {1, 3} == set(got.tolist())


def test_two_runs_of_one_session_differ() -> None:
    model, (feed,), _ = model_of(A.rand_like.default, (X,), {})
    session = ort.InferenceSession(lowered(model, 13).SerializeToString())
    first, second = (session.run(None, {"x0": feed.numpy()})[0] for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("opset", OPSETS)
def test_one_number_can_be_drawn(opset: int) -> None:
    got, _ = drawn(A.bernoulli.default, torch.tensor(1.0), opset=opset)
    assert 1 == got
