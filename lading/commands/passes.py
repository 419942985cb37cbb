# SPDX-License-Identifier: Apache-2.0
"""``lading passes``: the passes, with their documentation, facts and options."""

from __future__ import annotations

from typing import Annotated

import typer

from .answers import AsFormat, Format, ShownByName, say, say_json

passes = typer.Typer(cls=ShownByName, help="List the passes, or show one with its documentation, facts and options.")


@passes.callback(invoke_without_command=True)
def listed(context: typer.Context, format: AsFormat = Format.text) -> None:
    """List the passes, or show one with its documentation, facts and options."""
    from ..passes import BUILTIN
    from ..pipeline.registry import Registry

    if context.invoked_subcommand is not None:
        return
    registry = Registry(BUILTIN)
    about = {known: registry.declaration(known).about for known in registry.names()}
    if format is Format.json:
        say_json(about)
        return
    width = max(len(known) for known in about)
    say("\n".join(f"{known:<{width}}  {line}" for known, line in about.items()))


@passes.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A pass by its name, 'module:Class' or 'file.py:Class'.")],
    format: AsFormat = Format.text,
) -> None:
    """Show a pass: what it does and when it declines, a graph before and after, its facts and options."""
    from ..passes import BUILTIN
    from ..pipeline.registry import Registry
    from ..pipeline.render import pass_data, pass_text

    found = Registry(BUILTIN).find(name)
    if format is Format.json:
        say_json(pass_data(found))
    else:
        say(pass_text(found))
