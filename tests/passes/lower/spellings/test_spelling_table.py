# SPDX-License-Identifier: Apache-2.0
"""The table of spellings is complete, and lowerings leave opsets to it."""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx.defs
import pytest
from lading.passes.lower.registry import OLDEST_OPSET, SPELLINGS

LOWER = Path(__file__).resolve().parents[4] / "passes" / "lower"
NEWEST = onnx.defs.onnx_opset_version()

# Changes of form that need no spelling of their own, and why.
NEEDLESS = {
    ("BatchNormalization", 9): "`spatial` went; nothing ever writes it",
    ("RNN", 14): "`layout` came; it is written as transpositions at every opset",
    ("GRU", 14): "as RNN",
    ("LSTM", 14): "as RNN",
}


def _modules(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((LOWER / folder).rglob("*.py")):
        yield path, ast.parse(path.read_text())


@functools.cache
def _schemas() -> dict[str, list[onnx.defs.OpSchema]]:
    found: dict[str, list[onnx.defs.OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            found.setdefault(schema.name, []).append(schema)
    return {name: sorted(versions, key=lambda schema: schema.since_version) for name, versions in found.items()}


def _form(schema: onnx.defs.OpSchema) -> Any:
    """What an operator is written with: everything in its schema but the types."""
    return (
        len(schema.inputs),
        schema.min_input,
        len(schema.outputs),
        [parameter.option for parameter in schema.inputs],
        sorted((name, a.type, a.required, str(a.default_value)) for name, a in schema.attributes.items()),
    )


def _changes(op_type: str) -> list[int]:
    """Return the opsets above the oldest one where the form of an operator changes."""
    versions = [schema for schema in _schemas()[op_type] if not schema.deprecated]
    return [
        newer.since_version
        for older, newer in itertools.pairwise(versions)
        if newer.since_version > OLDEST_OPSET and _form(older) != _form(newer)
    ]


def _emitted() -> set[str]:
    """Return the ONNX operators that lowerings and spellings name, as an attribute or in a table."""
    names: set[str] = set()
    for folder in ("ops", "spellings"):
        for _, tree in _modules(folder):
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute):
                    names.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    names.add(node.value)
    # Upsample and Scatter are what Resize and ScatterElements are written as where they have no newer form.
    return names & set(_schemas()) - {"Upsample", "Scatter", "Constant"}


def test_emitted_operators_are_found() -> None:
    assert {"Add", "Unsqueeze", "ReduceSum"} <= _emitted()


def test_every_change_of_form_has_a_spelling() -> None:
    missing = {
        (op_type, opset)
        for op_type in _emitted()
        for opset in _changes(op_type)
        if opset not in {entry.since for entry in SPELLINGS.entries(op_type)}
    }
    assert set() == missing - set(NEEDLESS)


def test_every_change_of_form_has_a_spelling_for_the_oldest_opset() -> None:
    unserved = {
        op_type
        for op_type in _emitted()
        if _changes(op_type)
        and _schemas()[op_type][0].since_version <= OLDEST_OPSET
        and SPELLINGS.floor(op_type, OLDEST_OPSET) is None
    }
    assert set() == unserved


def test_every_spelling_is_of_an_operator_that_exists() -> None:
    assert set() == set(SPELLINGS) - set(_schemas())


@pytest.mark.parametrize("folder", ["ops", "spellings"])
def test_nothing_but_the_tables_reads_the_opset(folder: str) -> None:
    readers = [
        f"{path.name}:{node.lineno}"
        for path, tree in _modules(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("opset", "_session")
    ]
    assert [] == readers
