# SPDX-License-Identifier: Apache-2.0
"""A model's result as the named outputs of a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch
from lading.passes import torch_private
from lading.passes.signature import structure
from lading.pipeline.errors import CaptureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.passes.signature.arguments import Arguments
    from lading.passes.trace.recorder import Recorder

_NUMBERS = (bool, int, float, torch.SymInt, torch.SymFloat, torch.SymBool)


class GraphSequence:
    """A result that is a list of tensors of which only the run knows the length: a sequence of the graph.

    Not a class of attrs: `structure` takes those apart, and this is one output.
    """

    def __init__(self, value: ir.Value) -> None:
        self.value = value


def result_leaves(result: Any) -> tuple[list[tuple[str, Any]], dict[str, str]]:
    """Split a model's result into what can be an output (tensors and numbers) and the rest, path to type name.

    None is neither: an absent member of a result is no output.
    """
    kept: list[tuple[str, Any]] = []
    dropped: dict[str, str] = {}
    for path, leaf in structure.leaves(result):
        if isinstance(leaf, (torch.Tensor, GraphSequence, *_NUMBERS)):
            kept.append((path, leaf))
        elif leaf is not None:
            dropped[path] = type(leaf).__name__
    return kept, dropped


def require_outputs(model: ir.Model, dropped: Mapping[str, str], arguments: Arguments) -> None:
    """Refuse a graph without outputs, with the model's name and what it returned.

    Args:
        model: the graph.
        dropped: members of the result that are neither tensors nor numbers, path to type name.
        arguments: the call.

    Raises:
        CaptureError: there is no output.
    """
    if model.graph.outputs:
        return
    if dropped:
        kinds = [f"{path!r} of type {kind}" if path else f"of type {kind}" for path, kind in dropped.items()]
        returned = f"its result is {', '.join(kinds[:3])}{' and more' if len(kinds) > 3 else ''}"
    else:
        returned = "its result is None, or has nothing else in it"
    # A scripted module knows the class that it was made from.
    name = getattr(arguments.model, "original_name", None) or getattr(arguments.model, "__qualname__", None)
    raise CaptureError(
        f"{name or type(arguments.model).__name__} returns no tensor and no number, and a file needs an output: "
        f"{returned}",
        hint="let forward return what the file is to give; with trace.buffer_outputs = true, what the model writes to "
        "its buffers is an output",
    )


class Outputs:
    """The outputs of a recorded graph: their values, named and in order.

    Raises:
        UsageError: more names were given than the model has outputs.
    """

    def __init__(self, result: Any, recorder: Recorder, arguments: Arguments) -> None:
        self.values: list[ir.Value] = []
        kept, self.dropped = result_leaves(result)
        names = _names([path for path, _ in kept], arguments)
        inputs = {id(value) for value in recorder.graph_inputs}
        taken: set[int] = set()
        for (_, leaf), name in zip(kept, names, strict=True):
            value = self._value(leaf, recorder)
            if id(value) in inputs or id(value) in taken or value.const_value is not None or value.producer() is None:
                value = recorder.alias(value)
            taken.add(id(value))
            value.name = name
            self.values.append(value)

    @staticmethod
    def _value(leaf: Any, recorder: Recorder) -> ir.Value:
        if isinstance(leaf, GraphSequence):
            return leaf.value
        if isinstance(leaf, torch.Tensor):
            return recorder.value_of(
                torch_private.unwrap_functional(leaf) if torch_private.is_functional(leaf) else leaf
            )
        if isinstance(leaf, (bool, int, float)):
            return recorder.number(leaf)
        return recorder.symbolic_scalar(leaf)


def _names(paths: list[str], arguments: Arguments) -> list[str]:
    given = arguments.output_names
    if arguments.tolerant:
        given = given[: len(paths)]
    if len(given) > len(paths):
        raise UsageError(
            f"{len(given)} output names were given, and the model has {len(paths)} outputs",
            where="output_names: " + ", ".join(given),
            hint=f"name at most {len(paths)}: {', '.join(path or 'the result' for path in paths)}",
        )
    taken = {item.name for item in arguments.inputs} | set(given)
    names = list(given)
    for path in paths[len(given) :]:
        name = path
        if not path or path[0].isdigit() or path in taken:
            name = f"output.{path}" if path else "output"
        unique = structure.unused_name(name, taken)
        taken.add(unique)
        names.append(unique)
    return names
