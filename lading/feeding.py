# SPDX-License-Identifier: Apache-2.0
"""A call of a model, said as a call of its file: which of its tensors goes to which input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .pipeline.errors import UsageError


def feeds_of(
    args: Sequence[Any], kwargs: Mapping[str, Any], names: Sequence[str], paths: Mapping[str, str]
) -> dict[str, Any]:
    """Return the values of a call by the names of inputs.

    Arguments are taken apart as those of the example were: containers, dataclasses, caches, registered pytrees. What is
    None is left out. Members of a container go by their paths, so that a dict may have its keys in another order.

    Args:
        args: values by position.
        kwargs: values by the name of an input or of an argument of the model.
        names: the names of the inputs, in order.
        paths: for inputs that come from the example call, where they stand in it ("past.0.key").

    Raises:
        UsageError: the values are not those of the inputs.
    """
    feeds: dict[str, Any] = {}
    given = 0
    for value in args:
        members = _members(value)
        expected = names[given : given + len(members)]
        feeds.update(zip(_in_order(members, expected, paths), [leaf for _, leaf in members], strict=False))
        given += len(members)
    if given > len(names):
        taken = f"the file takes {len(names)}: {', '.join(names)}" if names else "the file takes none"
        raise UsageError(
            f"{given} values were given by position, and {taken}",
            hint="arguments that are no tensors are baked in, and are not given again",
        )
    inputs = {path: name for name, path in paths.items()}
    for key, value in kwargs.items():
        for path, leaf in [(key, value)] if key in names else _members(value, key):
            name = path if path in names else inputs.get(path, path)
            if name in feeds:
                raise UsageError(
                    f"the input '{name}' is given twice, by position and by name", hint="leave one of them out"
                )
            feeds[name] = leaf
    missing = [name for name in names if name not in feeds]
    unknown = [name for name in feeds if name not in names]
    if missing or unknown:
        raise UsageError(
            f"the model takes {', '.join(names) or 'no inputs'}", where=f"missing: {missing}; unknown: {unknown}"
        )
    return feeds


def _members(value: Any, path: str = "") -> list[tuple[str, Any]]:
    from .passes.signature.structure import leaves

    return [(inner, leaf) for inner, leaf in leaves(value, path) if leaf is not None]


def _in_order(members: Sequence[tuple[str, Any]], expected: Sequence[str], paths: Mapping[str, str]) -> Sequence[str]:
    """Return the inputs for the members of one argument: those of their paths, where these are the expected ones."""
    inputs = {paths.get(name, name): name for name in expected}
    first = next(iter(inputs), "")
    for inner, _ in members:
        if inner and first.endswith(f".{inner}"):
            by_path = [f"{first.removesuffix(inner)}{each}" for each, _ in members]
            if set(by_path) == inputs.keys():
                return [inputs[path] for path in by_path]
    return expected
