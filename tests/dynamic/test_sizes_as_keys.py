# SPDX-License-Identifier: Apache-2.0
"""Free sizes as keys of dicts and members of sets: what is kept by size is made anew, what is there is chosen."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import lading

AXES = {"x": {0: "batch", 1: "length"}}
LENGTHS = (1, 2, 3, 5, 6, 7, 9, 17)
SHARED: dict = {}


def vectors(length):
    return torch.randn(2, length, 4)


def weights(length):
    return torch.arange(length).float().softmax(0)[:, None]


class Kept(nn.Module):
    """Keeps a table for each length that came."""

    def __init__(self):
        super().__init__()
        self.tables = {}

    def forward(self, x):
        length = x.shape[1]
        if length not in self.tables:
            self.tables[length] = weights(length)
        return x * self.tables[length]


class Tried(Kept):
    """Makes a table where there is none, and comes back for it."""

    def forward(self, x):
        for _ in range(2):
            try:
                table = self.tables[x.shape[1], x.dtype]
            except KeyError:
                table = self.tables[x.shape[1], x.dtype] = weights(x.shape[1])
            x = x * table
        return x


class Shared(nn.Module):
    """Keeps its tables where all of its kind find them."""

    def forward(self, x):
        table = SHARED.get(x.shape[1])
        if table is None:
            table = SHARED.setdefault(x.shape[1], weights(x.shape[1]))
        return x + table


@functools.lru_cache(maxsize=8)
def remembered(length):
    return weights(length) * (length // 2)


class Remembered(nn.Module):
    """Has its tables under lru_cache."""

    def forward(self, x):
        return x - remembered(x.shape[1])


@pytest.mark.parametrize("called", [(), (3, 6, 9)])
@pytest.mark.parametrize("kind", [Kept, Tried, Shared, Remembered])
def test_what_is_kept_by_size_is_right_at_every_size(free, kind, called):
    model = kind().eval()
    SHARED.clear()
    for length in called:
        model(vectors(length))
    exported = free(model, [vectors(6)], AXES)
    assert [] == [length for length in LENGTHS if exported.differs(vectors(length))]
    assert [] == exported.limits


def test_the_model_keeps_no_symbolic_size(free):
    model = Kept().eval()
    model(vectors(3))
    free(model, [vectors(6)], AXES)
    assert [3] == list(model.tables)


class BySize(nn.Module):
    """Has a number of its own for some lengths."""

    def __init__(self):
        super().__init__()
        self.scales = {2: 3.0, 5: 0.5}

    def forward(self, x):
        return x * self.scales.get(x.shape[1], 1.0)


class Among(nn.Module):
    """Does something else at three lengths."""

    def forward(self, x):
        return x.softmax(1) if x.shape[1] in {3, 6, 9} else x


@pytest.mark.parametrize("kind", [BySize, Among])
@pytest.mark.parametrize("length", [5, 7])
def test_each_key_that_there_is_is_a_decision(free, kind, length):
    exported = free(kind().eval(), [vectors(length)], AXES)
    assert [] == [size for size in LENGTHS if exported.differs(vectors(size))]
    assert [] == exported.limits


def test_too_many_keys_are_an_error_that_says_so(free):
    class Many(nn.Module):
        def __init__(self):
            super().__init__()
            self.scales = {size: float(size) for size in range(100)}

        def forward(self, x):
            return x * self.scales[x.shape[1]]

    with pytest.raises(lading.CaptureError, match="looks a free size up among"):
        free(Many().eval(), [vectors(5)], AXES)
