# SPDX-License-Identifier: Apache-2.0
"""How two resolved recipes differ, value by value, with where each value came from."""

from __future__ import annotations

from typing import Any

import attrs

from .plain import to_plain, toml_value
from .recipe import Setting
from .resolve import ResolvedRecipe


@attrs.frozen
class ValueChange:
    """A value that two recipes have differently; None stands for a recipe that has no such key."""

    key: str
    one: Setting | None
    other: Setting | None


@attrs.frozen
class RecipeDifference:
    """The values by which one recipe differs from another, by dotted key."""

    one: ResolvedRecipe
    other: ResolvedRecipe
    changes: tuple[ValueChange, ...]

    def text(self) -> str:
        """The difference for a terminal: a line for each value, and where each side has it from."""
        if not self.changes:
            return f"{self.one.name} and {self.other.name} do the same\n"
        lines = [f"{self.one.name} -> {self.other.name}"]
        for change in self.changes:
            lines.append(f"{change.key}: {_shown(change.one)} -> {_shown(change.other)}")
            for recipe, setting in ((self.one, change.one), (self.other, change.other)):
                if setting is not None:
                    lines.append(f"    {recipe.name}: {setting.where}")
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The difference as plain data."""
        return {
            "recipes": [self.one.name, self.other.name],
            "hashes": [self.one.hash, self.other.hash],
            "changes": [
                {"key": change.key, "one": _plain(change.one), "other": _plain(change.other)} for change in self.changes
            ],
        }


def recipe_difference(one: ResolvedRecipe, other: ResolvedRecipe) -> RecipeDifference:
    """Compare what two recipes do; names, descriptions and what they extend take no part."""
    mine, yours = one.sources(), other.sources()
    changes = []
    for key in sorted({*mine, *yours}, key=lambda key: (not key.startswith("target."), key)):
        pair = mine.get(key), yours.get(key)
        if pair[0] is None or pair[1] is None or to_plain(pair[0].value) != to_plain(pair[1].value):
            changes.append(ValueChange(key, *pair))
    return RecipeDifference(one, other, tuple(changes))


def _shown(setting: Setting | None) -> str:
    return "(not there)" if setting is None else toml_value(to_plain(setting.value))


def _plain(setting: Setting | None) -> dict[str, Any] | None:
    if setting is None:
        return None
    return {"value": to_plain(setting.value), "source": setting.source, "where": setting.where}
