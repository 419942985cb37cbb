# SPDX-License-Identifier: Apache-2.0
"""Which module and which of the user's lines a node of an exported program comes from."""

from __future__ import annotations

import re
from typing import Any

import torch
from lading.passes.trace.sources import LAYERS, readable_path, users_path
from lading.pipeline.origin import NOWHERE, Origin

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_CALL_COUNT = re.compile(r"@\d+")
_LINES: dict[str, str] = {}


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


def origin_of(node: torch.fx.Node, *, wrapped: bool = False) -> Origin:
    """Return the origin of what a node computes.

    Args:
        node: the node.
        wrapped: the user's model is a member of the module that was exported, which is none of the user's.
    """
    path, kind = _module(node.meta.get("nn_module_stack") or {})
    if wrapped:
        kind = kind if path else ""
        path = path.partition(".")[2]
    source = line_of(node)
    return Origin(path, kind, source) if path or kind or source else NOWHERE


def _module(stack: dict[str, Any]) -> tuple[str, str]:
    for path, kind in reversed(list(stack.values())):
        if path.startswith("_empty_nn_module_stack"):
            continue
        name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
        return _CALL_COUNT.sub("", path), name.rpartition(".")[2]
    return "", ""
