# SPDX-License-Identifier: Apache-2.0
"""A new recipe does what its parent does, with its values in comments and with the marks taken off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lading.passes import BUILTIN
from lading.pipeline.recipe import load_recipe, shipped_recipes
from lading.pipeline.recipe_start import recipe_start
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import resolve

MARKED = re.compile(r"^#(?=\[|[\w-]+ = )", re.MULTILINE)


@pytest.mark.parametrize("unmarked", [False, True])
@pytest.mark.parametrize("name", shipped_recipes())
def test_it_resolves_to_the_hash_of_its_parent(name: str, unmarked: bool, tmp_path: Path) -> None:
    registry = Registry(BUILTIN, entry_points=False)
    parent = resolve(load_recipe(name), registry)
    text = recipe_start("mine", parent, name)
    path = tmp_path / "mine.toml"
    path.write_text(MARKED.sub("", text) if unmarked else text, encoding="utf-8")
    made = load_recipe(path)
    assert parent.hash == resolve(made, registry).hash
    assert unmarked == ("recipe" in {setting.source for setting in made.steps["lower"].values()})


def test_every_option_has_its_help_above_it() -> None:
    text = recipe_start("mine", resolve(load_recipe("inference"), Registry(BUILTIN, entry_points=False)), "inference")
    lines = text.splitlines()
    place = lines.index("#size_limit = 1048576")
    assert lines[place - 1].startswith("# Bytes by which")
