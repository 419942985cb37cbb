# SPDX-License-Identifier: Apache-2.0
"""Operators that give as many pieces as a size says: decisions between few numbers, limits where there are many."""

from __future__ import annotations

import pytest
import torch

AXES = {"x": {0: "batch", 1: "length"}}
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 31)


def vectors(length):
    return torch.randn(2, length, 4)


def in_three(x):
    return torch.cat([piece.softmax(1) for piece in x.chunk(3, 1)], 1)


def in_three_by_place(x):
    return [piece.sum(1) for piece in x.tensor_split(3, 1)]


def in_halves(x):
    return torch.cat([piece.softmax(1) for piece in x.split(x.shape[1] // 2 + 1, 1)], 1)


def in_fours(x):
    return torch.cat([piece.softmax(1) for piece in x.split(4, 1)], 1)


@pytest.mark.parametrize("model", [in_three, in_three_by_place, in_halves])
@pytest.mark.parametrize("length", [5, 6])
def test_a_few_numbers_of_pieces_are_all_in_the_file(free, model, length):
    exported = free(model, [vectors(length)], AXES)
    assert [] == [size for size in LENGTHS if exported.differs(vectors(size))]
    assert [] == exported.limits


def test_chunk_gives_fewer_pieces_than_were_asked_for(free):
    exported = free(in_three, [vectors(6)], AXES)
    assert 2 == len(exported.decided("both sides kept"))


def test_one_of_many_numbers_of_pieces_is_a_limit(free):
    exported = free(in_fours, [vectors(6)], AXES, settings=["roll-loops.enabled=false"])
    assert ["(length + 3) // 4 is 2"] == exported.limits
    assert [] == [size for size in (5, 6, 7, 8) if exported.differs(vectors(size))]


def evenly_spaced(x):
    steps = x.shape[1]
    return x[..., 0] * torch.linspace(0.5, steps - 0.5, steps), torch.linspace(0, 1, steps)


def test_linspace_ends_at_a_size_and_a_single_step_is_its_start(free):
    exported = free(evenly_spaced, [vectors(6)], AXES)
    assert [] == [size for size in LENGTHS if exported.differs(vectors(size))]
    assert [] == exported.limits
