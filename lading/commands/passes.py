# SPDX-License-Identifier: Apache-2.0
"""``lading passes``: the passes, with their documentation, facts and options."""

from __future__ import annotations

from typing import Annotated

import typer

from .answers import AsFormat, Format, say, say_json


def passes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this pass.")] = None,
    format: AsFormat = Format.text,
) -> None:
    """List the passes, or show one with its documentation, facts and options."""
    from ..passes import BUILTIN
    from ..pipeline.registry import Registry
    from ..pipeline.render import option_rows, pass_text

    registry = Registry(BUILTIN)
    if name is not None:
        found = registry.find(name)
        if format is Format.json:
            declaration = found.declaration
            say_json(
                {
                    "name": declaration.name,
                    "about": declaration.about,
                    "doc": declaration.doc,
                    "requires": [str(fact) for fact in declaration.requires],
                    "provides": [str(fact) for fact in declaration.provides],
                    "closes": [str(fact) for fact in declaration.closes],
                    "options": option_rows(found),
                }
            )
        else:
            say(pass_text(found))
        return
    about = {known: registry.declaration(known).about for known in registry.names()}
    if format is Format.json:
        say_json(about)
        return
    width = max(len(known) for known in about)
    say("\n".join(f"{known:<{width}}  {line}" for known, line in about.items()))
