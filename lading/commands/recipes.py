# SPDX-License-Identifier: Apache-2.0
"""``lading recipes``: the shipped recipes, and where each value of one comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from .answers import AsFormat, Format, Settings, resolved_recipe, say, say_json


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this recipe, resolved.")] = None,
    settings: Settings = None,
    format: AsFormat = Format.text,
) -> None:
    """List the shipped recipes, or show one with every value and where it came from."""
    from ..pipeline.recipe import load_recipe, shipped_recipes
    from ..pipeline.render import recipe_text

    if name is not None:
        resolved, _ = resolved_recipe(name, settings)
        if format is Format.json:
            say_json(resolved.to_dict())
        else:
            say(recipe_text(resolved))
        return
    about = {shipped: load_recipe(shipped).about for shipped in shipped_recipes()}
    if format is Format.json:
        say_json(about)
        return
    width = max(len(shipped) for shipped in about)
    say("\n".join(f"{shipped:<{width}}  {line}" for shipped, line in about.items()))
