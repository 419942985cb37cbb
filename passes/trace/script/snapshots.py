# SPDX-License-Identifier: Apache-2.0
"""What a body of control flow changes outside of itself: tensors written in place, lists, dicts and attributes.

TorchScript passes changed variables out of a block by name, but a block may also write into what it finds: `x[0] = 1`
on a tensor of the caller's, `outputs.append(y)`, `self.count += 1`. A snapshot is taken before a body runs; afterwards
it tells what has changed, and puts everything back, for the other branch, the next trial, or the code that follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lading.passes import torch_private
from lading.passes.trace.script.values import List, ModuleObject, Record, tensors_in

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


class Snapshot:
    """The state of everything that the running calls can reach."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self.tensors: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.lists: list[tuple[List, Any]] = []
        self.dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self.objects: list[tuple[ModuleObject | Record, dict[str, Any]]] = []
        seen: set[int] = set()
        for root in self._roots():
            for found in tensors_in(root, seen):
                if isinstance(found, torch.Tensor):
                    if torch_private.is_functional(found):
                        self.tensors.append((found, torch_private.unwrap_functional(found)))
                elif isinstance(found, List):
                    self.lists.append((found, found.state))
                elif isinstance(found, dict):
                    self.dicts.append((found, dict(found)))
                else:
                    self.objects.append((found, dict(found.written)))

    def _roots(self) -> list[Any]:
        roots: list[Any] = list(self._interpreter.roots)
        for frame in self._interpreter.frames:
            roots.extend(frame.variables.values())
        return roots

    def written_tensors(self) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Return the tensors that were written: the tensor, what it was, what it is."""
        changed = []
        recorder = self._interpreter.recorder
        for tensor, before in self.tensors:
            now = torch_private.unwrap_functional(tensor)
            # A tensor that was put back is another fake tensor for the same value of the graph.
            if now is not before and recorder.value_of(now) is not recorder.value_of(before):
                changed.append((tensor, before, now))
        return changed

    def changed_lists(self) -> list[tuple[List, Any, Any]]:
        """Return the lists that were changed: the list, its state before, its state now."""
        return [(subject, before, subject.state) for subject, before in self.lists if subject.state is not before]

    def changed_dicts(self) -> list[tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]]:
        """Return the dicts that were changed, as `changed_lists` does."""
        return [
            (subject, before, dict(subject))
            for subject, before in self.dicts
            if subject.keys() != before.keys() or any(subject[key] is not before[key] for key in before)
        ]

    def changed_attributes(self) -> list[tuple[ModuleObject | Record, str, Any, Any]]:
        """Return the attributes that were set: the object, the name, the value before and now."""
        changed = []
        for subject, before in self.objects:
            for name, value in subject.written.items():
                if name not in before or before[name] is not value:
                    held = before.get(name, _UNSET)
                    if held is _UNSET and isinstance(subject, ModuleObject):
                        held = self._original(subject, name)
                    changed.append((subject, name, held, value))
        return changed

    def _original(self, subject: ModuleObject, name: str) -> Any:
        written = subject.written.pop(name)
        try:
            return self._interpreter.attribute(subject, name)
        finally:
            subject.written[name] = written

    def put_back(self) -> None:
        """Undo every change."""
        rebind(self._interpreter, [(tensor, before) for tensor, before, _ in self.written_tensors()])
        for subject, state in self.lists:
            subject.state = state
        for content, before in self.dicts:
            content.clear()
            content.update(before)
        for holder, attributes in self.objects:
            holder.written.clear()
            holder.written.update(attributes)


_UNSET = object()


def rebind(interpreter: Interpreter, changes: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Let functional tensors stand for other fake tensors from now on, aliases of theirs too, and record nothing.

    Every tensor whose content changes must be among `changes`: views are told their new content like their base.
    """
    recorder = interpreter.recorder
    values = [(tensor, recorder.value_of(inner)) for tensor, inner in changes]
    with recorder.quiet():
        for tensor, inner in changes:
            if not _overlaps(tensor):
                torch_private.replace_functional(tensor, inner)
        for tensor, value in values:
            recorder.bind(torch_private.unwrap_functional(tensor), value)


def _overlaps(tensor: torch.Tensor) -> bool:
    """Whether a tensor is an expanded view, which cannot be written itself: its base tells it its content."""
    return any(
        stride == 0 and not (isinstance(size, int) and size == 1)
        for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
