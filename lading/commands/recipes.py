# SPDX-License-Identifier: Apache-2.0
"""``lading recipes``: what there is, where each value of one comes from, and a start for another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ..pipeline.errors import UsageError
from ..whole_text import write_whole
from .answers import AsFormat, Format, Settings, ShownByName, resolved_recipe, say, say_json

recipes = typer.Typer(cls=ShownByName, help="List the recipes, show or compare them, or start one of your own.")

Named = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A recipe by its name, or a recipe file.")]


@recipes.callback(invoke_without_command=True)
def listed(context: typer.Context, format: AsFormat = Format.text) -> None:
    """List the recipes, show or compare them, or start one of your own.

    Without a command, the recipes are listed: the shipped ones and those of the project.
    """
    from ..pipeline.project import find_project
    from ..pipeline.recipe import load_recipe, recipes_of, shipped_recipes

    if context.invoked_subcommand is not None:
        return
    project = find_project()
    folders = project.folders if project else ()
    names = sorted({*shipped_recipes(), *recipes_of(folders)})
    about = {name: load_recipe(name, folders=folders).about for name in names}
    if format is Format.json:
        say_json(about)
        return
    width = max(len(name) for name in about)
    say("\n".join(f"{name:<{width}}  {line}" for name, line in about.items()))


@recipes.command()
def show(
    name: Named,
    settings: Settings = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Say of every value, defaults too, where it is from.")
    ] = False,
    flat: Annotated[
        bool, typer.Option("--flat", help="As one recipe file that extends nothing and does the same.")
    ] = False,
    format: AsFormat = Format.text,
) -> None:
    """Show a recipe with what it extends, and where its values come from."""
    from ..pipeline.project import find_project
    from ..pipeline.render import recipe_sources, recipe_text

    found, _ = resolved_recipe(name, settings, find_project())
    if flat and resolved:
        raise UsageError("--flat and --resolved are two forms", hint="take one of them")
    if format is Format.json:
        say_json(recipe_sources(found) if resolved else found.to_dict())
    elif flat:
        say(found.to_toml())
    else:
        say(recipe_text(found, defaults=resolved))


@recipes.command()
def diff(one: Named, other: Named, format: AsFormat = Format.text) -> None:
    """Show which values two recipes have differently, and where each has them from."""
    from ..pipeline.project import find_project
    from ..pipeline.recipe_diff import recipe_difference

    project = find_project()
    found = recipe_difference(resolved_recipe(one, None, project)[0], resolved_recipe(other, None, project)[0])
    if format is Format.json:
        say_json(found.to_dict())
    else:
        say(found.text())


@recipes.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The recipe file to write; it must not exist.")],
    parent: Annotated[str, typer.Option("--from", metavar="NAME|FILE", help="The recipe to start from.")] = "inference",
) -> None:
    """Write a recipe that extends another and does the same, with every value of it in a comment."""
    from ..pipeline.project import find_project
    from ..pipeline.recipe_start import recipe_start

    if file.suffix != ".toml":
        raise UsageError(f"'{file}' does not end in .toml", hint=f"{file}.toml")
    if file.exists():
        raise UsageError("there is a file of this name", where=str(file), hint="take another name, or remove it first")
    project = find_project()
    # The project's own values are no part of the recipe that is extended.
    found, _ = resolved_recipe(parent, None, None if project is None else project.without_values())
    is_path = parent.endswith(".toml") or "/" in parent
    extends = Path(os.path.relpath(parent, file.parent)).as_posix() if is_path else parent
    write_whole(file, recipe_start(file.stem, found, extends))


@recipes.command()
def schema() -> None:
    """Print the JSON Schema of a recipe file, for editors; packages' own passes are in it."""
    from ..passes import BUILTIN
    from ..pipeline.recipe_schema import recipe_schema_text
    from ..pipeline.registry import Registry

    say(recipe_schema_text(Registry(BUILTIN)))
