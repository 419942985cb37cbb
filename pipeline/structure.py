# SPDX-License-Identifier: Apache-2.0
"""Fit plain data, from TOML, from text or from Python, to the type of an option; nothing is converted by luck."""

from __future__ import annotations

import enum
import functools
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import cattrs

from .errors import PlanError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NONE_TEXT = "none"
"""How a recipe file or `--set` writes None, which TOML lacks."""


class Misfit(ValueError):
    """A value that does not fit a type; the message says what would."""


def fit(value: Any, annotation: Any) -> Any:
    """`value` as `annotation` has it: lists as tuples where it says so, TOML's string keys as integers, and so on.

    Raises:
        Misfit: it does not fit.
    """
    return _CONVERTER.structure(value, annotation)


def fit_text(text: str, annotation: Any) -> Any:
    """The value that `text`, from a command line, stands for: a TOML value if that fits, else the text itself.

    Commas make a list where a list is wanted, and case does not matter for true, false and none.

    Raises:
        Misfit: no reading of it fits.
    """
    attempts: list[Any] = []
    for spelling in (text, text.lower()):
        try:
            attempts.append(tomllib.loads(f"value = {spelling}")["value"])
        except tomllib.TOMLDecodeError:
            continue
    attempts.append(NONE_TEXT if text.lower() == NONE_TEXT else text)
    if not text.startswith(("[", "{")):
        attempts.append([part.strip() for part in text.split(",") if part.strip()])
    first: Misfit | None = None
    for attempt in attempts:
        try:
            return fit(attempt, annotation)
        except Misfit as error:
            first = first or error
    raise Misfit(f"must be {describe(annotation)}, not {text!r}") from first


@functools.cache
def option_types(pass_class: Any) -> Mapping[str, Any]:
    """The evaluated annotation of each option of a pass class.

    Raises:
        PlanError: an annotation uses a name that exists for type checkers only.
    """
    try:
        hints = typing.get_type_hints(pass_class)
    except NameError as error:
        raise PlanError(
            f"the option types of pass '{pass_class.declaration.name}' cannot be evaluated: {error}",
            where=f"{pass_class.__module__}:{pass_class.__qualname__}",
            hint="import what option types mention outside of TYPE_CHECKING",
        ) from error
    return {field.name: hints.get(field.name, Any) for field in pass_class.__attrs_attrs__}


def describe(annotation: Any) -> str:
    """What a value of this type looks like, for a message."""
    if annotation is type(None):
        return NONE_TEXT
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if is_union(annotation):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if is_mapping(annotation):
        return f"a table of {describe(arguments[1])}" if arguments else "a table"
    if is_sequence(annotation):
        return f"a list of {describe(arguments[0])}" if arguments else "a list"
    return getattr(annotation, "__name__", str(annotation))


_WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _exactly(kind: type, *, also: tuple[type, ...] = ()) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        # bool is a subclass of int, and `true` is not a size limit.
        if isinstance(value, (kind, *also)) and (kind is bool or not isinstance(value, bool)):
            return kind(value)
        raise Misfit(f"must be {_WORDS[kind]}, not {value!r}")

    return structure


def _is_any(annotation: object) -> bool:
    return annotation is Any


def _is_literal(annotation: object) -> bool:
    return get_origin(annotation) is Literal


def is_union(annotation: Any) -> bool:
    """Whether a type is one of several."""
    return get_origin(annotation) in (Union, types.UnionType)


def is_sequence(annotation: Any) -> bool:
    """Whether a type is a list or a tuple, text excepted."""
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, Sequence) and not issubclass(origin, (str, bytes))


def is_mapping(annotation: Any) -> bool:
    """Whether a type is a table."""
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _union(value: Any, annotation: Any) -> Any:
    arguments = get_args(annotation)
    if value is None and type(None) in arguments:
        return None
    kinds = [argument for argument in arguments if argument is not type(None)]
    if value == NONE_TEXT and type(None) in arguments and not any(NONE_TEXT in get_args(kind) for kind in kinds):
        return None
    for kind in kinds:
        try:
            return fit(value, kind)
        except Misfit:
            continue
    raise Misfit(f"must be {describe(annotation)}, not {value!r}")


def _sequence(value: Any, annotation: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise Misfit(f"must be {describe(annotation)}, not {value!r}")
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    make = list if issubclass(origin, list) else tuple
    if make is tuple and arguments and arguments[-1] is not Ellipsis and issubclass(origin, tuple):
        if len(arguments) != len(value):
            raise Misfit(f"must have {len(arguments)} items, not {len(value)}")
        return tuple(fit(item, kind) for item, kind in zip(value, arguments, strict=True))
    return make(fit(item, arguments[0] if arguments else Any) for item in value)


def _mapping(value: Any, annotation: Any) -> Any:
    if not isinstance(value, Mapping):
        raise Misfit(f"must be {describe(annotation)}, not {value!r}")
    key_kind, value_kind = get_args(annotation) or (Any, Any)
    return {_key(key, key_kind): fit(item, value_kind) for key, item in value.items()}


def _key(key: Any, annotation: Any) -> Any:
    wants_int = annotation is int or (is_union(annotation) and int in get_args(annotation))
    if wants_int and isinstance(key, str) and key.lstrip("-").isdecimal():
        return int(key)
    return fit(key, annotation)


def _literal(value: Any, annotation: Any) -> Any:
    for allowed in get_args(annotation):
        if value == allowed and type(value) is type(allowed):
            return value
    raise Misfit(f"must be {describe(annotation)}, not {value!r}")


def _instance(value: Any, annotation: Any) -> Any:
    kind = get_origin(annotation) or annotation
    if isinstance(value, kind):
        return value
    if issubclass(kind, enum.Enum):
        for member in kind:
            if value in (member.value, member.name):
                return member
        raise Misfit(f"must be one of {', '.join(str(member.value) for member in kind)}, not {value!r}")
    raise Misfit(f"must be {describe(annotation)}, not {value!r}")


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook_func(lambda annotation: isinstance(annotation, type), _instance)
    converter.register_structure_hook_func(_is_literal, _literal)
    converter.register_structure_hook_func(is_mapping, _mapping)
    converter.register_structure_hook_func(is_sequence, _sequence)
    converter.register_structure_hook_func(is_union, _union)
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(int, _exactly(int))
    converter.register_structure_hook(float, _exactly(float, also=(int,)))
    converter.register_structure_hook(str, _exactly(str))
    converter.register_structure_hook_func(_is_any, lambda value, _: value)
    return converter


_CONVERTER = _make_converter()
