# SPDX-License-Identifier: Apache-2.0
"""Where two recordings of different lengths repeat themselves: blocks that run once, and blocks that run in turn.

Both recordings come from one program. They agree up to the place where the shorter one has left a loop and the longer
one has not. Whatever the longer one has more there are whole iterations, equal in form to those before it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs
from lading.passes.rolling.programs import CannotRoll, Program

_AGREE = 12
"""Calls behind a loop that have to agree before its end is believed."""
_FEWEST = 3
"""Iterations of the shorter recording from which a loop is told."""


@attrs.frozen
class Block:
    """A stretch of calls of both recordings.

    Attributes:
        starts: the place of its first call, in the shorter and in the longer recording.
        size: the number of its calls; those of one iteration in a loop.
        counts: how often it runs in each of the two; (1, 1) for what is no loop.
    """

    starts: tuple[int, int]
    size: int
    counts: tuple[int, int] = (1, 1)

    @property
    def repeats(self) -> bool:
        """Whether it is a loop."""
        return self.counts != (1, 1)


def blocks(shorter: Program, longer: Program, apart: Sequence[int], behind: Collection[int] = ()) -> list[Block]:
    """Divide two recordings of one model into blocks.

    Args:
        shorter: the recording of the smaller length.
        longer: that of the larger one.
        apart: for each loop in order, how many of its first iterations are to stand before it.
        behind: the loops of which the last iteration is to stand behind it.

    Raises:
        CannotRoll: they differ in more than the number of iterations.
    """
    numbers: dict[object, int] = {}
    one, other = ([numbers.setdefault(call.form, len(numbers)) for call in side.calls] for side in (shorter, longer))
    more = longer.length - shorter.length
    found: list[Block] = []
    loops = 0
    left = right = 0
    while True:
        same = _common(one, other, left, right)
        if left + same == len(one) and right + same == len(other):
            if same:
                found.append(Block((left, right), same))
            return found
        size = _iteration(one, other, left + same, right + same, right, more)
        if size is None:
            raise CannotRoll(_difference(shorter, longer, left + same, right + same))
        end = right + same
        start = end - size
        while start - size >= right and other[start - size : start] == other[start : start + size]:
            start -= size
        skipped = (apart[loops] if loops < len(apart) else 0) * size
        start += skipped
        last = size if loops in behind else 0
        loops += 1
        straight = start - right
        count = (end - start - last) // size
        if count < _FEWEST - 1:
            raise CannotRoll("too few iterations are alike")
        if straight:
            found.append(Block((left, right), straight))
        found.append(Block((left + straight, start), size, (count, count + more)))
        left += same - last
        right = end + size * more - last


def _common(one: Sequence[int], other: Sequence[int], left: int, right: int) -> int:
    most = min(len(one) - left, len(other) - right)
    return next((step for step in range(most) if one[left + step] != other[right + step]), most)


def _iteration(one: Sequence[int], other: Sequence[int], left: int, right: int, first: int, more: int) -> int | None:
    """Return the size of the iterations that the longer recording has more at a place, None if that is nothing such."""
    for size in range(1, min(right - first, (len(other) - right) // more) + 1):
        added = size * more
        if list(other[right - size : right]) * more != list(other[right : right + added]):
            continue
        after = min(_AGREE, len(one) - left, len(other) - right - added)
        ends = len(one) - left == len(other) - right - added
        if one[left : left + after] == other[right + added : right + added + after] and (after >= _AGREE or ends):
            return size
        if after > 0 and one[left : left + size] == other[right + added : right + added + size]:
            return size
    return None


def _difference(shorter: Program, longer: Program, left: int, right: int) -> str:
    from lading.pipeline.origin import origin_of

    calls = [side.calls[place] for side, place in ((shorter, left), (longer, right)) if place < len(side.calls)]
    origin = origin_of(calls[-1].node) if calls else None
    at = f" at {origin.source}" if origin is not None and origin.source else ""
    return f"iterations differ in what they do{at}"
