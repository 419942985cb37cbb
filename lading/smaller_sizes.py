# SPDX-License-Identifier: Apache-2.0
"""Smaller tensors with which something still fails: each axis as short as it can be."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Axis = tuple[str, int]
"""An axis by the name of its tensor and its place there."""


def smaller(
    tensors: Mapping[str, torch.Tensor],
    fails: Callable[[Mapping[str, torch.Tensor]], bool],
    ends: float,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, torch.Tensor]:
    """Cut tensors to their first elements for as long as they still fail.

    Axes of one size are cut together first, for they may be one in the model, then each by itself. What an axis is cut
    to is found by halving.

    Args:
        tensors: what fails, by name.
        fails: whether other tensors of these names fail too; may refuse sizes that do not go together.
        ends: when to stop, by `clock`.
        clock: gives the time in seconds.
    """
    current = dict(tensors)
    known: dict[tuple[tuple[int, ...], ...], bool] = {}

    def tried(given: Mapping[str, torch.Tensor]) -> bool:
        shapes = tuple(tuple(tensor.shape) for tensor in given.values())
        if shapes not in known:
            if clock() >= ends:
                return False
            known[shapes] = fails(given)
        return known[shapes]

    def fails_at(given: Mapping[str, torch.Tensor], axes: Sequence[Axis], length: int) -> bool:
        return tried(_cut(given, axes, length))

    searching = True
    while searching and clock() < ends:
        searching = False
        for axes in _together(current):
            name, axis = axes[0]
            size = current[name].shape[axis]
            least = _least(size, functools.partial(fails_at, current, axes))
            if least < size:
                current, searching = _cut(current, axes, least), True
                break
    return current


def _together(tensors: Mapping[str, torch.Tensor]) -> Iterator[Sequence[Axis]]:
    """Axes that are longer than 1: those of one size, the longest first, then each alone."""
    axes = [(name, axis) for name, tensor in tensors.items() for axis in range(tensor.dim())]
    by_size = sorted(axes, key=lambda entry: -tensors[entry[0]].shape[entry[1]])
    groups = [list(group) for _, group in itertools.groupby(by_size, lambda entry: tensors[entry[0]].shape[entry[1]])]
    long = [group for group in groups if tensors[group[0][0]].shape[group[0][1]] > 1]
    yield from long
    yield from ([axis] for group in long if len(group) > 1 for axis in group)


def _cut(tensors: Mapping[str, torch.Tensor], axes: Sequence[Axis], length: int) -> dict[str, torch.Tensor]:
    found = dict(tensors)
    for name, axis in axes:
        found[name] = found[name].narrow(axis, 0, length)
    return found


def _least(size: int, fails: Callable[[int], bool]) -> int:
    """The least length that fails, or `size`, which does; exact where all longer ones than a failing one fail."""
    if fails(1):
        return 1
    passing, failing = 1, size
    while failing - passing > 1:
        middle = (passing + failing) // 2
        if fails(middle):
            failing = middle
        else:
            passing = middle
    return failing
