# SPDX-License-Identifier: Apache-2.0
"""``lading batch``: the exports of a file, in parallel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .answers import AsFormat, Format, Interrupted, say, say_json, stderr_console


def batch(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A file of exports: exports.toml.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, whose workers do the exports.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Processes; by default one for each processor.")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="PATTERN", help='Exports by name: "resnet/*".')] = None,
    again: Annotated[bool, typer.Option("--again", help="Export although nothing has changed.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a file of exports.")] = False,
    format: AsFormat = Format.text,
) -> None:
    """Export every model of FILE with each of its recipes and opsets.

    What is exported already, from the same model, recipe and versions, is left as it is; so a batch that was
    interrupted goes on where it ended. Leaves with 0 where every file is there, else as the first export that failed.
    """
    if schema:
        from ..batch.file import batch_schema_text

        say(batch_schema_text())
        return
    from ..batch import Batch, run_batch
    from ..batch.board import Board
    from ..batch.job import Result, counted
    from ..pipeline.errors import UsageError

    if file is None:
        raise UsageError("no file of exports is named", hint="lading batch exports.toml")
    console = stderr_console()
    boards: list[Board] = []
    statuses: dict[str, str] = {}

    def begin(found: Batch) -> None:
        statuses.update({job.name: "not done" for job in found.jobs})
        boards.append(Board(found.jobs, console))
        boards[0].__enter__()

    def done(result: Result) -> None:
        statuses[result.job] = result.status
        boards[0].done(result)

    try:
        summary = run_batch(
            file,
            scheduler=scheduler,
            workers=workers,
            only=only,
            again=again,
            on_begin=begin,
            tell=lambda said: boards[0].tell(said),
            on_result=done,
        )
    except KeyboardInterrupt as error:
        how = counted(statuses.values(), ("exported", "unchanged", "failed", "not done"))
        raise Interrupted(f"interrupted: {how}; the same command goes on from there") from error
    finally:
        for board in boards:
            board.__exit__(None, None, None)
    if format is Format.json:
        say_json(summary.to_dict())
    console.print(f"{counted(statuses.values())}: {summary.page}", markup=False, highlight=False)
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)
