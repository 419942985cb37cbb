# SPDX-License-Identifier: Apache-2.0
"""``lading reduce``: the smallest piece of a model whose export still fails."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .answers import MODEL, AsFormat, Format, ProjectRecipe, Settings, say, say_json


def reduce(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the piece goes.")],
    recipe: ProjectRecipe = None,
    settings: Settings = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="SPEC", help="As for lading export.")
    ] = None,
    opset: Annotated[int | None, typer.Option(help="The opset of the file; overrides the recipe.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="For how long pieces are tried.")] = 120.0,
    format: AsFormat = Format.text,
) -> None:
    """Shrink an export that fails, or whose file departs from eager, to the smallest piece that still does.

    Leaves with 0 where a piece was found; the command that it names leaves as the export did.
    """
    from ..input_specs import named_call, parse_input
    from ..model_reference import load_model
    from ..reducing import reduce as run_reduce

    specs = [parse_input(text) for text in inputs or ()]
    named = load_model(model)
    call = named_call(named, specs)
    overrides = call.overrides()
    if opset is not None:
        overrides["target.opset"] = opset
    found = run_reduce(
        named.model,
        (*call.args, {}),
        output,
        kwargs=call.kwargs,
        recipe=recipe,
        overrides=overrides,
        settings=settings or (),
        seconds=seconds,
        reload=named.factory,
        reference=model,
    )
    if format is Format.json:
        say_json(found.to_dict())
    else:
        say(found.text())
