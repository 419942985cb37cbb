# SPDX-License-Identifier: Apache-2.0
"""A lowering whose file is loaded again takes the place of itself, and of no other."""

from __future__ import annotations

from typing import Any

import pytest
from lading.passes.lower.registry import LOWERINGS

import lading

ONE = """import lading

@lading.lowers("registering::again")
def lower(op, x):
    return op.Neg(x)
"""


def load(text: str, file: str, module: str) -> Any:
    namespace = {"__name__": module}
    exec(compile(text, file, "exec"), namespace)
    return namespace["lower"]


@pytest.fixture(autouse=True)
def none_left() -> Any:
    yield
    lading.unregister_lowering("registering::again")


@pytest.mark.parametrize(("first", "second", "module"), [("a.py", "a.py", "a"), ("cell 1", "cell 2", "__main__")])
def test_the_same_function_again_replaces_itself(first: str, second: str, module: str) -> None:
    load(ONE, first, module)
    latest = load(ONE, second, module)
    assert [latest] == [entry.function for entry in LOWERINGS.entries("registering::again")]


@pytest.mark.parametrize(
    ("text", "module"), [("\n" + ONE, "a"), (ONE, "b"), (ONE.replace("lower(op", "other(op") + "lower = other", "a")]
)
def test_another_function_is_refused(text: str, module: str) -> None:
    load(ONE, "a.py", "a")
    with pytest.raises(lading.UsageError, match="already has a lowering since opset 7: a:lower"):
        load(text, "a.py", module)
