# SPDX-License-Identifier: Apache-2.0
"""What stands under each key of an audit event, as JSON Schema, and a check of events against it.

The check knows the part of JSON Schema that the shapes below are made of, so that reading a log needs no package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .audit import EVENTS, KEYS, SCHEMA

Shape = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _list_of(items: Shape) -> Shape:
    return {"type": "array", "items": items}


def _table_of(values: Shape) -> Shape:
    return {"type": "object", "additionalProperties": values}


def _record(**properties: Shape) -> Shape:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _row(*items: Shape, required: int | None = None) -> Shape:
    least = len(items) if required is None else required
    return {"type": "array", "prefixItems": [*items], "items": False, "minItems": least}


_TEXT: Shape = {"type": "string"}
_MAYBE_TEXT: Shape = {"type": ["string", "null"]}
_COUNT: Shape = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Shape = {"type": ["integer", "null"], "minimum": 0}
_FLAG: Shape = {"type": "boolean"}
_MS: Shape = {"type": "number", "minimum": 0}
_ANYTHING: Shape = {}
_PAIR = _row(_COUNT, _COUNT)
_HASH: Shape = {"type": "string", "pattern": "^[0-9a-f]*$"}
_TABLE: Shape = {"type": "object"}
_NUMBERS: Shape = {"type": ["integer", "null", "array"], "items": _COUNT, "minimum": 0}

SHAPES: dict[str, Shape] = {
    "event": _TEXT,
    "seq": _COUNT,
    "schema": {"type": "integer", "minimum": 1},
    "recipe": _TEXT,
    "recipe_hash": _HASH,
    "resolved": _record(recipe=_TABLE, target=_TABLE, step=_table_of(_TABLE)),
    "sources": _table_of(_record(source=_TEXT, where=_TEXT)),
    "plan": _list_of(
        _record(
            step=_TEXT,
            spec=_TEXT,
            group=_MAYBE_TEXT,
            why=_list_of(_TEXT),
            after=_list_of(_TEXT),
            hard=_list_of(_FLAG),
        )
    ),
    "steps": _COUNT,
    "target": _record(opset=_COUNT, custom_opsets=_table_of(_COUNT)),
    "model": _TABLE,
    "versions": _table_of(_TEXT),
    "step": _TEXT,
    "pass": _TEXT,
    "spec": _TEXT,
    "group": _MAYBE_TEXT,
    "round": _MAYBE_COUNT,
    "index": _MAYBE_COUNT,
    "reason": _TEXT,
    "delta": _record(
        nodes=_PAIR,
        values=_PAIR,
        initializers=_PAIR,
        initializer_bytes=_PAIR,
        functions=_PAIR,
        operators=_table_of(_PAIR),
    ),
    "counts": _table_of({"type": "integer"}),
    "declined": _table_of(_record(count=_COUNT, nodes=_list_of(_TEXT))),
    "decisions": _list_of(_record(what=_TEXT, why=_TEXT, node=_MAYBE_TEXT, details=_TABLE)),
    "warnings": _list_of(_record(message=_TEXT, details=_TABLE)),
    "graph": _row(_HASH, _HASH),
    "first": {"type": "integer", "minimum": 1},
    "made": _list_of(_row(_TEXT, _NUMBERS, _MAYBE_COUNT, _NUMBERS, required=2)),
    "places": _list_of(_row(_TEXT, _TEXT, _TEXT)),
    "changed": _list_of(_row(_COUNT, _MAYBE_TEXT)),
    "renamed": _list_of(_COUNT),
    "rewired": _list_of(_row(_COUNT, _COUNT, _COUNT)),
    "removed": _list_of(_COUNT),
    "declined_at": _table_of(_list_of(_COUNT)),
    "decided_at": _list_of({"type": "array", "items": _COUNT, "minItems": 2}),
    "names": _list_of(_row(_COUNT, _TEXT)),
    "outputs": _list_of(_row(_MAYBE_TEXT, _MAYBE_COUNT)),
    "left_out": _COUNT,
    "error": _record(type=_TEXT, message=_TEXT, where=_MAYBE_TEXT, hint=_MAYBE_TEXT, cause=_MAYBE_TEXT),
    "reproducer": _MAYBE_TEXT,
    "rounds": _COUNT,
    "stable": _FLAG,
    "status": {"type": "string", "enum": ["done", "failed", "interrupted"]},
    "failed_step": _MAYBE_TEXT,
    "applied": _COUNT,
    "unchanged": _COUNT,
    "skipped": _COUNT,
    "warned": _COUNT,
    "nodes": _COUNT,
    "final": _HASH,
    "time": _TEXT,
    "at_ms": _MS,
    "ms": _MS,
    "cpu_ms": _MS,
    "peak_mb": {"type": ["number", "null"], "minimum": 0},
}


def schema_of(event: str) -> Shape:
    """The JSON Schema of one event: exactly the keys of the table, each with its shape."""
    properties = {key: {**SHAPES[key], "description": KEYS[key]} for key in EVENTS[event]}
    properties["event"] = {"const": event, "description": KEYS["event"]}
    if "schema" in properties:
        properties["schema"] = {"const": SCHEMA, "description": KEYS["schema"]}
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def log_schema() -> Shape:
    """The JSON Schema of a line of a log, as it is published."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:lading:audit-events:{SCHEMA}",
        "title": f"An event of a lading audit log, schema {SCHEMA}",
        "description": "One line of a log. A run goes from run.started to run.finished; a file may hold several.",
        "oneOf": [{"$ref": f"#/$defs/{event}"} for event in EVENTS],
        "$defs": {event: schema_of(event) for event in EVENTS},
    }


