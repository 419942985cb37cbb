# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import pytest
from lading.pipeline import errors
from lading.pipeline.errors import LadingError, RecipeError, did_you_mean, near_miss


def test_text_has_what_where_and_hint() -> None:
    assert "no\n  at: file:3\n  try: yes" == str(LadingError("no", where="file:3", hint="yes"))


def test_text_leaves_out_what_is_not_known() -> None:
    assert "no" == str(LadingError("no"))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("VerificationFailed", 1),
        ("UsageError", 2),
        ("RecipeError", 2),
        ("PlanError", 2),
        ("CaptureError", 3),
        ("UnsupportedOperators", 4),
        ("InternalError", 5),
    ],
)
def test_each_kind_has_the_exit_code_of_the_contract(name: str, code: int) -> None:
    assert code == getattr(errors, name).exit_code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("VerificationFailed", "verification"),
        ("UsageError", "usage"),
        ("RecipeError", "recipe"),
        ("PlanError", "plan"),
        ("CaptureError", "capture"),
        ("UnsupportedOperators", "unsupported"),
        ("InternalError", "internal"),
    ],
)
def test_each_kind_has_a_code_of_its_own(name: str, code: str) -> None:
    assert code == getattr(errors, name).code


def test_errors_survive_pickling() -> None:
    error = RecipeError("no", where="here", hint="yes")
    error.step = "lower"
    copy = pickle.loads(pickle.dumps(error))
    assert (RecipeError, str(error), "lower") == (type(copy), str(copy), copy.step)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("fold-constant", "fold-constants"), ("fold_constants", "fold-constants"), ("TRACE", "trace"), ("xyzzy", None)],
)
def test_near_miss(word: str, expected: str | None) -> None:
    assert expected == near_miss(word, ["trace", "fold-constants", "inline"])


def test_without_a_near_miss_the_hint_lists_what_there_is() -> None:
    assert "one of: a, b" == did_you_mean("zzz", ["b", "a"])
