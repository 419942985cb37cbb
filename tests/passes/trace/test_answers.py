# SPDX-License-Identifier: Apache-2.0
"""What questions on sizes come to at some sizes, beside what sympy makes of them."""

from __future__ import annotations

import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from lading.passes.torch_private.names import find
from lading.passes.trace.sides.answers import answer

FUNCTIONS = "torch.utils._sympy.functions"
FLOOR_DIV, MOD, CEIL, TO_FLOAT, FLOAT_DIV, INT_DIV, MAX, MIN = (
    find(FUNCTIONS, name)
    for name in ("FloorDiv", "PythonMod", "CeilToInt", "ToFloat", "FloatTrueDiv", "IntTrueDiv", "Max", "Min")
)
H, W = (sympy.Symbol(name, integer=True, positive=True) for name in "hw")
NUMBERS = st.integers(1, 12).map(sympy.Integer)
SIZES = st.fixed_dictionaries({"h": st.integers(1, 300), "w": st.integers(1, 300)})


def _larger(parts: st.SearchStrategy[sympy.Basic]) -> st.SearchStrategy[sympy.Basic]:
    return st.one_of(
        st.builds(lambda a, b: a + b, parts, parts),
        st.builds(lambda a, b: a * b, parts, parts),
        st.builds(lambda a, n: a - n, parts, NUMBERS),
        st.builds(FLOOR_DIV, parts, NUMBERS),
        st.builds(MOD, parts, NUMBERS),
        st.builds(MAX, parts, parts),
        st.builds(MIN, parts, parts),
        st.builds(lambda a, n: CEIL(FLOAT_DIV(TO_FLOAT(a), TO_FLOAT(n))), parts, NUMBERS),
        st.builds(lambda a, n: CEIL(INT_DIV(a, n)), parts, NUMBERS),
        st.builds(lambda a, n: sympy.floor(a / n), parts, NUMBERS),
    )


EXPRESSIONS = st.recursive(st.one_of(st.sampled_from([H, W]), NUMBERS), _larger, max_leaves=6)
QUESTIONS = st.builds(
    lambda kind, a, b: kind(a, b), st.sampled_from([sympy.Eq, sympy.Ne, sympy.Lt, sympy.Ge]), EXPRESSIONS, EXPRESSIONS
)


def _of_sympy(expression: sympy.Basic, sizes: dict[str, int]) -> bool | int:
    found = sympy.sympify(expression).xreplace({H: sympy.Integer(sizes["h"]), W: sympy.Integer(sizes["w"])})
    return bool(found) if found in (sympy.true, sympy.false) else int(found)


@settings(max_examples=60, deadline=None)
@given(expression=st.one_of(EXPRESSIONS, QUESTIONS), sizes=SIZES)
def test_answers_are_those_of_sympy(expression: sympy.Basic, sizes: dict[str, int]) -> None:
    assert _of_sympy(expression, sizes) == answer(sympy.sympify(expression), sizes)


def test_a_division_by_zero_has_no_answer() -> None:
    assert answer(sympy.Eq(FLOOR_DIV(H, W - 3), 1), {"h": 8, "w": 3}) is None


def test_what_has_no_rule_is_left_to_sympy() -> None:
    assert answer(sympy.Abs(H - W), {"h": 2, "w": 9}) == 7
