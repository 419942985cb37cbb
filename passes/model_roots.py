# SPDX-License-Identifier: Apache-2.0
"""The modules that a model is made of: the model itself, or those that a method, a function or an object works with."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

import torch

_DEEPEST = 4
"""How many functions that call functions are looked through."""


def roots_of(model: Any) -> list[tuple[str, torch.nn.Module]]:
    """Return the outermost modules of a model, each with the name under which the model's code knows it.

    A module is its own root and has no name, and so is the module of a bound method. For a function they are the
    modules in its closure, its defaults and the globals that it names, also by way of other functions; for another
    callable object those in its attributes. Lists, tuples and dicts of modules are looked into.
    """
    if isinstance(model, torch.nn.Module):
        return [("", model)]
    if isinstance(model, types.MethodType) and isinstance(model.__self__, torch.nn.Module):
        return [("", model.__self__)]
    found: dict[int, tuple[str, torch.nn.Module]] = {}
    names: set[str] = set()
    for name, module in _modules_in("", model, 0, set()):
        if id(module) not in found:
            unique, count = name, 0
            while unique in names:
                count += 1
                unique = f"{name}_{count}"
            names.add(unique)
            found[id(module)] = (unique, module)
    inner = {id(part) for _, root in found.values() for part in root.modules() if part is not root}
    return [root for key, root in found.items() if key not in inner]


def _modules_in(name: str, value: Any, depth: int, seen: set[int]) -> Iterator[tuple[str, torch.nn.Module]]:
    if isinstance(value, torch.nn.Module):
        yield name or "model", value
        return
    if depth > _DEEPEST or id(value) in seen:
        return
    if isinstance(value, (list, tuple, dict)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, member in pairs:
            if isinstance(member, torch.nn.Module):
                yield f"{name}.{key}" if name else str(key), member
        return
    seen.add(id(value))
    if isinstance(value, functools.partial):
        yield from _modules_in(name, value.func, depth + 1, seen)
        yield from _modules_in(name, _named_arguments(value), depth + 1, seen)
        yield from _modules_in(name, value.keywords, depth + 1, seen)
    elif isinstance(value, types.MethodType):
        owner = value.__self__
        yield from _modules_in(name, owner, depth + 1, seen)
        if not isinstance(owner, torch.nn.Module):
            yield from _modules_in(name, value.__func__, depth + 1, seen)
    elif isinstance(value, types.FunctionType):
        for inner, held in _names_of(value):
            yield from _modules_in(inner, held, depth + 1, seen)
    elif depth == 0 or _is_users_callable(value):
        for attribute, held in sorted(getattr(value, "__dict__", {}).items()):
            yield from _modules_in(attribute, held, depth + 1, seen)


def _named_arguments(partial: functools.partial[Any]) -> dict[str, Any]:
    code = getattr(partial.func, "__code__", None)
    names = code.co_varnames if code is not None else ()
    return {names[place] if place < len(names) else str(place): value for place, value in enumerate(partial.args)}


def _is_users_callable(value: Any) -> bool:
    package = type(value).__module__.partition(".")[0]
    return callable(value) and not isinstance(value, type) and package not in ("torch", "builtins")


def _names_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function of the user's reaches by name: closure, defaults, globals."""
    if (function.__module__ or "").partition(".")[0] == "torch":
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            continue
    yield from _defaults_of(function).items()
    for name in global_names(function.__code__):
        if name in function.__globals__:
            held = function.__globals__[name]
            if not isinstance(held, (types.ModuleType, type)):
                yield name, held


def _defaults_of(function: types.FunctionType) -> dict[str, Any]:
    """Return the defaults of a function's arguments by name."""
    given = function.__defaults__ or ()
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    return {**dict(zip(names[len(names) - len(given) :], given, strict=True)), **(function.__kwdefaults__ or {})}


def global_names(code: types.CodeType) -> list[str]:
    """Return the names that a function's code, and the functions in it, look up outside of themselves."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += global_names(constant)
    return list(dict.fromkeys(names))
