# SPDX-License-Identifier: Apache-2.0
"""Sizes on the other side of a decision that are special in another way as well: what holds there alone is no rule."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional


def chunked(x):
    """Sums within chunks of four and over all chunks before: with one chunk, tensors of size one are broadcast."""
    length = x.shape[1]
    padding = (4 - length % 4) % 4
    chunks = functional.pad(x, (0, 0, 0, padding)).reshape(x.shape[0], -1, 4, x.shape[-1])
    totals = functional.pad(chunks.sum(2), (0, 0, 1, 0))
    count = totals.shape[1]
    lower = torch.ones(count, count).tril(-1)[1:, :]
    before = torch.einsum("kj,bjf->bkf", lower, totals)
    summed = (chunks.cumsum(2) + before[:, :, None]).reshape(x.shape[0], -1, x.shape[-1])
    return summed[:, :length] if padding > 0 else summed


def patched(x):
    """A table for sixteen patches of eight pixels, stretched where the picture has another size."""
    table = torch.arange(16.0)
    rows, columns = x.shape[0] // 8, x.shape[1] // 8
    patches = x[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).mean((1, 3)).flatten()
    if patches.shape[0] == 16 and x.shape[0] == x.shape[1]:
        return patches + table
    grid = table.reshape(1, 1, 4, 4)
    return patches + functional.interpolate(grid, size=(rows, columns), mode="bilinear").flatten()


@pytest.mark.parametrize("length", [1, 3, 4, 8, 9, 16])
def test_the_side_without_padding_holds_for_any_number_of_chunks(free, length):
    file = free(chunked, (torch.randn(2, 5, 3),), {"x": {0: "batch", 1: "length"}})
    assert "" == file.differs(torch.randn(2, length, 3))


@pytest.mark.parametrize("sizes", [(32, 32), (64, 16), (40, 48), (33, 31), (8, 8)])
def test_a_quotient_that_happens_to_be_one_stands_for_no_other_size(free, sizes):
    file = free(patched, (torch.randn(32, 32),), {"x": {0: "height", 1: "width"}})
    assert "" == file.differs(torch.randn(*sizes))
