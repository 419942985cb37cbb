# SPDX-License-Identifier: Apache-2.0
"""From a module to an exported program, by `torch.export`."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch
from lading.passes import torch_private
from lading.passes.model_state import preserved
from lading.passes.signature.arguments import Arguments
from lading.passes.trace.exported.guards import Guards
from lading.passes.trace.exported.sizes import Sizes
from lading.passes.trace.failures import unlogged
from lading.passes.trace.outputs import result_leaves
from lading.pipeline.errors import CaptureError, UsageError
from torch.export import Dim, ExportedProgram, ShapesCollection

PREFIX = "model."
"""What stands before the names of weights and modules in a program of a model that was flattened."""


@attrs.frozen
class Made:
    """An exported program and how it came to be.

    Attributes:
        program: the program.
        how: the way that made it.
        paths: the places of its outputs in the model's result, where the program returns them flat.
        dropped: members of the result that are no tensors and no numbers, path to type name.
    """

    program: ExportedProgram
    how: str
    paths: tuple[str, ...] | None = None
    dropped: dict[str, str] = attrs.field(factory=dict)


@attrs.define
class _Seen:
    """What the run of a flattened model has shown of the model's result."""

    paths: tuple[str, ...] = ()
    dropped: dict[str, str] = attrs.field(factory=dict)


class _Flat(torch.nn.Module):
    """A model that takes the tensors of its call and returns those of its result, without containers.

    `torch.export` knows few containers, and none of the user's; the tensors alone are no matter to it.
    """

    def __init__(self, arguments: Arguments) -> None:
        super().__init__()
        self._arguments = arguments
        if isinstance(arguments.model, torch.nn.Module):
            self.model = arguments.model
        # Not on the module itself, whose attributes torch.export puts back.
        self.seen = _Seen()

    def forward(self, *tensors: torch.Tensor) -> tuple[Any, ...]:
        """Call the model."""
        args, kwargs = self._arguments.call(tensors)
        kept, self.seen.dropped = result_leaves(self._arguments.model(*args, **kwargs))
        self.seen.paths = tuple(path for path, _ in kept)
        return tuple(leaf for _, leaf in kept)


