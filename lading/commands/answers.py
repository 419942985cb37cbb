# SPDX-License-Identifier: Apache-2.0
"""What commands share: the options that several take, how they answer, and the console for everything else."""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console


class Format(str, Enum):
    """How a command answers on stdout."""

    text = "text"
    json = "json"


MODEL = "path/file.py:factory, package.module:factory, or program.pt2"

Recipe = Annotated[str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe or a recipe file.")]
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


def write_whole(file: Path, text: str) -> None:
    """Write a file that is there whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    from ..pipeline.errors import UsageError

    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"the file cannot be written: {error.strerror}", where=str(file)) from error


def resolved_recipe(recipe: str, settings: list[str] | None) -> tuple[Any, Any]:
    """The recipe of a command, resolved, and the registry of passes that it was resolved with."""
    from ..passes import BUILTIN
    from ..pipeline.recipe import load_recipe
    from ..pipeline.registry import Registry
    from ..pipeline.resolve import resolve

    registry = Registry(BUILTIN)
    return resolve(load_recipe(recipe), registry, settings=settings or ()), registry
