# SPDX-License-Identifier: Apache-2.0
"""A program whose every Python process is watched: how it is started, and what each of its processes does.

The terms of the takeover travel in an environment variable, which processes hand on to those that they start. Each
export is a line in a file that all of them append to.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from ..pipeline.errors import UsageError
from ..pipeline.plain import to_plain
from . import startup
from .active import install
from .terms import TakenExport, Terms

VARIABLE = "LADING_RUN"
RECORD = "exports.jsonl"
"""The file in the folder of the logs with a line for each export."""

_CARRIED = ("recipe", "settings", "verify", "log", "dry_run")


# ---- in the program --------------------------------------------------------------------------------------------------


def begin() -> None:
    """Take the exports of this process over, on the terms of the environment.

    Raises:
        UsageError: the terms do not make sense here, say because a pass of the recipe cannot be imported.
    """
    said = json.loads(os.environ[VARIABLE])
    record, run = said.pop("record"), said.pop("run")

    def put_down(export: TakenExport) -> None:
        line = json.dumps({"run": run, "process": os.getpid(), **to_plain(attrs.asdict(export))}) + "\n"
        # One write of a file that is open for appending: lines of several processes do not mix.
        descriptor = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    install(**said, on_export=put_down)


# ---- around it -------------------------------------------------------------------------------------------------------


@attrs.frozen
class Ran:
    """A program that has ended: its exit code, and the exports of all its processes, in the order of their ends."""

    code: int
    exports: Sequence[TakenExport]


def run_program(command: Sequence[str], terms: Terms) -> Ran:
    """Run a program and take the exports of all its Python processes over.

    Args:
        command: the program and its arguments: an executable, a Python file, or `-m` and a module.
        terms: on which terms; passes and overrides, which are objects, cannot travel.

    Raises:
        UsageError: there is no such program.
    """
    command = _complete(command)
    with _record(terms) as record:
        run = uuid.uuid4().hex
        code = _wait(command, _environment(terms, record, run))
        return Ran(code, _exports(record, run))


def _complete(command: Sequence[str]) -> list[str]:
    """Return the command with the path of its executable: those beside this Python go before those on the path."""
    first = command[0]
    if first == "-m" or (first.endswith(".py") and not os.access(first, os.X_OK)):
        return [sys.executable, *command]
    folders = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    found = shutil.which(first, path=folders)
    if found is None:
        raise UsageError(
            f"there is no program '{first}'",
            where=" ".join(command),
            hint="lading run -- python script.py, lading run -- -m module, or the name of a console script",
        )
    return [found, *command[1:]]


@contextlib.contextmanager
def _record(terms: Terms) -> Iterator[Path]:
    """Give the path of the file with a line for each export; without a folder for logs it is a temporary one."""
    if terms.log is not None:
        folder = Path(terms.log)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.absolute() / RECORD
        return
    with tempfile.TemporaryDirectory(prefix="lading-") as name:
        yield Path(name) / RECORD


def _environment(terms: Terms, record: Path, run: str) -> dict[str, str]:
    said: dict[str, Any] = {name: getattr(terms, name) for name in _CARRIED}
    if terms.log is not None:
        said["log"] = str(Path(terms.log).absolute())
    recipe = os.fspath(terms.recipe)
    said["recipe"] = str(Path(recipe).absolute()) if Path(recipe).is_file() else recipe
    folders = [os.path.dirname(os.path.abspath(startup.__file__))]
    if os.environ.get("PYTHONPATH"):
        folders.append(os.environ["PYTHONPATH"])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(folders),
        VARIABLE: json.dumps({**said, "record": str(record), "run": run}),
    }


def _wait(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a command to its end; what interrupts it at the terminal reaches it, and so does a request to end."""
    with subprocess.Popen(command, env=environment) as process:
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        end = signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        try:
            code = process.wait()
        finally:
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGTERM, end)
    # As a shell says that a signal ended it.
    return code if code >= 0 else 128 - code


def _exports(record: Path, run: str) -> list[TakenExport]:
    if not record.exists():
        return []
    known = {field.name for field in attrs.fields(TakenExport)}
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return [
        TakenExport(**{name: value for name, value in line.items() if name in known})
        for line in lines
        if line["run"] == run
    ]
