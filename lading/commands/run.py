# SPDX-License-Identifier: Apache-2.0
"""``lading run``: an unchanged program, every export of which goes through lading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .answers import Recipe, Settings

CONTEXT = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""What follows the program's name belongs to the program."""


def run(
    command: Annotated[
        list[str], typer.Argument(metavar="-- PROGRAM [ARGUMENT]...", help="python FILE, -m MODULE, or a program.")
    ],
    recipe: Recipe = "drop-in",
    settings: Settings = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the audit of each export in a file of its own.")
    ] = None,
    verify: Annotated[
        bool | None, typer.Option("--verify/--no-verify", help="Run each file and compare it with PyTorch.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done; PyTorch's own exporter does it.")
    ] = False,
) -> None:
    """Run a program, and let every torch.onnx.export in it go through lading.

    The program is not changed, and neither are its output and its exit code. Python processes that it starts are
    covered too. At its end, a table of the exports is printed on stderr.
    """
    from ..takeover.processes import run_program
    from ..takeover.serving import check_terms
    from ..takeover.table import print_exports
    from ..takeover.terms import Terms

    terms = Terms(recipe=recipe, settings=settings or (), log=log, verify=verify, dry_run=dry_run)
    check_terms(terms)
    ran = run_program(command, terms)
    print_exports(ran.exports)
    raise typer.Exit(ran.code)
