# SPDX-License-Identifier: Apache-2.0
"""Sizes that a model computes with tensors, asks of a tensor by `len`, or reads memory by: they stay sizes."""

from __future__ import annotations

import pytest
import torch

AXES = {"x": {0: "batch", 1: "length"}}
LENGTHS = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33)


def vectors(length):
    return torch.randn(2, length, 4)


def in_pairs(x):
    even = x[:, : x.shape[1] // 2 * 2].contiguous()
    pairs = torch.div(even.size(1), 2, rounding_mode="trunc")
    return even.view(even.size(0), pairs, 2, 4).softmax(2)


def in_tensors(x):
    length = torch.tensor(x.shape[1])
    fours = (length + 3) // 4
    padded = torch.nn.functional.pad(x, (0, 0, 0, int(fours * 4 - length)))
    return padded.view(x.shape[0], fours, 4, 4).softmax(2)


def counted(x):
    chosen = x[0, :, 0].abs() >= 0
    rows = x[:, chosen.nonzero()[:, 0]]
    return rows.reshape(len(x), len(chosen.nonzero()), -1) * len(rows[0])


def overlapping(x):
    """Windows of eight rows, of which each begins in the middle of the one before."""
    whole = torch.cat([x, x, x, x, x, x, x, x], 1)
    chunks = whole.view(x.shape[0], torch.div(whole.size(1), 8, rounding_mode="floor"), 8, 4)
    sizes, strides = list(chunks.shape), list(chunks.stride())
    sizes[1], strides[1] = 2 * sizes[1] - 1, strides[1] // 2
    return chunks.as_strided(sizes, strides).softmax(2)


def turned(x):
    rows = x.transpose(0, 1).contiguous().transpose(0, 1)
    return rows.as_strided((x.shape[1], x.shape[0] * 4), (x.shape[0] * 4, 1))


def with_a_rest(x):
    fours, rest = divmod(x.shape[1], 4)
    return x[:, : fours * 4].reshape(x.shape[0], fours, 4, 4).softmax(2), x[:, fours * 4 :] * rest


def pairs_of_rows(x):
    length = x.shape[1]
    first, second = torch.triu_indices(length, length, 1)
    later, earlier = torch.tril_indices(length, length, -1)
    return x[:, first] * x[:, second] - x[:, later] * x[:, earlier]


@pytest.mark.parametrize("model", [in_pairs, in_tensors, counted, overlapping, turned, with_a_rest, pairs_of_rows])
@pytest.mark.parametrize("length", [9, 10])
def test_sizes_stay_sizes(free, model, length):
    exported = free(model, [vectors(length)], AXES)
    assert [] == [size for size in LENGTHS if exported.differs(vectors(size))]
    assert [] == exported.limits


def outer(x):
    """Has one row where the length is below 16, which is no reason to leave the axis away."""
    rows = x[:, : 2 * (x.shape[1] // 8) - 1]
    return torch.einsum("brc,brd->brcd", rows, rows).reshape(x.shape[0], -1, 4).softmax(1)


@pytest.mark.parametrize("length", [8, 24])
def test_an_operator_that_asks_whether_one_is_less_than_a_size_decides_nothing(free, length):
    exported = free(outer, [vectors(length)], AXES)
    assert [] == [size for size in (8, 12, 16, 17, 24, 33) if exported.differs(vectors(size))]


def test_the_number_that_was_read_from_a_tensor_equals_the_tensor(free):
    def checked(x):
        longest = (x[..., 0] > -9).sum(1).max()
        rows = x.new_ones(x.shape[0], longest, 4)
        assert list(rows.shape) == [x.shape[0], longest, 4]
        return rows.cumsum(1)

    assert "" == free(checked, [vectors(6)], AXES).differs(vectors(11))


class Restored(torch.nn.Module):
    """Brings rows that were left out back, as many as there were."""

    def __init__(self, dilation):
        super().__init__()
        self.fewer = torch.nn.Conv1d(4, 4, 5, stride=3, padding=2 * dilation, dilation=dilation)
        self.more = torch.nn.ConvTranspose1d(4, 4, 5, stride=3, padding=2 * dilation, dilation=dilation)

    def forward(self, x):
        rows = x.transpose(1, 2)
        return self.more(self.fewer(rows), output_size=[rows.shape[-1]]) + rows


@pytest.mark.parametrize("dilation", [1, 4])
def test_a_transposed_convolution_gives_the_size_that_was_asked_for(free, dilation):
    exported = free(Restored(dilation).eval(), [vectors(12)], AXES)
    assert [] == [size for size in (9, 10, 11, 12, 13, 17, 33) if exported.differs(vectors(size))]
