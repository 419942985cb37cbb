# SPDX-License-Identifier: Apache-2.0
"""TorchScript graphs, read once into plain objects: the steps of a block with names, schema, blocks and source line."""

from __future__ import annotations

import os
import re
from typing import Any

import attrs
import torch
from lading.passes.trace.sources import readable_path

_SCHEMA_NAME = re.compile(r"^([\w.]+::[\w.]*?\w+?)(?:\.(\w+))?\(")
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
_TORCH = os.path.join(os.path.dirname(os.path.abspath(torch.__file__)), "")
_MANGLED = re.compile(r"___torch_mangle_\d+\.")


@attrs.define(eq=False)
class Step:
    """One node of a TorchScript graph.

    Attributes:
        kind: `aten::add`, `prim::If`, ...
        overload: the name of the schema's overload, "" for none; None for a node without a schema.
        on_tensors: whether the schema takes tensors.
        mutates: whether the schema writes into an argument.
        source: "path.py:line" of the user's code, "" for a line of PyTorch's.
    """

    node: Any
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    overload: str | None
    on_tensors: bool
    mutates: bool
    blocks: tuple[Program, ...]
    source: str
    constant: Any = None


@attrs.define(eq=False)
class Program:
    """A block: what it takes, what it does, what it gives."""

    inputs: tuple[str, ...]
    steps: list[Step]
    outputs: tuple[str, ...]
    mutates: bool


def program_of(block: Any) -> Program:
    """Read a graph or a block of a graph."""
    steps = [_step(node) for node in block.nodes()]
    return Program(
        tuple(value.debugName() for value in block.inputs()),
        steps,
        tuple(value.debugName() for value in block.outputs()),
        any(step.mutates or any(inner.mutates for inner in step.blocks) for step in steps),
    )


_ALWAYS_MUTATE = frozenset({"prim::CallMethod", "prim::CallFunction", "prim::SetAttr", "prim::forkClosure"})


def _step(node: Any) -> Step:
    kind = node.kind()
    schema = node.schema()
    overload: str | None = None
    on_tensors = mutates = False
    if schema != "(no schema)":
        found = _SCHEMA_NAME.match(schema)
        overload = (found.group(2) or "") if found is not None else ""
        arguments = schema.partition("->")[0]
        on_tensors = "Tensor" in arguments
        mutates = "!)" in arguments
    return Step(
        node,
        kind,
        tuple(value.debugName() for value in node.inputs()),
        tuple(value.debugName() for value in node.outputs()),
        overload,
        on_tensors,
        mutates or kind in _ALWAYS_MUTATE,
        tuple(program_of(block) for block in node.blocks()),
        _source(node.sourceRange()),
    )


def _source(text: str) -> str:
    found = _PLACE.search(text)
    if found is None or found.group(1).startswith((_TORCH, "<")):
        return ""
    return f"{readable_path(found.group(1))}:{found.group(2)}"


def class_name(qualified: str) -> str:
    """Return the class name in a TorchScript type's qualified name."""
    return _MANGLED.sub("", qualified).rpartition(".")[2]
