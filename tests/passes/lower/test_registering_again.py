# SPDX-License-Identifier: Apache-2.0
"""A lowering whose file is loaded again takes the place of itself, and of no other."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lading.passes.lower.registry import LOWERINGS, Table

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


SHIPPED = """import table_under_test


def lower(op, x):
    return x


lower.__module__ = "lading.passes.made_up"
table_under_test.TABLE.add("registering::shipped", 7, lower)
"""


def test_a_clash_with_a_shipped_one_is_the_newcomers_though_nothing_is_loaded_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(ONE, "a.py", "a")
    (tmp_path / "shipped_ops").mkdir()
    (tmp_path / "shipped_ops" / "__init__.py").touch()
    (tmp_path / "shipped_ops" / "some.py").write_text(SHIPPED)
    table = Table("lowering", "shipped_ops")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "table_under_test", SimpleNamespace(TABLE=table))  # type: ignore[arg-type]
    with pytest.raises(lading.UsageError) as caught:
        table.add("registering::shipped", 7, none_left)
    assert ("lading.passes.made_up:lower" in caught.value.what, True) == (
        True,
        str(caught.value.where).startswith(__name__),
    )
