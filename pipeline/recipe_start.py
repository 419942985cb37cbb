# SPDX-License-Identifier: Apache-2.0
"""The text of a new recipe file: everything that its parent says, as comments to take the mark off."""

from __future__ import annotations

from typing import Any

from .declare import OPTION_METADATA
from .plain import to_plain, toml_key, toml_value
from .resolve import ResolvedGroup, ResolvedRecipe, ResolvedStep


def recipe_start(name: str, parent: ResolvedRecipe, extends: str) -> str:
    """A recipe called `name` that extends `parent` and does the same, with each value of it in a comment.

    `extends` is how the new file names the parent.  Without the first `#` of the lines `#[…]` and `#key = …`, it still
    does the same.
    """
    lines = [
        "# Editors complete and check this file once they have its schema:",
        "#     lading recipes schema > recipe.schema.json",
        "# and this line, without the first mark, at the top:",
        "##:schema ./recipe.schema.json",
        "",
        "[recipe]",
        f"name = {toml_value(name)}",
        'about = "What it is for, in one line"',
        f"extends = {toml_value(extends)}",
        "",
        f"# Below stands what {parent.name} says. Take the mark off a table and a value to say something else.",
        "",
        "#[target]",
        f"#opset = {toml_value(parent.opset.value)}",
        f"#custom_opsets = {toml_value(to_plain(parent.custom_opsets.value))}",
    ]
    for entry in parent.entries:
        if isinstance(entry, ResolvedGroup):
            lines += ["", "# Repeats its members, in this order, until they change nothing."]
            lines.append(f"#[step.{toml_key(entry.id)}]")
            lines.append(f"#until-stable = {toml_value([member.id for member in entry.members])}")
            lines += [f"#rounds = {entry.rounds}", f"#enabled = {toml_value(entry.enabled)}"]
    for step in parent.steps():
        lines += _step(step)
    return "\n".join(lines) + "\n"


def _step(step: ResolvedStep) -> list[str]:
    lines = ["", f"# {step.declaration.about}", f"#[step.{toml_key(step.id)}]"]
    if step.reference != step.id:
        lines.append(f"#pass = {toml_value(step.reference)}")
    lines.append(f"#enabled = {toml_value(step.enabled)}")
    for field in type(step.made).__attrs_attrs__:
        declared: Any = field.metadata.get(OPTION_METADATA)
        if declared is None or declared.in_recipe:
            lines += [f"# {declared.help}"] if declared is not None else []
            lines.append(f"#{toml_key(field.name)} = {toml_value(to_plain(step.settings[field.name].value))}")
    return lines
