# SPDX-License-Identifier: Apache-2.0
"""``lading plan``: what a recipe will run, before anything runs."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from .answers import Settings, resolved_recipe, say, say_json


class PlanFormat(str, Enum):
    """How a plan is printed."""

    text = "text"
    json = "json"
    mermaid = "mermaid"


def plan(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe or a recipe file.")] = "inference",
    settings: Settings = None,
    format: Annotated[PlanFormat, typer.Option("--format", help="text, json or mermaid.")] = PlanFormat.text,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="The same as --format mermaid.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show what a recipe will run, in which order, and why in that order; nothing is run."""
    from ..pipeline import render
    from ..pipeline.plan import make_plan

    resolved, registry = resolved_recipe(recipe, settings)
    made = make_plan(resolved, registry)
    if as_json or format is PlanFormat.json:
        say_json(render.plan_data(made))
    elif mermaid or format is PlanFormat.mermaid:
        say(render.plan_mermaid(made))
    else:
        say(render.plan_text(made))
