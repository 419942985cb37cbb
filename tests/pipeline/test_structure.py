# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import enum
import math
import sys
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lading.pipeline.plain import to_plain, toml_value
from lading.pipeline.structure import Misfit, fit, fit_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

AXES = Mapping[str, Mapping[int | str, str] | list[int]]


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        ("x", str, "x"),
        (["a"], tuple[str, ...], ("a",)),
        (("a",), list[str], ["a"]),
        ([1, "a"], tuple[int, str], (1, "a")),
        ({"x": {"0": "b"}, "y": [1]}, AXES, {"x": {0: "b"}, "y": [1]}),
        (None, int | None, None),
        ("none", int | None, None),
        ("none", Literal["none", "all"] | None, "none"),
        ("red", Colour, Colour.RED),
        ("latest", int | Literal["latest"], "latest"),
    ],
)
def test_fit(value: Any, kind: Any, expected: Any) -> None:
    fitted = fit(value, kind)
    assert (expected, type(expected)) == (fitted, type(fitted))


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (True, int, "must be a whole number, not True"),
        (3.0, int, "must be a whole number, not 3.0"),
        (1, bool, "must be true or false, not 1"),
        (3, str, "must be text, not 3"),
        ("abc", tuple[str, ...], "must be a list of text, not 'abc'"),
        ([1], tuple[str, ...], "must be text, not 1"),
        ([1, 2, 3], tuple[int, int], "must have 2 items, not 3"),
        ("b", Literal["a"], "must be 'a', not 'b'"),
        ("x", int | None, "must be a whole number or none, not 'x'"),
        (["x"], Mapping[str, int], "must be a table of a whole number, not ['x']"),
        ("blue", Colour, "must be one of red, not 'blue'"),
    ],
)
def test_misfit(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(Misfit) as caught:
        fit(value, kind)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("3", int, 3),
        ("True", bool, True),
        ("false", bool, False),
        ("3", str, "3"),
        ('"3"', str, "3"),
        ("3", int | str, 3),
        ("a, b", tuple[str, ...], ("a", "b")),
        ('["a", "b"]', tuple[str, ...], ("a", "b")),
        ("None", int | None, None),
        ('{x = {0 = "b"}}', AXES, {"x": {0: "b"}}),
    ],
)
def test_fit_text(text: str, kind: Any, expected: Any) -> None:
    fitted = fit_text(text, kind)
    assert (expected, type(expected)) == (fitted, type(fitted))


@pytest.mark.parametrize(("text", "kind"), [("x", int), ("[a, b]", tuple[str, ...]), ("yes", bool), ("1", bool)])
def test_text_that_does_not_fit(text: str, kind: Any) -> None:
    with pytest.raises(Misfit, match="must be"):
        fit_text(text, kind)


PLAIN = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner),
    max_leaves=10,
)


@given(PLAIN)
def test_toml_text_reads_back_as_it_was(value: Any) -> None:
    assert value == tomllib.loads(f"value = {toml_value(value)}")["value"]


def test_toml_has_not_a_number() -> None:
    assert math.isnan(tomllib.loads(f"value = {toml_value(math.nan)}")["value"])


@given(PLAIN)
def test_plain_data_stays_as_it_is(value: Any) -> None:
    assert value == to_plain(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2), [1, 2]),
        ({0: "a"}, {"0": "a"}),
        (Colour.RED, "red"),
        ({"b", "a"}, ["a", "b"]),
        (object(), "<builtins.object>"),
    ],
)
def test_to_plain(value: Any, expected: Any) -> None:
    assert expected == to_plain(value)


def test_an_array_scalar_is_a_number() -> None:
    import numpy as np

    assert 3 == to_plain(np.int64(3))