class _Function(torch.nn.Module):
    """A function as the module that `torch.export` wants."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self._function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self._function(*args, **kwargs)


def exported_program(arguments: Arguments) -> Made:
    """Export a model with its dynamic axes free, by running its Python if that goes, else by TorchDynamo.

    Sizes of 0 and 1 in the example, of which `torch.export` would make constants, are tried larger first.

    Raises:
        CaptureError: no way works; the reasons are told.
    """
    model = arguments.model
    if isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        raise UsageError("torch.export takes no TorchScript", hint="leave trace.strategy at auto, or set it to script")
    tensors = [item.tensor.detach() for item in arguments.inputs]
    larger = _enlarged(arguments)
    attempts: list[tuple[str, Callable[[], Made]]] = []
    if larger is not None:
        attempts.append(("non-strict, with larger sizes", lambda: _all_free(_export(arguments, larger), arguments)))
    attempts.append(("non-strict", lambda: _export(arguments, tensors)))
    attempts.append(("strict", lambda: _export_strict(arguments, tensors)))
    if larger is not None:
        # A size of 1 that broadcasts is a constant, and the error that names its axis says more than a failed capture.
        attempts.append(("non-strict, sizes of 0 and 1 fixed", lambda: _export(arguments, tensors, undecided=False)))
    failures: list[tuple[str, Exception]] = []
    # torch.export sets the flags of torch.compiler itself.
    answers = set(arguments.answers) & {"onnx-export", "tracing"}
    for how, attempt in attempts:
        try:
            with preserved(model) as state, torch.no_grad(), _quiet(), torch_private.announced_export(answers):
                state.set_mode(arguments.mode)
                return attempt()
        except Exception as error:
            failures.append((how, error))
            if isinstance(error, torch_private.GuardOnDataDependentSymNode):
                break  # which is no matter of how Python is run
    lines = [f"{how}: {_first_lines(error)}" for how, error in failures]
    raise CaptureError(
        "torch.export cannot capture the model\n  " + "\n  ".join(lines),
        hint="TORCH_LOGS=+dynamic has torch.export tell more; another strategy may take the model",
    ) from failures[-1][1]


def _enlarged(arguments: Arguments) -> list[torch.Tensor] | None:
    """Return the example with dynamic sizes below 2 made larger, None where there are none.

    Sizes that are equal stay equal, so that what adds up or broadcasts by them still does where it can; those that
    differ stay different, so that nothing is taken for equal that is not.
    """
    sizes = {int(size) for item in arguments.inputs for size in item.tensor.shape}
    small = sorted(
        {int(item.tensor.shape[axis]) for item in arguments.inputs for axis in item.axes if item.tensor.shape[axis] < 2}
    )
    if not small:
        return None
    unused = (size for size in itertools.count(2) if size not in sizes)
    larger = dict(zip(small, unused, strict=False))
    tensors = []
    for item in arguments.inputs:
        shape = [
            larger.get(int(size), int(size)) if axis in item.axes else int(size)
            for axis, size in enumerate(item.tensor.shape)
        ]
        tensor = item.tensor.detach()
        tensors.append(tensor if shape == list(tensor.shape) else tensor.new_zeros(shape))
    return tensors


def _export(arguments: Arguments, tensors: list[torch.Tensor], *, undecided: bool = True) -> Made:
    flat = _Flat(arguments)
    dynamic = None
    if any(item.axes for item in arguments.inputs):
        dynamic = {"tensors": tuple(_dimensions(arguments, item.axes) for item in arguments.inputs)}
    with torch_private.sizes_undecided() if undecided else contextlib.nullcontext():
        program = torch.export.export(flat, tuple(tensors), dynamic_shapes=dynamic, strict=False)
    return Made(program, "torch.export, non-strict", flat.seen.paths, flat.seen.dropped)


def _all_free(made: Made, arguments: Arguments) -> Made:
    """Refuse a program that was made with other sizes than the example's and has one of them as a constant."""
    nodes = [node for node in made.program.graph.nodes if node.op == "placeholder"][-len(arguments.inputs) :]
    sizes = Sizes()
    Guards(made.program, nodes).fix(sizes)
    for node, item in zip(nodes, arguments.inputs, strict=True):
        for axis, name in item.axes.items():
            if sizes.expression(node.meta["val"].shape[axis]).is_number:
                raise CaptureError(f"axis '{name}' of '{item.name}' becomes a constant")
    return made


def _export_strict(arguments: Arguments, tensors: list[torch.Tensor]) -> Made:
    # One tensor object for each input: what is said of shapes goes by the object.
    tensors = [tensor.clone() for tensor in tensors]
    args, kwargs = arguments.call(tensors)
    shapes = ShapesCollection()
    for tensor, item in zip(tensors, arguments.inputs, strict=True):
        if item.axes:
            shapes[tensor] = _dimensions(arguments, item.axes)
    model = arguments.model
    module = model if isinstance(model, torch.nn.Module) else _Function(model)
    free = any(item.axes for item in arguments.inputs)
    dynamic = shapes.dynamic_shapes(module, args, kwargs) if free else None
    with torch_private.sizes_undecided():
        program = torch.export.export(module, args, kwargs, dynamic_shapes=dynamic, strict=True)
    return Made(program, "torch.export, strict")


def _dimensions(arguments: Arguments, axes: dict[int, str]) -> dict[int, Any] | None:
    found: dict[int, Any] = {}
    for axis, name in axes.items():
        limits = arguments.ranges.get(name)
        found[axis] = Dim.AUTO if limits is None else Dim.AUTO(min=limits.low, max=limits.high)
    return found or None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings and log lines of PyTorch's back: what matters of them is in the exception. TORCH_LOGS has them.

    What the model itself writes to stderr is shown, but for a failed attempt.
    """
    if os.environ.get("TORCH_LOGS"):
        yield
        return
    written = io.StringIO()
    with unlogged(), warnings.catch_warnings(), contextlib.redirect_stderr(written):
        warnings.simplefilter("ignore")
        yield
    sys.stderr.write(written.getvalue())


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"
