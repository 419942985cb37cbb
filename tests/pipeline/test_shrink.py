# SPDX-License-Identifier: Apache-2.0
"""Delta debugging finds what is needed, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from lading.pipeline.shrink import shrink


@given(
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1, max_size=4)))
)
def test_exactly_what_fails_together_is_left(case: tuple[int, set[int]]) -> None:
    count, needed = case
    found = shrink(count, lambda kept: needed <= set(kept), seconds=60)
    assert (tuple(sorted(needed)), True) == (found.kept, found.minimal)


def test_no_subset_is_tried_twice() -> None:
    tried: list[tuple[int, ...]] = []

    def fails(kept: Sequence[int]) -> bool:
        tried.append(tuple(kept))
        return {3, 11} <= set(kept)

    shrink(16, fails, seconds=60)
    assert len(tried) == len(set(tried))


def test_a_right_guess_is_enough() -> None:
    found = shrink(1000, lambda kept: 7 in kept, seconds=60, guesses=[[3], [7]])
    assert ((7,), 2) == (found.kept, found.tests)


def test_what_fails_when_time_runs_out_is_the_answer() -> None:
    now = iter(range(100))
    found = shrink(64, lambda kept: 63 in kept, seconds=4, clock=lambda: float(next(now)))
    assert 63 in found.kept
    assert not found.minimal
