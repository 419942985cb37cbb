# SPDX-License-Identifier: Apache-2.0
"""TorchScript inside of an ordinary model: while it is recorded, its scripted parts are interpreted."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from lading.passes import torch_private
from lading.passes.trace.script.calls import arranged, from_script, to_script
from lading.passes.trace.script.interpreter import Interpreter
from lading.passes.trace.script.programs import class_name
from lading.passes.trace.script.values import ModuleObject, Raised
from lading.pipeline.errors import CaptureError

if TYPE_CHECKING:
    from lading.passes.trace.recorder import Recorder


def interpreted(recorder: Recorder) -> AbstractContextManager[None]:
    """Return a context in which calls of TorchScript are interpreted, written down by the recorder that is active."""

    def call_function(function: Any, *args: Any, **kwargs: Any) -> Any:
        interpreter = _interpreter(recorder)
        given = [to_script(value) for value in arranged(function.schema, args, kwargs, skip=0)]
        module = recorder.places.module
        return _run(recorder, interpreter, lambda: interpreter.call_graph(function.graph, given, module))

    def call_method(method: Any, *args: Any, **kwargs: Any) -> Any:
        interpreter = _interpreter(recorder)
        handle = method.owner
        kind = class_name(torch_private.script_type_name(handle))
        target = ModuleObject(recorder.places.module, handle, kind)
        interpreter.roots.append(target)
        given = [to_script(value) for value in arranged(method.schema, args, kwargs, skip=1)]
        return _run(recorder, interpreter, lambda: interpreter.call_method(target, method.name, given))

    return torch_private.script_calls_by(call_function, call_method)


def _interpreter(recorder: Recorder) -> Interpreter:
    return Interpreter(recorder, _held, "preserve", around=recorder.places)


def _held(path: str, tensor: torch.Tensor) -> torch.Tensor:
    # The run that records has put its stand-ins into scripted modules as into all others.
    return tensor


def _run(recorder: Recorder, interpreter: Interpreter, call: Any) -> Any:
    places, line = recorder.places, recorder.axes.line
    recorder.places = interpreter.places  # type: ignore[assignment]
    recorder.axes.line = interpreter.places.line
    try:
        return from_script(interpreter, call())
    except Raised as raised:
        raise CaptureError(
            f"the model raises on the example arguments: {raised.message}", where=interpreter.failed_at or None
        ) from None
    finally:
        recorder.places, recorder.axes.line = places, line
