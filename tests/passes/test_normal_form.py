# SPDX-License-Identifier: Apache-2.0
"""The normal form of sizes that were padded to multiples."""

from __future__ import annotations

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from lading.passes.torch_private import normal_form
from lading.passes.trace.symbols import Axes, text_of


def _axes():
    axes = Axes()
    sizes = {"height": 30, "width": 17}
    numbers = [axes.axis(name, size) for name, size in sizes.items()]
    symbols = {axes.symbol(name): sympy.Symbol(name, integer=True, positive=True) for name in sizes}
    return numbers, lambda number: text_of(number.node.expr.xreplace(symbols))


@pytest.mark.parametrize(
    ("padded", "text"),
    [
        (lambda h, w: h + (8 - h % 8) % 8, "8*((height + 7) // 8)"),
        (lambda h, w: h + -h % 8, "8*((height + 7) // 8)"),
        (lambda h, w: h - h % 8, "8*(height // 8)"),
        (lambda h, w: h + h % 2, "2*((height + 1) // 2)"),
        (lambda h, w: h + 3 + (4 - h % 4) % 4, "4*((height + 3) // 4) + 3"),
        (lambda h, w: (h + -h % 8) // 8, "(height + 7) // 8"),
        (lambda h, w: (h + -h % 8) % 4, "0"),
        (lambda h, w: (h * 8 + w) % 8, "width % 8"),
        (lambda h, w: h + w % 4, "height + (width % 4)"),
    ],
)
def test_padding_is_a_multiple(padded, text):
    (height, width), text_of_number = _axes()
    made = padded(height, width)
    assert (text, padded(30, 17)) == (text_of_number(made) if not isinstance(made, int) else str(made), made.node.hint)


def test_lacking_nothing_is_being_a_multiple():
    (height, _), text = _axes()
    assert "height % 8 == 0" == text((8 - height % 8) % 8 == 0)


_LEAVES = st.sampled_from(["x", "y", 0, 1, 3, 4, 5, 7])
_SUMS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-"), inner, inner),
        st.tuples(st.sampled_from("%/*"), inner, st.integers(2, 8)),
    ),
    max_leaves=6,
)


def _value(tree, leaf):
    if not isinstance(tree, tuple):
        return leaf(tree)
    operation, left, right = tree
    left, right = _value(left, leaf), right if operation in "%/*" else _value(right, leaf)
    match operation:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left // right
        case _:
            return left % right


@settings(max_examples=60, deadline=None)
@given(_SUMS, st.integers(2, 40), st.integers(2, 40))
def test_the_form_has_the_value_of_what_was_computed(tree, x, y):
    (height, width), _ = _axes()
    made = _value(tree, lambda leaf: {"x": height, "y": width}.get(leaf, leaf))
    expected = _value(tree, lambda leaf: {"x": x, "y": y}.get(leaf, leaf))
    if isinstance(made, int):
        assert expected == made
        return
    sizes = dict(zip((height.node.expr, width.node.expr), (x, y), strict=True))
    assert expected == made.node.expr.xreplace(sizes)


@pytest.mark.parametrize("number", [0, 5, -5])
def test_a_number_has_no_remainder_to_take_away(number):
    assert normal_form.remainder(sympy.Integer(number), 8) in (None, number % 8)


@pytest.mark.parametrize(
    ("quotient", "text"),
    [
        (lambda h, w: (2 * ((h - 1) // 32) + 2) // 4, "(((height - 1) // 32) + 1) // 2"),
        (lambda h, w: (6 * h + 4) // 4, "((3*height) // 2) + 1"),
        (lambda h, w: (4 * h * w) // 6, "(2*height*width) // 3"),
        (lambda h, w: (2 * h - 2 * w) // -4, "(height - width) // -2"),
        (lambda h, w: (6 * h * w * w) // (4 * w), "(3*height*width) // 2"),
        (lambda h, w: (h * w + 2 * w) // (w * h), "(height + 2) // height"),
    ],
)
def test_a_quotient_has_no_common_number(quotient, text):
    (height, width), text_of_number = _axes()
    made = quotient(height, width)
    assert (text, quotient(30, 17)) == (text_of_number(made), made.node.hint)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(-30, 30)] * 3), st.integers(-12, 12).filter(bool), st.integers(2, 9))
def test_a_shortened_quotient_is_the_quotient(coefficients, divisor, x):
    a, b, c = coefficients
    symbol = sympy.Symbol("x", integer=True)
    number, shorter = normal_form.shortened(a * symbol**2 + b * symbol + c, sympy.Integer(divisor))
    assert (a * x**2 + b * x + c) // divisor == int(number.subs(symbol, x)) // int(shorter)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=3), st.data())
def test_a_quotient_by_a_product_of_sizes_is_the_quotient(terms, data):
    divisor = data.draw(st.tuples(st.integers(-9, 9).filter(bool), st.integers(0, 2), st.integers(0, 2)))
    x, y = sympy.symbols("x y", integer=True, positive=True)
    whole, by = sum(a * x**n * y**m for a, n, m in terms), divisor[0] * x ** divisor[1] * y ** divisor[2]
    number, shorter = normal_form.shortened(sympy.sympify(whole), by)
    for sizes in ({x: 5, y: 3}, {x: 2, y: 7}):
        assert int(whole.subs(sizes) if whole else 0) // int(by.subs(sizes)) == int(number.subs(sizes)) // int(
            sympy.sympify(shorter).subs(sizes)
        )
