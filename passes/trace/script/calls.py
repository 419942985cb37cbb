# SPDX-License-Identifier: Apache-2.0
"""Arguments into the interpreter, and results out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from lading.passes.trace.outputs import GraphSequence
from lading.passes.trace.script import lists
from lading.passes.trace.script.values import Appended, Columns, Items, List, Maybe, Number, Stack, Unset, Unusable
from lading.pipeline.errors import UsageError

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


def arranged(schema: Any, args: Sequence[Any], kwargs: dict[str, Any], *, skip: int) -> list[Any]:
    """Return arguments in the order of a schema, defaults filled in; `skip` is 1 for a method.

    Raises:
        UsageError: one is missing, or one is not in the schema.
    """
    parameters = schema.arguments[skip:]
    given = list(args)
    left = dict(kwargs)
    for parameter in parameters[len(given) :]:
        if parameter.name in left:
            given.append(left.pop(parameter.name))
        elif parameter.has_default_value():
            given.append(parameter.default_value)
        else:
            raise UsageError(f"the model needs the argument '{parameter.name}'")
    if left or len(given) > len(parameters):
        extra = next(iter(left), f"number {len(parameters) + 1}")
        raise UsageError(f"the model has no argument '{extra}'")
    return given


def to_script(value: Any) -> Any:
    """Return a Python value as one of the interpreter."""
    if isinstance(value, list):
        return List([to_script(member) for member in value])
    if isinstance(value, tuple):
        members = [to_script(member) for member in value]
        return type(value)(*members) if hasattr(value, "_fields") else tuple(members)
    if isinstance(value, dict):
        return {key: to_script(member) for key, member in value.items()}
    return value


def from_script(interpreter: Interpreter, value: Any) -> Any:
    """Return a value of the interpreter as Python's, for the outputs of the graph.

    Raises:
        CaptureError: the value is known to a part of the runs only.
    """
    if isinstance(value, (Unusable, Unset)):
        why = value.why if isinstance(value, Unusable) else "a result is not set"
        raise interpreter.cannot(why)
    if isinstance(value, Maybe):
        settled = interpreter.decide(value.present)
        if settled is None:
            raise interpreter.cannot(
                "a result of the model is None on some inputs and a tensor on others",
                "return a tensor in both cases, an empty one for None",
            )
        return from_script(interpreter, value.value) if settled else None
    interpreter.read(value)
    if isinstance(value, Number):
        return value.tensor.to(torch.get_default_dtype()) if value.kind is float else value.tensor
    if isinstance(value, List):
        return _list(interpreter, value)
    if isinstance(value, tuple):
        members = [from_script(interpreter, member) for member in value]
        return type(value)(*members) if hasattr(value, "_fields") else tuple(members)
    if isinstance(value, dict):
        return {key: from_script(interpreter, member) for key, member in value.items()}
    return value


def _list(interpreter: Interpreter, value: List) -> Any:
    state = value.state
    if isinstance(state, Items):
        return [from_script(interpreter, member) for member in state.members]
    if isinstance(state, Stack) and isinstance(state.tensor.shape[0], int):
        return list(state.tensor.unbind(0))
    if isinstance(state, (Appended, Columns)):
        raise interpreter.cannot(
            "a result of the model is a list of tuples whose length only the run knows, and a file has no such outputs",
            "return a tuple of lists, or of tensors",
        )
    return GraphSequence(lists.chained(interpreter, value).value)
