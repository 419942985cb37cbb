# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of a recipe file, made from what the passes declare, for editors and other programs.

It is of draft 7, which the TOML editors read.  Steps called by the name of a pass have the options of that pass; any
other step has those of the pass that its `pass` names, and everything is allowed where that is not known here.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from .declare import OPTION_METADATA, OptionDeclaration
from .plain import to_plain
from .recipe import LATEST, LOWEST_OPSET, shipped_recipes
from .registry import Registry
from .structure import NONE_TEXT, is_mapping, is_sequence, is_union, option_types

Schema = dict[str, Any]

_NAMES: Schema = {"type": "array", "items": {"type": "string"}}
_ENGINE: Schema = {
    "pass": {"type": "string", "description": "The pass: its name, 'package.module:Class' or 'file.py:Class'."},
    "enabled": {"type": "boolean", "default": True, "description": "Whether the step runs."},
    "after": {**_NAMES, "description": "Steps or passes that run before this one, where facts leave it open."},
    "before": {**_NAMES, "description": "Steps or passes that run after this one, where facts leave it open."},
}
_GROUP: Schema = {
    "until-stable": {**_NAMES, "minItems": 1, "description": "Steps that repeat until they change nothing."},
    "rounds": {"type": "integer", "minimum": 1, "default": 4, "description": "How often at most they repeat."},
    **{key: _ENGINE[key] for key in ("enabled", "after", "before")},
}


def recipe_schema(registry: Registry) -> Schema:
    """The schema of a recipe file, with the options of every pass that `registry` knows.

    Raises:
        PlanError: a pass that a package registers cannot be loaded.
    """
    names = registry.names()
    passes = {name: _pass_schema(registry.find(name)) for name in names}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A recipe of lading",
        "type": "object",
        "required": ["recipe"],
        "additionalProperties": False,
        "properties": {
            "recipe": _head(),
            "target": _target(),
            "step": {
                "type": "object",
                "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_-]*$", "not": {"enum": ["recipe", "target"]}},
                "properties": {name: _named_step(name, passes[name]["description"]) for name in names},
                "additionalProperties": {"$ref": "#/definitions/step"},
            },
        },
        "definitions": {"step": _any_step(names), "group": _closed(_GROUP), **passes},
    }


def recipe_schema_text(registry: Registry) -> str:
    """The schema as the text of a file."""
    return json.dumps(recipe_schema(registry), indent=2) + "\n"


def _head() -> Schema:
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "required": ["name", "about"],
        "additionalProperties": False,
        "properties": {
            "name": {**text, "description": "What the recipe is called."},
            "about": {**text, "description": "What it is for, in one line."},
            "extends": {
                "description": "A shipped recipe, one of the project, or a file relative to this one.",
                "anyOf": [{"enum": list(shipped_recipes())}, text],
            },
        },
    }


def _target() -> Schema:
    opset = {"anyOf": [{"type": "integer", "minimum": LOWEST_OPSET}, {"const": LATEST}]}
    domains = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
    return _closed(
        {
            "opset": {**opset, "description": "The opset of the file, or the newest that the installed onnx knows."},
            "custom_opsets": {**domains, "description": "Versions of domains other than ONNX's own."},
        }
    )


def _named_step(name: str, about: str) -> Schema:
    # An id that is the name of a pass may still run another one.
    return {
        "description": about,
        "if": {"required": ["pass"]},
        "then": {"$ref": "#/definitions/step"},
        "else": {"$ref": f"#/definitions/{name}"},
    }


def _any_step(names: Iterable[str]) -> Schema:
    return {
        "type": "object",
        "if": {"anyOf": [{"required": ["until-stable"]}, {"required": ["until_stable"]}]},
        "then": {"$ref": "#/definitions/group"},
        "else": {
            "properties": _ENGINE,
            "allOf": [
                {
                    "if": {"properties": {"pass": {"const": name}}, "required": ["pass"]},
                    "then": {"$ref": f"#/definitions/{name}"},
                }
                for name in names
            ],
        },
    }


def _pass_schema(pass_class: Any) -> Schema:
    types = option_types(pass_class)
    options: Schema = {}
    for field in pass_class.__attrs_attrs__:
        declared: OptionDeclaration | None = field.metadata.get(OPTION_METADATA)
        if declared is not None and not declared.in_recipe:
            continue
        default = field.default.factory() if hasattr(field.default, "factory") else field.default
        schema = _limited(_of_type(types[field.name]), declared)
        schema["default"] = NONE_TEXT if default is None else to_plain(default)
        if declared is not None:
            schema["description"] = declared.help
        options[field.name] = schema
    return {"description": pass_class.declaration.about, **_closed({**_ENGINE, **options})}


def _closed(properties: Schema) -> Schema:
    """An object with these keys and no others; dashes and underscores in them are the same."""
    patterns = {
        f"^{key.replace('_', '-').replace('-', '[-_]')}$": schema
        for key, schema in properties.items()
        if "_" in key or "-" in key
    }
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "patternProperties": patterns} if patterns else schema


def _of_type(annotation: Any) -> Schema:
    simple = {bool: "boolean", int: "integer", float: "number", str: "string"}
    if annotation in simple:
        return {"type": simple[annotation]}
    arguments = get_args(annotation)
    if annotation is type(None):
        return {"const": NONE_TEXT}
    if is_union(annotation):
        return {"anyOf": [_of_type(argument) for argument in arguments]}
    if get_origin(annotation) is Literal:
        return {"enum": list(arguments)}
    if is_mapping(annotation):
        return {"type": "object", "additionalProperties": _of_type(arguments[1])} if arguments else {"type": "object"}
    if is_sequence(annotation):
        return {"type": "array", "items": _of_type(arguments[0])} if arguments else {"type": "array"}
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return {"enum": [to_plain(member) for member in annotation]}
    return {}


def _limited(schema: Schema, declared: OptionDeclaration | None) -> Schema:
    if declared is None:
        return schema
    if declared.choices is not None:
        choices = [NONE_TEXT if choice is None else to_plain(choice) for choice in declared.choices]
        if schema.get("type") == "array":
            return {**schema, "items": {"enum": choices}}
        none = [NONE_TEXT] if {"const": NONE_TEXT} in schema.get("anyOf", ()) and NONE_TEXT not in choices else []
        return {"enum": [*choices, *none]}
    limits = {"minimum": declared.at_least, "maximum": declared.at_most}
    given = {key: limit for key, limit in limits.items() if limit is not None}
    if given and "anyOf" in schema:
        return {
            "anyOf": [{**one, **given} if one.get("type") in ("integer", "number") else one for one in schema["anyOf"]]
        }
    return {**schema, **given}
