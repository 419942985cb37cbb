# SPDX-License-Identifier: Apache-2.0
"""The walk is recorded: its commands print what the page shows, and leave as it says.

A line of a ``console`` block that starts with ``$ `` is a command, and what follows it is all that it prints, on both
streams. Times, sizes of files, errors of floating point, hashes and versions may be others; `--golden` records anew.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from support.pages import blocks_of

from lading.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "walk.md"
_MAY_DIFFER = re.compile(
    r"\d[\d,.]* (?:ms|s|KiB|MiB)\b|\d\.\de[+-]\d\d|\b[0-9a-f]{12}\b|\b\d+\.\d+\.\d+(?:\+\w+)?\b|bytes \d+"
)
_WORST = re.compile(r"# # .+ # .+$")
"""Which check had the worst of errors that are all rounding."""
_LEAVES = re.compile(r"  # leaves with (\d+)$")


def printed(command: str) -> str:
    """Run a command as the walk shows it, and return what it prints."""
    expected = _LEAVES.search(command)
    told = io.StringIO()
    with (
        pytest.raises(SystemExit) as leaving,
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(told),
    ):
        main(shlex.split(_LEAVES.sub("", command))[1:])
    assert (int(expected[1]) if expected else 0) == (leaving.value.code or 0), told.getvalue()
    return "\n".join(line.rstrip() for line in told.getvalue().splitlines())


def alike(text: str) -> str:
    """The text without what may be another one in each run, and without the widths of columns."""
    lines = (" ".join(_MAY_DIFFER.sub("#", line).split()) for line in text.strip().splitlines())
    return "\n".join(_WORST.sub("# # in # in", line) for line in lines)


def recorded(text: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what it printed."""
    steps: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        else:
            command, output = steps[-1]
            steps[-1] = (command, f"{output}{line}\n")
    return steps


@pytest.mark.filterwarnings("ignore")
def test_the_commands_print_what_the_page_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    for name, value in (("COLUMNS", "100"), ("TERM", "dumb"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    page = PAGE.read_text(encoding="utf-8")
    commands = 0
    for block in blocks_of(PAGE):
        if block.title is not None:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            found = [(command, output, printed(command)) for command, output in recorded(block.text)]
            commands += len(found)
            if request.config.getoption("--golden"):
                anew = "".join(f"$ {command}\n{now}\n" if now else f"$ {command}\n" for command, _, now in found)
                page = page.replace(f"```console\n{block.text}```", f"```console\n{anew}```")
            else:
                for command, output, now in found:
                    assert (command, alike(output)) == (command, alike(now))
    assert commands
    if request.config.getoption("--golden"):
        PAGE.write_text(page, encoding="utf-8")
