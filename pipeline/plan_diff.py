# SPDX-License-Identifier: Apache-2.0
"""How two plans differ: steps that only one runs, the order, the reasons, and what is skipped."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

import attrs

from .plan import Edge, Plan


@attrs.frozen(kw_only=True)
class PlanDifference:
    """What another plan has that one has not, and the other way round.

    Steps are named by id, those of a group as "group/step". `moved` are steps that both run, at another place among
    those that both run; `changed` gives for a step that both run its spec in each.
    """

    one: Plan
    other: Plan
    removed: tuple[str, ...]
    added: tuple[str, ...]
    moved: tuple[str, ...]
    changed: Mapping[str, tuple[str, str]]
    edges_removed: tuple[Edge, ...]
    edges_added: tuple[Edge, ...]
    skipped: Mapping[str, tuple[str | None, str | None]]

    @property
    def same(self) -> bool:
        """Whether both plans run the same steps in the same order for the same opset."""
        parts = (self.removed, self.added, self.moved, self.changed, self.edges_removed, self.edges_added, self.skipped)
        return not any(parts) and self.one.recipe.opset.value == self.other.recipe.opset.value

    def text(self) -> str:
        """The difference for a terminal."""
        names = self.one.recipe.name, self.other.recipe.name
        if self.same:
            return f"{names[0]} and {names[1]} have the same plan\n"
        lines = [f"{names[0]} -> {names[1]}"]
        opsets = self.one.recipe.opset.value, self.other.recipe.opset.value
        if opsets[0] != opsets[1]:
            lines.append(f"  opset {opsets[0]} -> {opsets[1]}")
        lines += [f"- {step}" for step in self.removed]
        lines += [f"+ {step}" for step in self.added]
        lines += [f"~ {step}: {one} -> {other}" for step, (one, other) in self.changed.items()]
        lines += [f"> {step} has another place in the order" for step in self.moved]
        lines += [f"- {edge.first} before {edge.then}: {edge.why}" for edge in self.edges_removed]
        lines += [f"+ {edge.first} before {edge.then}: {edge.why}" for edge in self.edges_added]
        for step, (one, other) in self.skipped.items():
            lines.append(f"  {step}: {_skipped(one)} -> {_skipped(other)}")
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The difference as plain data."""

        def edges(found: tuple[Edge, ...]) -> list[dict[str, Any]]:
            return [attrs.asdict(edge) for edge in found]

        return {
            "recipes": [self.one.recipe.name, self.other.recipe.name],
            "opsets": [self.one.recipe.opset.value, self.other.recipe.opset.value],
            "removed": list(self.removed),
            "added": list(self.added),
            "moved": list(self.moved),
            "changed": {step: list(specs) for step, specs in self.changed.items()},
            "edges_removed": edges(self.edges_removed),
            "edges_added": edges(self.edges_added),
            "skipped": {step: list(reasons) for step, reasons in self.skipped.items()},
        }


def plan_difference(one: Plan, other: Plan) -> PlanDifference:
    """Compare two plans; what they are called and what they are for takes no part."""
    mine, yours = _specs(one), _specs(other)
    common = [step for step in mine if step in yours]
    there = [step for step in yours if step in mine]
    kept = {
        step
        for block in SequenceMatcher(None, common, there, autojunk=False).get_matching_blocks()
        for step in common[block.a : block.a + block.size]
    }
    reasons = {skip.id: skip.why for skip in one.skipped}, {skip.id: skip.why for skip in other.skipped}
    return PlanDifference(
        one=one,
        other=other,
        removed=tuple(step for step in mine if step not in yours),
        added=tuple(step for step in yours if step not in mine),
        moved=tuple(step for step in common if step not in kept),
        changed={step: (mine[step], yours[step]) for step in common if mine[step] != yours[step]},
        edges_removed=tuple(edge for edge in one.edges if edge not in other.edges),
        edges_added=tuple(edge for edge in other.edges if edge not in one.edges),
        skipped={
            step: (reasons[0].get(step), reasons[1].get(step))
            for step in sorted({*reasons[0], *reasons[1]})
            if reasons[0].get(step) != reasons[1].get(step)
        },
    )


def _specs(plan: Plan) -> dict[str, str]:
    return {
        step.id if node.group is None else f"{node.id}/{step.id}": step.spec
        for node in plan.nodes
        for step in node.steps
    }


def _skipped(why: str | None) -> str:
    return "not skipped" if why is None else f"skipped, {why}"
