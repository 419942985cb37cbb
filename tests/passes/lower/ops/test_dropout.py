# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.calls import operators
from support.operator_check import NEWEST, check, lowered, model_of, run

A = torch.ops.aten
OPSETS = (7, 10, 12, 13, NEWEST)
MANY = torch.ones(40, 50, 2, 2)


def outputs(overload: Any, *args: Any, opset: int) -> list[np.ndarray]:
    model, feeds, _ = model_of(overload, args, {})
    return run(lowered(model, opset), feeds)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", ["dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"])
def test_nothing_is_left_at_inference(name: str, opset: int) -> None:
    assert ["Identity"] == operators(check(getattr(A, name).default, MANY, 0.5, False, opset=opset))


@pytest.mark.parametrize("opset", OPSETS)
def test_everything_is_kept_at_inference(opset: int) -> None:
    check(A.native_dropout.default, MANY, 0.5, False, opset=opset)


@pytest.mark.parametrize("opset", OPSETS)
def test_everything_is_dropped_at_one(opset: int) -> None:
    check(A.dropout.default, MANY, 1.0, True, opset=opset)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("overload", [A.dropout.default, A.native_dropout.default], ids=str)
def test_what_is_kept_is_scaled_up(overload: Any, opset: int) -> None:
    y = outputs(overload, MANY, 0.25, True, opset=opset)[0]
    assert {0.0, np.float32(1 / 0.75)} == set(np.unique(y))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("overload", [A.dropout.default, A.native_dropout.default], ids=str)
def test_the_wanted_share_is_dropped(overload: Any, opset: int) -> None:
    y = outputs(overload, MANY, 0.25, True, opset=opset)[0]
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("opset", OPSETS)
def test_the_mask_says_what_was_kept(opset: int) -> None:
    y, mask = outputs(A.native_dropout.default, MANY, 0.25, True, opset=opset)
    np.testing.assert_array_equal(mask, y != 0)


@pytest.mark.parametrize("opset", OPSETS)
def test_channels_are_dropped_whole(opset: int) -> None:
    y = outputs(A.feature_dropout.default, MANY, 0.5, True, opset=opset)[0]
    assert np.all(y.min(axis=(2, 3)) == y.max(axis=(2, 3)))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_gives_the_values_of_eager(name: str, opset: int) -> None:
    overload = getattr(A, name).default
    y = outputs(overload, MANY, 0.5, True, opset=opset)[0]
    np.testing.assert_allclose(np.unique(y), np.unique(overload(MANY, 0.5, True).numpy()), rtol=1e-5)


def test_training_is_one_operator_from_12_on() -> None:
    model, _, _ = model_of(A.dropout.default, (MANY, 0.5, True), {})
    assert ["Dropout"] == operators(lowered(model, 12))
