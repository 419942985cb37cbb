# SPDX-License-Identifier: Apache-2.0
"""The capture strategies by name, and which one `auto` means for a model.

A strategy is a function `capture(arguments) -> (model, Capture)` that ends in the ATen dialect. To add one, write its
module and name it here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lading.pipeline.errors import CaptureError, LadingError, UsageError

if TYPE_CHECKING:
    import onnx_ir as ir
    from lading.passes.signature.arguments import Arguments
    from lading.passes.trace.capture import Capture, Specialisation
    from lading.pipeline.note import Note

    Strategy = Callable[[Arguments], tuple[ir.Model, Capture]]

_STRATEGIES = {
    "record": "lading.passes.trace.record:record",
    "export": "lading.passes.trace.exported.program:export",
    "script": "lading.passes.trace.script.strategy:script",
    "jit-trace": "lading.passes.trace.script.strategy:jit_trace",
}

_FURTHER = {"scripted": "lading.passes.trace.scripted:scripted"}
"""What "auto" can try beside them."""

_KEEPS_PYTHON = "scripted"

NAMES = ("auto", *_STRATEGIES)


def find(name: str) -> Strategy:
    """Return the strategy of a name other than "auto"."""
    module, _, function = {**_STRATEGIES, **_FURTHER}[name].partition(":")
    found: Any = getattr(importlib.import_module(module), function)
    return found


def for_arguments(arguments: Arguments) -> tuple[str, ...]:
    """Return the strategies that "auto" tries, in order, given the kind of model."""
    if arguments.program is not None:
        return ("export",)
    if _is_script(arguments.model):
        return ("script",)
    if _is_module(arguments.model):
        return ("record", "export", "scripted")
    return ("record", "export")


def _is_script(model: Any) -> bool:
    import torch

    return isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction))


def _is_module(model: Any) -> bool:
    import torch

    return isinstance(model, torch.nn.Module)


def captured(arguments: Arguments, names: Sequence[str], note: Note) -> tuple[Arguments, ir.Model, Capture]:
    """Capture by the first strategy that can; each step down to the next one is a decision on record.

    A capture that fixes a requested axis gives way to one from compiled code that does not. A recording in which Python
    asks for a value is tried again with `int(value)` as a number that only the run knows; the arguments that are
    returned say so.

    Raises:
        UsageError: the call itself is wrong; no other strategy is tried. Nor is one where the model fails by itself.
        CaptureError: no strategy can; the first one's error, with what the others said.
    """
    failures: list[tuple[str, LadingError]] = []
    for name in names:
        try:
            model, capture = find(name)(arguments)
        except UsageError:
            raise
        except CaptureError as error:
            counted = _counted(arguments, error) if name == "record" else None
            if counted is not None:
                return counted
            failures.append((name, error))
            if len(names) > 1 and len(failures) == 1 and _fails_anyway(arguments):
                break
            continue
        for failed, failure in failures:
            note.decided("strategy left", failure.what, strategy=failed, next=name, source=failure.where or "")
        fixed = capture.fixed_against(arguments.relaxed_axes)
        if fixed and _KEEPS_PYTHON in names[names.index(name) + 1 :]:
            freer = _freer(arguments, fixed)
            if freer is not None:
                why = f"it fixes the axes {', '.join(special.axis for special in fixed)}"
                note.decided("strategy left", why, strategy=name, next=_KEEPS_PYTHON, source="")
                return arguments, *freer
        return arguments, model, capture
    raise _joined(failures)


def both_sides(arguments: Arguments, model: ir.Model, capture: Capture, recordings: int) -> tuple[ir.Model, Capture]:
    """Make a recorded graph right on both sides of the decisions that were taken on sizes, as far as that can be.

    Args:
        arguments: what was recorded.
        model: the graph.
        capture: what was decided. That of another strategy than "record" comes back as it is.
        recordings: how many further ones there may be.
    """
    decided = any(not guard.harmless and guard.expression is not None for guard in capture.guards)
    if capture.strategy != "record" or not decided:
        return model, capture
    from lading.passes.trace.sides.exploring import Explorer

    return Explorer(arguments, find("record"), recordings).explore(model, capture)


def _counted(arguments: Arguments, error: CaptureError) -> tuple[Arguments, ir.Model, Capture] | None:
    """Return a recording in which `int(value)` is a number of the run, where Python has asked for a value."""
    import attrs
    from lading.passes.trace.failures import asks_for_a_number

    if arguments.keeps_rounded or not asks_for_a_number(error):
        return None
    counting = attrs.evolve(arguments, keeps_rounded=True)
    try:
        return counting, *find("record")(counting)
    except CaptureError:
        return None


def _freer(arguments: Arguments, fixed: Sequence[Specialisation]) -> tuple[ir.Model, Capture] | None:
    """Return a capture by the strategy that reads Python's `int(size)` and `for row in x` as code, if it fixes less."""
    try:
        model, capture = find(_KEEPS_PYTHON)(arguments)
    except CaptureError:
        return None
    return None if len(capture.fixed_against(arguments.relaxed_axes)) >= len(fixed) else (model, capture)


def _fails_anyway(arguments: Arguments) -> bool:
    """Whether the model itself fails on the example, so that no strategy can help."""
    try:
        arguments.eager([item.tensor for item in arguments.inputs])
    except Exception:
        return True
    return False


def _joined(failures: Sequence[tuple[str, LadingError]]) -> LadingError:
    _, first = failures[0]
    if len(failures) == 1:
        return first
    tried = [f"{name}: {_indented(error)}" for name, error in failures]
    error = CaptureError("no strategy captures the model\n  " + "\n  ".join(tried), where=first.where, hint=first.hint)
    error.__cause__ = first.__cause__ or first
    return error


def _indented(error: LadingError) -> str:
    at = f" (at {error.where})" if error.where else ""
    return error.what.replace("\n", "\n  ") + at
