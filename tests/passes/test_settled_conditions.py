# SPDX-License-Identifier: Apache-2.0
"""Conditions that hold for all sizes are told from those that limit them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lading.passes.settled_conditions import always_holds
from lading.passes.verification.limits import keeping_test

SETTLED = [
    "2*n + n == 3*n",
    "((2*n) + n) == ((-1) + (3*n + 1))",
    "((3*(2*n)) % 6) == 0",
    "(2*n) // 2 == n",
    "((2*n) // 2) != (2*n)",
    "((2*n) // ((2*n) // 2)) == 2",
    "3*n >= 2",
    "n >= 1",
    "0 < n + m",
    "n - 5 < n + m",
]
LIMITS = [
    "n == 4",
    "n <= 50",
    "n >= 2",
    "n % 2 == 0",
    "n != m",
    "n - m > 0",
    "not (n > 0)",
    "n == 4 or n == 5",
    "f(n) == 1",
]


@pytest.mark.parametrize("condition", SETTLED)
def test_what_holds_for_all_sizes(condition):
    assert always_holds(condition)


@pytest.mark.parametrize("condition", LIMITS)
def test_what_does_not_or_cannot_be_told(condition):
    assert not always_holds(condition)


TERMS = st.recursive(
    st.sampled_from(["n", "m", "1", "2", "3", "7"]),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "//", "%"]), inner),
    max_leaves=4,
)
RELATIONS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


@settings(max_examples=100, deadline=None)
@given(TERMS, RELATIONS, TERMS)
def test_what_is_said_to_hold_holds(left, relation, right):
    condition = f"{left} {relation} {right}"
    if always_holds(condition):
        holds = keeping_test(condition)
        assert all(holds({"n": n, "m": m}) for n, m in itertools.product((1, 2, 3, 5, 8), repeat=2))
