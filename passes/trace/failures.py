# SPDX-License-Identifier: Apache-2.0
"""What went wrong while a model ran, said in terms of the user's code."""

from __future__ import annotations

import contextlib
import linecache
import logging
import os
from collections.abc import Callable, Iterator
from types import CodeType, TracebackType

from lading.passes.torch_private import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    GuardOnDataDependentSymNode,
)
from lading.passes.trace.sources import LAYERS, path_of, readable_path
from lading.pipeline.errors import CaptureError, LadingError

_ASKING = (GuardOnDataDependentSymNode, DataDependentOutputException)

_CHOICES = (
    "write the branch with torch.cond or torch.where; or keep it by torch.jit.script(model), the strategy 'script'; "
    "or bake in the example's way: trace.bake_branches = true"
)


def explained(error: Exception, boundary: CodeType, named: Callable[[str], str] = lambda text: text) -> LadingError:
    """Return the error to raise for an exception that came out of the user's model, with the user's line in it.

    Args:
        error: the exception.
        boundary: the code object whose frame calls the user's model.
        named: puts the user's names of axes into PyTorch's words.
    """
    if isinstance(error, LadingError):
        return error
    where = user_place(error.__traceback__, boundary)
    if isinstance(error, _ASKING):
        return asks_for_a_value(where)
    if isinstance(error, DynamicOutputShapeException):
        return CaptureError(
            f"{error.func} has a result whose shape depends on values, and PyTorch cannot tell its symbolic shape",
            where=where,
            hint="use a form with a fixed shape, such as a mask",
        )
    text = str(error).strip().partition("\n")[0]
    if "no fake impl registered" in text:
        operator = (
            text.partition("registered for ")[2].partition(". ")[0].removeprefix("<CustomOpDef(").removesuffix(")>")
        )
        return CaptureError(
            f"PyTorch cannot tell the shape of what {operator} returns without running it",
            where=where,
            hint="register a fake kernel for it, with torch.library.register_fake",
        )
    if "data pointer" in text or "has no storage" in text or ".numpy()" in text:
        return left_pytorch(where)
    return CaptureError(
        f"the model failed on the example arguments: {type(error).__name__}: {named(text)}",
        where=where,
        hint="call the model with the same arguments first; if that works, the line above does what capture cannot",
    )


def is_failure_of_the_model(error: LadingError) -> bool:
    """Whether `explained` has made an error of what the model raised by itself, with tensors that it may have."""
    cause = error.__cause__
    return cause is not None and not isinstance(cause, (*_ASKING, DynamicOutputShapeException, LadingError))


def asks_for_a_value(where: str | None, more: str = "") -> CaptureError:
    """Return the error for Python that asks for a value which only the run knows; `more` says why that matters."""
    return CaptureError(
        "the model's Python asks for the value of a tensor, which is not known before the exported model runs" + more,
        where=where,
        hint=_CHOICES,
    )


def asks_for_a_number(error: LadingError) -> bool:
    """Whether Python has asked for a whole number that only the run knows."""
    cause = error.__cause__
    return isinstance(cause, GuardOnDataDependentSymNode) and cause.cond is not None and not cause.cond.is_Boolean


def left_pytorch(where: str | None) -> CaptureError:
    """Return the error for a model that reads the memory of a tensor."""
    return CaptureError(
        "the model leaves PyTorch: it reads a tensor's memory, which has no values while it is captured",
        where=where or None,
        hint="keep to torch operators on what depends on the inputs (no .numpy(), no data_ptr)",
    )


def user_place(traceback: TracebackType | None, boundary: CodeType) -> str | None:
    """Return "path.py:line: source text" of the innermost line of the user's in a traceback, inside of `boundary`.

    A model that is all layers of PyTorch has no line of the user's: then it is the layer's.
    """
    place = library_place = None
    inside = False
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if inside:
            path = path_of(code)
            line = traceback.tb_lineno
            if path:
                place = _quoted(path, code.co_filename, line)
            elif code.co_filename.startswith(LAYERS):
                library_place = _quoted(readable_path(code.co_filename), code.co_filename, line)
        inside = inside or code is boundary
        traceback = traceback.tb_next
    return place or library_place


def _quoted(path: str, filename: str, line: int) -> str:
    text = linecache.getline(filename, line).strip()
    return f"{path}:{line}" + (f": {text}" if text else "")


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Keep back what PyTorch logs of a failure, whose exception says what matters; with TORCH_LOGS set it is shown."""
    handlers = [] if os.environ.get("TORCH_LOGS") else _handlers_of_torch()
    for handler in handlers:
        handler.addFilter(_nothing)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _handlers_of_torch() -> list[logging.Handler]:
    found: dict[int, logging.Handler] = {}
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "torch" and isinstance(logger, logging.Logger):
            found.update((id(handler), handler) for handler in logger.handlers)
    return list(found.values())
