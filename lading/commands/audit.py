# SPDX-License-Identifier: Apache-2.0
"""``lading audit``: what each pass of a run changed, what became of a node, and how two runs differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..pipeline.errors import UsageError
from ..whole_text import write_whole
from .answers import AsFormat, Format, say, say_json, stderr_console

if TYPE_CHECKING:
    from ..pipeline.report.runs import Run


def audit(
    log: Annotated[Path | None, typer.Argument(metavar="LOG", help="A log that lading export --log wrote.")] = None,
    other: Annotated[
        Path | None, typer.Argument(metavar="[OTHER]", help="A second log: say how its run differs from the first.")
    ] = None,
    run: Annotated[int, typer.Option(help="Which run of the log: 0 is the first, -1 the last.")] = -1,
    other_run: Annotated[int, typer.Option(help="Which run of the second log.")] = -1,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMIT",
            help="Leave with 1 where the second run is past it: node-count+5%, file-size+10%, op:Transpose+0, new-op.",
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option(metavar="NAME", help="Tell the story of one node: its name in the file, or #NUMBER.")
    ] = None,
    op: Annotated[
        str | None, typer.Option(metavar="OPERATOR", help="Which passes made and removed nodes of this operator.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the run as one page for a browser, all in one file.")
    ] = None,
    declined: Annotated[bool, typer.Option("--declined", help="What passes chose not to do, and why.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a line of a log.")] = False,
    format: AsFormat = Format.text,
) -> None:
    """Show what each pass of a run changed, or how two runs differ."""
    from ..pipeline.report.runs import Run

    questions = (("--node", node), ("--op", op), ("--declined", declined), ("--html", html), ("--schema", schema))
    asked = [name for name, given in questions if given]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} are two questions", hint="ask them one after the other")
    if schema:
        from ..pipeline.audit_schema import log_schema_text

        say(log_schema_text())
        return
    if log is None:
        raise UsageError("which log?", hint="lading audit LOG, with a LOG that lading export --log wrote")
    as_json = format is Format.json
    if other is not None:
        if asked:
            raise UsageError(f"{asked[0]} is a question to one log", hint=f"lading audit {log} {asked[0]}")
        _compare(Run.from_log(log, run), Run.from_log(other, other_run), fail_on or [], as_json)
        return
    if fail_on:
        raise UsageError("--fail-on compares two runs", hint=f"lading audit BEFORE {log} --fail-on {fail_on[0]}")
    found = Run.from_log(log, run)
    if node is not None:
        _story(found, node, as_json)
    elif op is not None:
        _operator(found, op, as_json)
    elif html is not None:
        _page(found, html)
    elif declined:
        _declined(found, as_json)
    else:
        _tree(found, as_json)


def _compare(one: Run, other: Run, limits: list[str], as_json: bool) -> None:
    from ..pipeline.report.compare import Limit, compare, comparison_text

    parsed = [Limit.parse(text) for text in limits]
    found = compare(one, other)
    broken = [line for limit in parsed for line in limit.broken_by(found)]
    if as_json:
        say_json({**found.to_dict(), "broken": broken})
    else:
        say(comparison_text(found))
    for line in broken:
        stderr_console().print(f"over the limit: {line}", markup=False)
    if broken:
        raise typer.Exit(1)


def _tree(run: Run, as_json: bool) -> None:
    from ..pipeline.report.tree import tree_table, tree_text

    if as_json:
        say_json(run.events)
    elif sys.stdout.isatty():
        console = Console()
        console.print(tree_table(run, console.width))
    else:
        say(tree_text(run))


def _page(run: Run, file: Path) -> None:
    from ..pipeline.report.page import page

    write_whole(file, page(run))


def _story(run: Run, node: str, as_json: bool) -> None:
    from ..pipeline.report.stories import Stories
    from ..pipeline.report.text import story_data, story_text

    stories = Stories.of(run)
    life = stories.find(node)
    if as_json:
        say_json(story_data(stories, life))
    else:
        say(story_text(stories, life))


def _operator(run: Run, operator: str, as_json: bool) -> None:
    from ..pipeline.report.text import operator_text
    from ..pipeline.report.views import operator_history

    history = operator_history(run, operator)
    if as_json:
        say_json(history.to_dict())
    else:
        say(operator_text(history))


def _declined(run: Run, as_json: bool) -> None:
    from ..pipeline.report.text import refusals_text
    from ..pipeline.report.views import refusals

    found = refusals(run)
    if as_json:
        say_json([refusal.to_dict() for refusal in found])
    else:
        say(refusals_text(found))
