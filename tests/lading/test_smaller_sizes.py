# SPDX-License-Identifier: Apache-2.0
"""Axes are cut to the least length that still fails, those of one size together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch

from lading.smaller_sizes import smaller

Shapes = Mapping[str, tuple[int, ...]]


def cut(fails: Callable[[Shapes], bool], **shapes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    tensors = {name: torch.arange(torch.Size(shape).numel()).reshape(shape) for name, shape in shapes.items()}

    def tried(given: Mapping[str, torch.Tensor]) -> bool:
        return fails({name: tuple(tensor.shape) for name, tensor in given.items()})

    return {name: tuple(tensor.shape) for name, tensor in smaller(tensors, tried, ends=1, clock=lambda: 0).items()}


def test_axes_that_do_not_matter_are_cut_to_one() -> None:
    assert {"x": (1, 1), "y": (1,)} == cut(lambda _: True, x=(3, 8), y=(5,))


@pytest.mark.parametrize("least", [1, 2, 5, 15, 16])
def test_the_least_length_is_found(least: int) -> None:
    assert {"x": (least, 1)} == cut(lambda shapes: shapes["x"][0] >= least, x=(16, 3))


def test_axes_of_one_size_stay_equal_where_they_have_to() -> None:
    assert {"x": (1, 3), "weight": (1, 3)} == cut(
        lambda shapes: shapes["x"][1] == shapes["weight"][1] and shapes["x"][1] > 2, x=(4, 8), weight=(8, 8)
    )


def test_what_cannot_be_cut_stays() -> None:
    assert {"x": (3, 8)} == cut(lambda shapes: shapes["x"] == (3, 8), x=(3, 8))


def test_the_first_elements_are_kept() -> None:
    found = smaller({"x": torch.arange(6)}, lambda given: len(given["x"]) > 1, ends=1, clock=lambda: 0)
    assert [0, 1] == found["x"].tolist()


def test_nothing_is_tried_when_time_is_over() -> None:
    assert (2,) == smaller({"x": torch.ones(2)}, lambda _: True, ends=1, clock=lambda: 2)["x"].shape
