# SPDX-License-Identifier: Apache-2.0
"""Which module and which of the user's lines a node of an exported program comes from."""

from __future__ import annotations

import re
from typing import Any

import torch
from lading.passes.trace.sources import LAYERS, readable_path, users_path
from lading.pipeline.origin import NOWHERE, ModuleCall, Origin

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_CALL_COUNT = re.compile(r"@\d+")
_LINES: dict[str, str] = {}

_BODY_ROOT = "_export_root"
"""What TorchDynamo calls the model in the bodies of control flow, which have it on their stack a second time."""
_NOTHING = "_empty_nn_module_stack"
"""How the path begins of what stands on the stack in place of a module."""


def line_of(node: torch.fx.Node) -> str:
    """Return "path.py:line" of the user's innermost line in a node's stack trace, else of PyTorch's layer, else ""."""
    return _line(node.meta.get("stack_trace") or "")


def _line(trace: str) -> str:
    known = _LINES.get(trace)
    if known is None:
        layer = ""
        known = ""
        for filename, number in reversed(_FRAME.findall(trace)):
            path = users_path(filename)
            if path:
                known = f"{path}:{number}"
                break
            if not layer and filename.startswith(LAYERS):
                layer = f"{readable_path(filename)}:{number}"
        known = _LINES[trace] = known or layer
    return known


class ProgramPlaces:
    """Gives the nodes of one program their origins, and each call of a module one object.

    A node's module stack has a key for every module that runs, with a number behind it from the second call on.

    Args:
        wrapped: the user's model is a member of the module that was exported, which is none of the user's.
    """

    def __init__(self, *, wrapped: bool) -> None:
        self._wrapped = wrapped
        self._calls: dict[tuple[str, ...], ModuleCall] = {}

    def origin_of(self, node: torch.fx.Node) -> Origin:
        """Return the origin of what a node computes."""
        call = self._call(node.meta.get("nn_module_stack") or {})
        source = line_of(node)
        if call is not None:
            return Origin(call.module, call.module_class, source, call=call)
        return Origin("", "", source) if source else NOWHERE

    def _call(self, stack: dict[str, Any]) -> ModuleCall | None:
        call: ModuleCall | None = None
        keys: tuple[str, ...] = ()
        # What is first on the stack of a wrapped model is what wraps it.
        for key, (path, kind) in list(stack.items())[int(self._wrapped) :]:
            if path == _BODY_ROOT or path.startswith(_NOTHING):
                continue
            keys = (*keys, key)
            known = self._calls.get(keys)
            if known is None:
                name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
                known = self._calls[keys] = ModuleCall(self._path(path), name.rpartition(".")[2], "", call)
            call = known
        return call

    def _path(self, path: str) -> str:
        path = _CALL_COUNT.sub("", path)
        return path.partition(".")[2] if self._wrapped else path.removeprefix(_BODY_ROOT).removeprefix(".")
