# SPDX-License-Identifier: Apache-2.0
"""Delta debugging: the fewest of some items with which something still fails."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class Shrunk:
    """What is left.

    Attributes:
        kept: the positions of the items that are left, in order.
        tests: how many subsets were tried.
        minimal: whether each of them is needed; no if time ran out before that was known.
    """

    kept: tuple[int, ...]
    tests: int
    minimal: bool


def shrink(
    count: int,
    fails: Callable[[Sequence[int]], bool],
    *,
    seconds: float,
    guesses: Iterable[Sequence[int]] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Shrunk:
    """Find a subset that fails and of which no item can be left out (ddmin: Zeller and Hildebrandt, 2002).

    Subsets are tried in halves, then quarters and so on, each of them and what it leaves over; none is tried twice.

    Args:
        count: how many items there are; all of them together fail.
        fails: whether a subset fails, given by the positions of its items, in order.
        seconds: after how long no further subset is tried; the smallest that fails by then is the answer.
        guesses: subsets to try first, the likeliest first; the search goes on in the first that fails.
        clock: gives the time in seconds.
    """
    ends = clock() + seconds
    known: dict[tuple[int, ...], bool] = {}

    def tried(subset: Sequence[int]) -> bool:
        key = tuple(subset)
        if key not in known:
            if not key or clock() >= ends:
                return False
            known[key] = fails(key)
        return known[key]

    kept = list(range(count))
    for guess in guesses:
        if len(guess) < len(kept) and tried(sorted(guess)):
            kept = sorted(guess)
            break
    parts = 2
    while len(kept) > 1 and clock() < ends:
        pieces = _divided(kept, parts)
        rests = [[item for item in kept if item not in set(piece)] for piece in pieces]
        smaller = next((subset for subset in (*pieces, *rests) if len(subset) < len(kept) and tried(subset)), None)
        if smaller is not None:
            parts = 2 if smaller in pieces else max(2, parts - 1)
            kept = smaller
        elif parts >= len(kept):
            return Shrunk(tuple(kept), len(known), clock() < ends)
        else:
            parts = min(len(kept), 2 * parts)
    return Shrunk(tuple(kept), len(known), len(kept) <= 1)


def _divided(items: list[int], parts: int) -> list[list[int]]:
    parts = min(parts, len(items))
    borders = [len(items) * index // parts for index in range(parts + 1)]
    return [items[start:end] for start, end in itertools.pairwise(borders)]
