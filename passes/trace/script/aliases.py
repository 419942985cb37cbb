# SPDX-License-Identifier: Apache-2.0
"""Tensors that are one in PyTorch and two in the graph, and the writes that would tell them apart.

Where control flow joins, a value of the graph is made of values: the result of an `if` is neither side's tensor, what a
loop carries is no longer the tensor that it began with, and a list that grows at run time holds copies. As long as
nobody writes in place that makes no difference. When somebody does, the other one of the two has no longer the value
that it has in PyTorch; it is then *stale*, and reading it is an error instead of a wrong number.
"""

from __future__ import annotations

from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.script.values import Items, List, Stack


class Aliases:
    """What is one thing in PyTorch and two in the graph of one capture, and what is stale."""

    def __init__(self) -> None:
        self._pairs: list[tuple[torch.Tensor, torch.Tensor | List]] = []
        self._stale: list[tuple[torch.Tensor, str]] = []

    def add(self, one: torch.Tensor, other: torch.Tensor | List) -> None:
        """Take two to be one in PyTorch, possibly: a tensor and another one, or a tensor and a list that has a copy."""
        views = isinstance(other, torch.Tensor) and torch_private.share_memory(one, other)
        if torch_private.is_functional(one) and not views:
            self._pairs.append((one, other))

    def add_copy(self, one: torch.Tensor, subject: List) -> None:
        """Take a list to hold a copy of a tensor from now on, and of what that tensor may be in PyTorch."""
        also = [a for a, b in self._pairs if b is one]
        also += [b for a, b in self._pairs if a is one and isinstance(b, torch.Tensor)]
        for tensor in (one, *also):
            self.add(tensor, subject)
            if isinstance(subject.state, Stack):
                self.add(tensor, subject.state.tensor)

    def add_members(self, state: Any, subject: List) -> None:
        """Take the tensors of a list's state to be copied by a list from now on."""
        for member in state.members if isinstance(state, Items) else ():
            if isinstance(member, torch.Tensor):
                self.add_copy(member, subject)

    def written(self, tensor: torch.Tensor, line: str) -> None:
        """Note a write in place: what is the same in PyTorch and another in the graph is stale from now on."""
        for one, other in self._pairs:
            if torch_private.share_memory(tensor, one):
                self._spoil(other, line)
            elif isinstance(other, torch.Tensor) and torch_private.share_memory(tensor, other):
                self._spoil(one, line)

    def _spoil(self, subject: torch.Tensor | List, line: str) -> None:
        if isinstance(subject, List):
            subject.stale = line
        elif not any(known is subject for known, _ in self._stale):
            self._stale.append((subject, line))

    def stale(self, value: Any) -> str | None:
        """Return the line of the write that has made a tensor or a list stale, None where it is not."""
        if isinstance(value, List):
            return value.stale
        if not self._stale or not isinstance(value, torch.Tensor) or not torch_private.is_functional(value):
            return None
        return next((line for known, line in self._stale if torch_private.share_memory(value, known)), None)
