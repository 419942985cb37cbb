# SPDX-License-Identifier: Apache-2.0
"""From a module to an exported program, by `torch.export`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.arguments import Arguments
from lading.passes.model_state import preserved
from lading.pipeline.errors import CaptureError, UsageError
from torch.export import Dim, ExportedProgram, ShapesCollection


class _Callable(torch.nn.Module):
    """A function as the module that `torch.export` wants."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self._function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self._function(*args, **kwargs)


def exported_program(arguments: Arguments) -> tuple[ExportedProgram, str]:
    """Export a model with its dynamic axes free, without TorchDynamo if that goes, else with it.

    Returns:
        The program, and how it was made.

    Raises:
        CaptureError: neither way works; both reasons are told.
    """
    model = arguments.model
    if isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        raise UsageError("torch.export takes no TorchScript", hint="leave trace.strategy at auto, or set it to script")
    failures = []
    for strict, how in ((False, "torch.export, non-strict"), (True, "torch.export, strict")):
        try:
            return _export(arguments, strict), how
        except Exception as error:
            failures.append((how, error))
    lines = [f"{how}: {_first_lines(error)}" for how, error in failures]
    raise CaptureError(
        "torch.export cannot capture the model\n  " + "\n  ".join(lines),
        hint="TORCH_LOGS=+dynamic has torch.export tell more; the record strategy may still take the model",
    ) from failures[0][1]


def _export(arguments: Arguments, strict: bool) -> ExportedProgram:
    with preserved(arguments.model) as state, torch.no_grad(), _quiet(), torch_private.sizes_undecided():
        state.set_mode(arguments.mode)
        tensors = [item.tensor.detach().clone() for item in arguments.inputs]
        args, kwargs = arguments.call(tensors)
        shapes = ShapesCollection()
        for tensor, item in zip(tensors, arguments.inputs, strict=True):
            if item.axes:
                shapes[tensor] = dict.fromkeys(item.axes, Dim.AUTO)
        model = arguments.model
        module = model if isinstance(model, torch.nn.Module) else _Callable(model)
        free = any(item.axes for item in arguments.inputs)
        dynamic = shapes.dynamic_shapes(module, args, kwargs) if free else None
        with torch_private.announced_onnx_export():
            return torch.export.export(module, args, kwargs, dynamic_shapes=dynamic, strict=strict)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"
