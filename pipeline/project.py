# SPDX-License-Identifier: Apache-2.0
"""A project's defaults for the command line: the table `[tool.lading]` of the nearest pyproject.toml."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from .errors import RecipeError, did_you_mean
from .recipe import Lines, Setting, fit_setting, key_of, read_toml

FILE = "pyproject.toml"
KEYS = ("recipe", "recipe-folders", "set")
_TABLE = ("tool", "lading")


@attrs.frozen(kw_only=True)
class Project:
    """What a project says about its exports.

    `file` is how messages name its file; `recipe` the recipe that is taken where none is named, a name or a path;
    `folders` hold recipes that go by name; `values` are settings by dotted key, which go over those of any recipe.
    """

    file: str
    recipe: str | None = None
    folders: tuple[Path, ...] = ()
    values: Mapping[str, Setting] = attrs.field(factory=dict)

    def without_values(self) -> Project:
        """The same project, which gives recipes by name and no values."""
        return attrs.evolve(self, values={})


def find_project(start: Path | None = None) -> Project | None:
    """The project around a folder (the working directory): that of the nearest pyproject.toml with `[tool.lading]`.

    Raises:
        RecipeError: that table, or a pyproject.toml on the way, cannot be read.  The message has file, line and key.
    """
    folder = (Path.cwd() if start is None else start).resolve()
    for place in (folder, *folder.parents):
        path = place / FILE
        # Most projects have no such table, and other people's files are none of ours to judge.
        if _mentions_lading(path):
            # Where messages and logs say a value is from; the folders above are nobody's business.
            file = Path(os.path.relpath(path)).as_posix()
            document, lines = read_toml(path, file, what=FILE)
            tool = document.get("tool")
            if isinstance(tool, dict) and "lading" in tool:
                return _project(tool["lading"], Path(os.path.relpath(path.parent)), file, lines)
    return None


def _mentions_lading(path: Path) -> bool:
    try:
        return b"lading" in path.read_bytes()
    except OSError:
        # There is none, or it is not for us to read.
        return False


def _project(table: Any, folder: Path, file: str, lines: Lines) -> Project:
    if not isinstance(table, dict):
        where = lines.place(file, _TABLE[:1], _TABLE[1])
        raise RecipeError("'tool.lading' is not a table", where=where, hint="[tool.lading] on a line of its own")
    for key in table:
        if key.replace("_", "-") not in KEYS:
            where = lines.place(file, _TABLE, key)
            raise RecipeError(f"unknown key '{key}' in [tool.lading]", where=where, hint=did_you_mean(key, KEYS))
    written = {key.replace("_", "-"): (key, value) for key, value in table.items()}

    def fitted(name: str, kind: Any) -> Any:
        key, value = written[name]
        return fit_setting(value, kind, f"tool.lading.{key}", lines.place(file, _TABLE, key))

    recipe = None
    if "recipe" in written:
        recipe = fitted("recipe", str)
        if recipe.endswith(".toml") or "/" in recipe:
            recipe = str(folder / recipe)
    folders = []
    for name in fitted("recipe-folders", tuple[str, ...]) if "recipe-folders" in written else ():
        if not (folder / name).is_dir():
            where = lines.place(file, _TABLE, written["recipe-folders"][0])
            raise RecipeError(f"tool.lading.recipe-folders: no folder '{name}'", where=where)
        folders.append(folder / name)
    return Project(file=file, recipe=recipe, folders=tuple(folders), values=dict(_values(table, file, lines)))


def _values(table: Mapping[str, Any], file: str, lines: Lines) -> Iterator[tuple[str, Setting]]:
    steps = table.get("set", {})
    where = lines.place(file, (*_TABLE, "set"), "")
    if not isinstance(steps, dict):
        raise RecipeError("tool.lading.set is not a table", where=where, hint="[tool.lading.set.fold-constants]")
    for step, values in steps.items():
        place = lines.place(file, (*_TABLE, "set"), step)
        if not isinstance(values, dict):
            whole = "." in step
            hint = f"without the quotes: {step} = ..." if whole else f"a step and an option: {step}.enabled = false"
            raise RecipeError(f"tool.lading.set.{step} does not name an option", where=place, hint=hint)
        for key, value in values.items():
            place = lines.place(file, (*_TABLE, "set", step), key)
            yield f"{step}.{key_of(key)}", Setting(value, "override", place)
