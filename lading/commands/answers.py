# SPDX-License-Identifier: Apache-2.0
"""What commands share: the options that several take, how they answer, and the console for everything else."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

if TYPE_CHECKING:
    from ..pipeline.project import Project


class Format(str, Enum):
    """How a command answers on stdout."""

    text = "text"
    json = "json"


MODEL = "path/file.py:factory, package.module:factory, or program.pt2"

Recipe = Annotated[str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe or a recipe file.")]
ProjectRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        metavar="NAME|FILE",
        help="A recipe by its name, or a recipe file; by default that of \\[tool.lading], or inference.",
    ),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="STEP.OPTION=VALUE", help="Override a value of the recipe.")
]
AsFormat = Annotated[Format, typer.Option("--format", help="text for people, json for programs.")]


def stderr_console() -> Console:
    """The console for progress, tables about a run, and errors."""
    return Console(stderr=True, soft_wrap=True)


def say(text: str) -> None:
    """Write an answer to stdout; characters that its encoding lacks are escaped, not fatal."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.write("" if text.endswith("\n") else "\n")


def say_json(data: Any) -> None:
    """Write an answer to stdout as one JSON document."""
    say(json.dumps(data, indent=2, default=str))


class Interrupted(Exception):
    """Somebody has pressed Ctrl-C; the message says in one sentence what that leaves."""


class Interruptible(TyperGroup):
    """All commands: an interrupt in one of them is `Interrupted`, and ends in a sentence."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line."""
        with _interruptible():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command of `ctx`."""
        with _interruptible():
            return super().invoke(ctx)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; nothing was left half-written") from error


class ShownByName(TyperGroup):
    """A family of commands where `lading passes NAME` is short for `lading passes show NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of `args`, or take them for what is to be shown."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


def resolved_recipe(recipe: str | None, settings: list[str] | None, project: Project | None = None) -> tuple[Any, Any]:
    """The recipe of a command, resolved, and the registry of passes that it was resolved with.

    `project` is where defaults come from; where no recipe is named it is the project's, or inference.
    """
    from ..passes import BUILTIN
    from ..pipeline.registry import Registry
    from ..pipeline.resolve import resolve
    from ..resolving import loaded_recipe

    registry = Registry(BUILTIN)
    return resolve(loaded_recipe(recipe, project), registry, settings=settings or (), project=project), registry
