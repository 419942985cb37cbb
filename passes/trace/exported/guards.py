# SPDX-License-Identifier: Apache-2.0
"""What `torch.export` decided on sizes while it made a program, and what the program is therefore limited to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sympy
import torch
from lading.passes import torch_private
from lading.passes.trace.exported.sizes import Sizes
from lading.passes.trace.sources import users_path
from torch.export import ExportedProgram

_SIZE = re.compile(r"L(?:\[(?:'[^']*'|\d+)\]|\.(?!size\(\))\w+)+\.size\(\)\[\d+\]")
_NUMBER = re.compile(r"-?\d+")


class Guards:
    """The guards of one program, over the sizes of its inputs.

    Args:
        program: the program.
        inputs: its user inputs, in order.
    """

    def __init__(self, program: ExportedProgram, inputs: Sequence[torch.fx.Node]) -> None:
        self._conditions = torch_private.guard_code(program)
        shape_env = torch_private.shape_env_of(inputs)
        self._lines = _lines(shape_env, len(self._conditions))
        self._sizes = {**_by_name(inputs), **torch_private.sizes_by_source(shape_env)}

    def fix(self, sizes: Sizes) -> None:
        """Make constants of the symbols that the program takes for constants though its inputs still show them."""
        for condition, line in zip(self._conditions, self._lines, strict=True):
            left, equals, right = condition.partition(" == ")
            expression = self._sizes.get(left)
            if equals and isinstance(expression, sympy.Symbol) and _NUMBER.fullmatch(right):
                sizes.fix(expression, int(right), line)

    def state(self, sizes: Sizes) -> None:
        """State the others as limits, in the names of the axes."""
        for condition, line in zip(self._conditions, self._lines, strict=True):
            found = {text: self._sizes[text] for text in _SIZE.findall(condition) if text in self._sizes}
            if found and not any(sizes.is_fixed(expression) for expression in found.values()):
                sizes.rely_on_text(_named(condition, found, sizes), line)


def _named(condition: str, found: Mapping[str, sympy.Basic], sizes: Sizes) -> str:
    return _SIZE.sub(lambda text: _shown(text[0], found, sizes), condition)


def _shown(text: str, found: Mapping[str, sympy.Basic], sizes: Sizes) -> str:
    expression = found.get(text)
    if expression is None:
        return text
    shown = sizes.text(expression)
    return shown if expression.is_Symbol or expression.is_number else f"({shown})"


def _by_name(inputs: Sequence[torch.fx.Node]) -> dict[str, sympy.Basic]:
    """Return the sizes of inputs by the ways in which guards call them, for a program that came from a file."""
    sizes: dict[str, sympy.Basic] = {}
    for index, node in enumerate(inputs):
        fake: Any = node.meta.get("val")
        if isinstance(fake, torch.Tensor):
            for axis, size in enumerate(fake.shape):
                expression = sympy.Integer(size) if isinstance(size, int) else size.node.expr
                sizes[f"L['{node.name}'].size()[{axis}]"] = expression
                sizes[f"L['flat_args'][{index}].size()[{axis}]"] = expression
    return sizes


def _lines(shape_env: Any, count: int) -> list[str]:
    """Return the user's line for each guard; "" where it is not known, as after loading from a file."""
    lines = []
    for guard in getattr(shape_env, "guards", ()):
        frame = getattr(getattr(guard, "sloc", None), "framework_loc", None)
        path = users_path(getattr(frame, "filename", "<"))
        lines.append(f"{path}:{frame.lineno}" if path and frame is not None else "")
    return lines if len(lines) == count else [""] * count