def log_schema_text() -> str:
    """The published schema as the text of its file."""
    return json.dumps(log_schema(), indent=2, ensure_ascii=False) + "\n"


def fault_in(event: Mapping[str, Any]) -> str | None:
    """What is wrong with an event that a log holds, or None; its name must be one of the table."""
    expected = EVENTS[event["event"]]
    missing = [key for key in expected if key not in event]
    if missing:
        return f"{event['event']} has no '{missing[0]}'"
    unknown = [key for key in event if key not in SHAPES or key not in expected]
    if unknown:
        return f"{event['event']} has no key '{unknown[0]}'"
    for key, value in event.items():
        fault = misfit(value, SHAPES[key])
        if fault is not None:
            return f"'{key}'{fault}"
    return None


def misfit(value: Any, shape: Shape) -> str | None:
    """How a value departs from a shape, as a phrase that follows the name of the value, or None where it fits."""
    wanted = shape.get("type")
    if wanted is not None and not _is_of(value, wanted):
        names = wanted if isinstance(wanted, list) else [wanted]
        return f" is {_kind_of(value)}, not {' or '.join(names)}"
    if isinstance(value, list):
        return _misfit_in_list(value, shape)
    if isinstance(value, dict):
        return _misfit_in_table(value, shape)
    if "enum" in shape and value not in shape["enum"]:
        return f" is {value!r}, not one of {', '.join(shape['enum'])}"
    if "minimum" in shape and value is not None and value < shape["minimum"]:
        return f" is {value}, below {shape['minimum']}"
    return None


def _misfit_in_list(value: list[Any], shape: Shape) -> str | None:
    first = shape.get("prefixItems", ())
    rest = shape.get("items", _ANYTHING)
    if len(value) < shape.get("minItems", 0) or (rest is False and len(value) > len(first)):
        return f" has {len(value)} items"
    for index, item in enumerate(value):
        fault = misfit(item, first[index] if index < len(first) else rest)
        if fault is not None:
            return f"[{index}]{fault}"
    return None


def _misfit_in_table(value: dict[str, Any], shape: Shape) -> str | None:
    properties, rest = shape.get("properties", {}), shape.get("additionalProperties", _ANYTHING)
    for key in shape.get("required", ()):
        if key not in value:
            return f" has no '{key}'"
    for key, item in value.items():
        if key not in properties and rest is False:
            return f" has an unknown key '{key}'"
        fault = misfit(item, properties.get(key, rest))
        if fault is not None:
            return f".{key}{fault}"
    return None


def _is_of(value: Any, wanted: str | list[str]) -> bool:
    kind = _kind_of(value)
    kinds = wanted if isinstance(wanted, list) else [wanted]
    return kind in kinds or (kind == "integer" and "number" in kinds)


_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def _kind_of(value: Any) -> str:
    return _KINDS.get(type(value), "null")
