# SPDX-License-Identifier: Apache-2.0
"""Nested arguments and results, taken apart into leaves with readable names, and put together again.

Tuples, lists, dicts and classes derived from them, named tuples, dataclasses, classes of attrs, namespaces, caches of
the transformers library and whatever is registered with PyTorch's pytree. Nothing is registered anywhere: a user's
dataclass stays unknown to PyTorch.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import sys
from collections import UserList
from collections.abc import Callable, Container, Iterator, MutableMapping, Sequence
from types import SimpleNamespace
from typing import Any

import attrs
import torch
from lading.passes import torch_private

_WHOLE = (torch.Tensor, torch.nn.Module)
"""Never taken apart, whatever else the class of the user's is derived from."""

Rebuild = Callable[[Sequence[Any]], Any]
Children = tuple[list[str], list[Any], Rebuild]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a nested value in order, each with its dotted path below `path`."""
    parts = children(value)
    if parts is None:
        yield path, value
        return
    names, values, _ = parts
    for name, child in zip(names, values, strict=True):
        yield from leaves(child, f"{path}.{name}" if path else name)


def replace_leaves(value: Any, replacement: Callable[[Any], Any]) -> Any:
    """Return a copy of a nested value with `replacement` applied to each leaf, in the order of `leaves`."""
    parts = children(value)
    if parts is None:
        return replacement(value)
    _, values, rebuild = parts
    return rebuild([replace_leaves(child, replacement) for child in values])


def unused_name(name: str, taken: Container[str]) -> str:
    """Return `name`, with the first number behind it that makes it unused."""
    unique, count = name, 0
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    return unique


def children(value: Any) -> Children | None:
    """Take one level of a container apart: names, members and how to rebuild it; None for a leaf."""
    kind = type(value)
    if kind in (int, float, bool, str, type(None)) or isinstance(value, _WHOLE):
        return None
    if kind is tuple or kind is list:
        return [str(index) for index in range(len(value))], list(value), kind
    if kind is dict:
        return (
            [str(key) for key in value],
            list(value.values()),
            lambda parts, keys=tuple(value): dict(zip(keys, parts, strict=True)),
        )
    cache = _cache_children(value)
    if cache is not None:
        return cache
    registered = torch_private.pytree_node(kind)
    if registered is not None:
        return _registered_children(value, registered)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return list(kind._fields), list(value), lambda parts: kind(*parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dataclass_children(value)
    if isinstance(value, MutableMapping):
        return [str(key) for key in value], list(value.values()), functools.partial(_with_items, value, tuple(value))
    if isinstance(value, (list, UserList)):
        return [str(index) for index in range(len(value))], list(value), functools.partial(_with_items, value, None)
    if attrs.has(kind):
        names = [field.name for field in attrs.fields(kind) if hasattr(value, field.name)]
        return _members_by_name(value, names)
    if isinstance(value, SimpleNamespace):
        return _members_by_name(value, list(vars(value)))
    return None


def _with_items(value: Any, keys: tuple[Any, ...] | None, parts: Sequence[Any]) -> Any:
    """Return a copy of a mapping or a list of a class of the user's with other members."""
    # What it keeps its members in is copied, which a shallow copy may share with the original; the members are not.
    members = value if keys is None else value.values()
    twin = copy.deepcopy(value, {id(member): member for member in members})
    for place, part in zip(range(len(parts)) if keys is None else keys, parts, strict=True):
        twin[place] = part
    return twin


def _registered_children(value: Any, node: Any) -> Children:
    members, context = node.flatten_fn(value)
    values = list(members)
    if node.flatten_with_keys_fn is not None:
        # For names alone: its context is not always one that unflatten_fn takes (as with torch's own dataclasses).
        pairs, _ = node.flatten_with_keys_fn(value)
        names = [_key_name(key) for key, _ in pairs]
    else:
        names = [str(index) for index in range(len(values))]
    return names, values, lambda parts: node.unflatten_fn(list(parts), context)


def _key_name(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def _dataclass_children(value: Any) -> Children:
    return _members_by_name(value, [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)])


def _members_by_name(value: Any, names: list[str]) -> Children:
    def rebuild(parts: Sequence[Any]) -> Any:
        # copy, not the constructor: __init__ and __post_init__ may take or compute other things.
        twin = copy.copy(value)
        for name, part in zip(names, parts, strict=True):
            object.__setattr__(twin, name, part)
        return twin

    return names, [getattr(value, name) for name in names], rebuild


def _cache_children(value: Any) -> Children | None:
    """Take a key-value cache of the transformers library apart: one pair of key and value for each layer."""
    library = sys.modules.get("transformers.cache_utils")
    if library is None or not isinstance(value, library.Cache):
        return None
    if isinstance(value, library.EncoderDecoderCache):
        halves = ["self_attention_cache", "cross_attention_cache"]
        return (
            halves,
            [getattr(value, half) for half in halves],
            lambda parts: _twin(value, dict(zip(halves, parts, strict=True))),
        )
    names = [str(index) for index in range(len(value.layers))]
    pairs = [{"key": layer.keys, "value": layer.values} for layer in value.layers]

    def rebuild(parts: Sequence[Any]) -> Any:
        layers = [
            _twin(layer, {"keys": pair["key"], "values": pair["value"], **_counted(layer, pair["key"])})
            for layer, pair in zip(value.layers, parts, strict=True)
        ]
        return _twin(value, {"layers": layers})

    return names, pairs, rebuild


def _counted(layer: Any, keys: Any) -> dict[str, Any]:
    """Let a layer that counts its words in Python count those of other keys, as long as it holds them all."""
    count = getattr(layer, "cumulative_length", None)
    if type(count) is not int or not hasattr(keys, "shape") or count != layer.keys.shape[-2]:
        return {}
    return {"cumulative_length": keys.shape[-2]}


def _twin(value: Any, changes: dict[str, Any]) -> Any:
    twin = copy.copy(value)
    for name, change in changes.items():
        setattr(twin, name, change)
    return twin
