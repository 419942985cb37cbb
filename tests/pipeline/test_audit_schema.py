# SPDX-License-Identifier: Apache-2.0
"""The published schema, held against logs, and the check that reading a log does without a package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from lading.pipeline.audit import EVENTS, KEYS
from lading.pipeline.audit_schema import SHAPES, fault_in, log_schema, misfit
from lading.pipeline.facts import Fact
from support.fake_passes import fake
from support.recorded_runs import lowered, recorded

ROOT = Path(__file__).parents[2]


def fail(self: Any, work: Any, note: Any) -> None:
    raise ZeroDivisionError("oh")


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema.Draft202012Validator(log_schema())


def events_of(folder: Path, kind: str) -> list[Any]:
    broken = fake("broken", fail, requires=(Fact.ONNX,))
    runs = {
        "whole": lambda: recorded(folder),
        "failed": lambda: recorded(folder, "[step.capture]\n[step.broken]\n", broken),
        "with origins": lambda: lowered(folder),
        "without nodes": lambda: recorded(folder, level="steps"),
    }
    return list(runs[kind]().events)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(log_schema())


def test_every_key_has_a_shape() -> None:
    assert set(KEYS) == set(SHAPES)


@pytest.mark.parametrize("kind", ["whole", "failed", "with origins", "without nodes"])
def test_a_log_fits_the_schema(kind: str, tmp_path: Path, validator: Any) -> None:
    for event in events_of(tmp_path, kind):
        validator.validate(json.loads(json.dumps(event)))


@pytest.mark.parametrize("kind", ["whole", "failed", "with origins", "without nodes"])
def test_a_log_passes_the_check(kind: str, tmp_path: Path) -> None:
    assert [None] == list({fault_in(event) for event in events_of(tmp_path, kind)})


def test_the_events_between_them_are_all_there_are(tmp_path: Path) -> None:
    kinds = ("whole", "failed")
    assert set(EVENTS) == {event["event"] for kind in kinds for event in events_of(tmp_path, kind)}


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ("a", {"type": "integer"}, " is string, not integer"),
    (True, {"type": "integer"}, " is boolean, not integer"),
    (1, {"type": ["string", "null"]}, " is integer, not string or null"),
    (-1, {"type": "integer", "minimum": 0}, " is -1, below 0"),
    ("x", {"type": "string", "enum": ["a", "b"]}, " is 'x', not one of a, b"),
    ([1, "a"], {"type": "array", "items": {"type": "integer"}}, "[1] is string, not integer"),
    ([1], {"type": "array", "prefixItems": [{}, {}], "items": False, "minItems": 2}, " has 1 items"),
    ([1, 2, 3], {"type": "array", "prefixItems": [{}, {}], "items": False}, " has 3 items"),
    ({"a": 1}, {"type": "object", "additionalProperties": {"type": "string"}}, ".a is integer, not string"),
    ({"a": 1}, {"type": "object", "properties": {}, "additionalProperties": False}, " has an unknown key 'a'"),
    ({}, {"type": "object", "properties": {}, "required": ["a"]}, " has no 'a'"),
]


@pytest.mark.parametrize(("value", "shape", "fault"), WRONG, ids=[fault.strip() for _, _, fault in WRONG])
def test_the_check_says_what_is_wrong(value: Any, shape: dict[str, Any], fault: str) -> None:
    assert fault == misfit(value, shape)


@pytest.mark.parametrize(("value", "shape", "fault"), WRONG, ids=[fault.strip() for _, _, fault in WRONG])
def test_the_check_agrees_with_the_package(value: Any, shape: dict[str, Any], fault: str) -> None:
    assert not jsonschema.Draft202012Validator(shape).is_valid(value)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (1, {"type": "number"}),
        (None, {"type": ["integer", "null"], "minimum": 0}),
        ([1, 2], {"type": ["integer", "null", "array"], "items": {"type": "integer"}}),
        ([1], {"type": "array", "prefixItems": [{}, {}], "items": False}),
        ({"a": 1}, {"type": "object"}),
    ],
)
def test_what_fits_is_let_through(value: Any, shape: dict[str, Any]) -> None:
    assert misfit(value, shape) is None
    assert jsonschema.Draft202012Validator(shape).is_valid(value)
