# SPDX-License-Identifier: Apache-2.0
"""The note pad that a pass writes on while it works.  Pure data; the runner turns it into an audit event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from .origin import origin_of

if TYPE_CHECKING:
    import onnx_ir as ir


@attrs.frozen
class Declined:
    """One place where a pass could have done something and did not; `numbers` are those of the node in the run."""

    node: str
    why: str
    numbers: tuple[int, ...] = ()


@attrs.frozen
class Decided:
    """One decision on record: a baked branch, a fixed axis, a guard, a step down to another strategy."""

    what: str
    why: str
    node: str | None = None
    details: Mapping[str, Any] = attrs.field(factory=dict)
    numbers: tuple[int, ...] = ()


@attrs.frozen
class Warned:
    """Something that the user should know, and that does not stop the run."""

    message: str
    details: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.define
class Note:
    """What a pass reports about one run of it."""

    counts: dict[str, int] = attrs.field(factory=dict)
    declines: list[Declined] = attrs.field(factory=list)
    decisions: list[Decided] = attrs.field(factory=list)
    warnings: list[Warned] = attrs.field(factory=list)

    def count(self, what: str, n: int = 1) -> None:
        """Add `n` to the counter `what`."""
        self.counts[what] = self.counts.get(what, 0) + n

    def declined(self, node: ir.Node | str, why: str) -> None:
        """Record that nothing was done at `node`, and the reason.  Reasons are few: keep numbers and names out."""
        self.declines.append(Declined(_name_of(node), why, _numbers_of(node)))

    def decided(self, what: str, why: str, node: ir.Node | str | None = None, **details: Any) -> None:
        """Record a decision: `what` was chosen, `why`, and at which node, with details that are plain data."""
        name, numbers = (None, ()) if node is None else (_name_of(node), _numbers_of(node))
        self.decisions.append(Decided(what, why, name, details, numbers))

    def warned(self, message: str, **details: Any) -> None:
        """Record a warning, with details that are plain data."""
        self.warnings.append(Warned(message, details))


def _numbers_of(node: ir.Node | str) -> tuple[int, ...]:
    origin = None if isinstance(node, str) else origin_of(node)
    return () if origin is None else origin.numbers


def _name_of(node: ir.Node | str) -> str:
    if isinstance(node, str):
        return node
    operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    label = f"{operator} '{node.name}'" if node.name else operator
    origin = origin_of(node)
    return label if origin is None else f"{label} in {origin}"
