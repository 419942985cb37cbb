# SPDX-License-Identifier: Apache-2.0
"""``lading plan``: what a recipe will run, before anything runs."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from ..pipeline.errors import UsageError
from .answers import Settings, resolved_recipe, say, say_json


class PlanFormat(str, Enum):
    """How a plan is printed."""

    text = "text"
    json = "json"
    mermaid = "mermaid"
    svg = "svg"


def plan(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]", help="A recipe by its name, or a recipe file; by default the project's, or inference."
        ),
    ] = None,
    settings: Settings = None,
    diff: Annotated[
        str | None, typer.Option("--diff", metavar="OTHER", help="How the plan of another recipe differs.")
    ] = None,
    format: Annotated[PlanFormat, typer.Option("--format", help="text, json, mermaid or svg.")] = PlanFormat.text,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="The same as --format mermaid.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="The same as --format svg.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show what a recipe will run, in which order, and why in that order; nothing is run."""
    from ..pipeline import render
    from ..pipeline.plan import make_plan
    from ..pipeline.project import find_project

    if mermaid or svg or as_json:
        format = PlanFormat.json if as_json else PlanFormat.svg if svg else PlanFormat.mermaid
    project = find_project()
    resolved, registry = resolved_recipe(recipe, settings, project)
    made = make_plan(resolved, registry)
    if diff is not None:
        from ..pipeline.plan_diff import plan_difference

        if format in (PlanFormat.mermaid, PlanFormat.svg):
            raise UsageError(f"a difference is no {format.value}", hint="--diff with text or --json")
        found = plan_difference(made, make_plan(*resolved_recipe(diff, settings, project)))
        if format is PlanFormat.json:
            say_json(found.to_dict())
        else:
            say(found.text())
    elif format is PlanFormat.json:
        say_json(render.plan_data(made))
    elif format is PlanFormat.mermaid:
        say(render.plan_mermaid(made))
    elif format is PlanFormat.svg:
        from ..pipeline.report.plan_file import plan_file

        say(plan_file(made))
    else:
        say(render.plan_text(made))
