# SPDX-License-Identifier: Apache-2.0
"""The jobs of a batch as they stand: live on a terminal, a line for each that ends elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import attrs
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..console import readable_bytes
from .file import Job
from .job import Result, counted

ROWS = 30
"""How many jobs are shown at once: those that run and that failed go before those that wait or are done."""

_STYLES = {"exported": "green", "unchanged": "dim", "failed": "bold red", "running": "cyan", "waiting": "dim"}
_ORDER = {"running": 0, "failed": 1, "exported": 2, "unchanged": 3, "waiting": 4}


@attrs.define
class _Row:
    status: str = "waiting"
    text: str = ""
    begun: float = 0.0
    seconds: float | None = None


class Board:
    """Shows jobs; a context manager, open while they run."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self._rows = {job.name: _Row() for job in jobs}
        self._console = console
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self._shown, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tell(self, said: Mapping[str, Any]) -> None:
        """Take what happens in a job; may be called from any thread."""
        with self._lock:
            row = self._rows.get(str(said.get("job")))
            if row is None or row.seconds is not None:
                return
            if "begun" in said:
                row.status, row.begun, row.text = "running", time.monotonic(), str(said.get("worker", ""))
            elif "again" in said:
                row.status, row.text = "waiting", f"once more: its process {said['again']}"
            elif "step" in said:
                row.status, row.text = "running", f"{said['index']}/{said['steps']} {said['step']}"
                row.begun = row.begun or time.monotonic()

    def done(self, result: Result) -> None:
        """Take what a job came to."""
        with self._lock:
            row = self._rows[result.job]
            row.status, row.seconds, row.text = result.status, result.seconds, _outcome(result)
        if not self._console.is_terminal or result.status == "failed":
            line = Text(f"{result.status:<10} {result.job}  {row.text}  ({result.seconds:.1f} s)")
            line.stylize(_STYLES[result.status], 0, 10)
            self._console.print(line)

    def _shown(self) -> RenderableType:
        with self._lock:
            rows = sorted(self._rows.items(), key=lambda item: _ORDER[item[1].status])
            table = Table(box=None, pad_edge=False, show_header=False)
            for name, row in rows[:ROWS]:
                seconds = (
                    row.seconds if row.seconds is not None else time.monotonic() - row.begun if row.begun else None
                )
                table.add_row(
                    Text(row.status, style=_STYLES[row.status]),
                    Text(name),
                    Text(row.text, overflow="ellipsis", no_wrap=True),
                    "" if seconds is None else f"{seconds:.1f} s",
                )
            return Group(table, Text(counted((row.status for _, row in rows), tuple(_ORDER)), style="bold"))


def _outcome(result: Result) -> str:
    if result.status == "failed":
        return f"{result.code}: {(result.error or '').splitlines()[0]}"
    return f"{result.facts['nodes']:,} nodes, {readable_bytes(result.facts['bytes'])}"
