# SPDX-License-Identifier: Apache-2.0
"""``lading audit``: what each pass of a run changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..pipeline.errors import UsageError
from .answers import AsFormat, Format, say, say_json


def audit(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log that lading export --log wrote.")],
    run: Annotated[int, typer.Option(help="Which run of the log, from the last: -1, -2, ...")] = -1,
    format: AsFormat = Format.text,
) -> None:
    """Show what each pass of a run changed."""
    from ..pipeline.audit import read_log
    from ..pipeline.render import audit_table, audit_text

    runs = read_log(log)
    if not runs:
        raise UsageError(f"{log} holds no run", hint="lading export ... --log FILE writes one")
    try:
        events = runs[run]
    except IndexError as error:
        raise UsageError(f"{log} holds {len(runs)} runs, not run {run}", hint="--run -1 is the last") from error
    if format is Format.json:
        say_json(events)
    elif sys.stdout.isatty():
        Console().print(audit_table(events))
    else:
        say(audit_text(events))
