# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a run on stderr: a line for each pass as it happens, and the summary at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from .pipeline.report.lines import event_line

if TYPE_CHECKING:
    from .exported import Exported

_STYLES = {"pass.unchanged": "dim", "pass.skipped": "dim", "pass.failed": "bold red", "group.finished": "dim"}


def plural(count: int, word: str) -> str:
    """Return "1 node", "2 nodes"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def readable_bytes(size: float) -> str:
    """Return a size in bytes, KiB, MiB or GiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


class Progress:
    """A sink of audit events that tells them as they happen: live on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0
        self._status: Status | None = None

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        kind = event["event"]
        if kind == "run.started":
            self._steps = event["steps"]
        if kind == "pass.started":
            self._begin(event)
            return
        line = event_line(event)
        if line is not None:
            self.close()
            self._console.print(Text(line.rstrip(), style=_STYLES.get(kind, "")))
        for warning in event.get("warnings") or ():
            self._console.print(Text(f"          warning: {warning['message']}", style="yellow"))

    def close(self) -> None:
        """Take the live line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _begin(self, event: Mapping[str, Any]) -> None:
        if not self._console.is_terminal:
            return
        text = f"{event['index']}/{self._steps} {event['step']}"
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)


def print_summary(console: Console, exported: Exported, seconds: float, log: str | None) -> None:
    """Print what came out: files, opset, inputs and outputs with their dimensions, operators, checks, log."""
    model = exported.model
    graph = model.graph
    where = exported.path or "(not written)"
    nodes = len(list(graph))
    facts = [plural(nodes, "node"), f"opset {exported.opset}", f"IR {model.ir_version}", readable_bytes(exported.bytes)]
    console.print(f"\n[bold]{where}[/]  {', '.join(facts)}, {seconds:.2f} s")
    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    for column in ("", "name", "type", "shape"):
        table.add_column(column)
    inputs = set(exported.input_names)
    for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
        for value in values:
            if kind == "input" and value.name not in inputs:
                continue
            dims = "?" if value.shape is None else ", ".join("?" if str(d) == "None" else str(d) for d in value.shape)
            dtype = "?" if value.dtype is None else value.dtype.name.lower()
            table.add_row(kind, value.name, dtype, f"[{dims}]".replace("[", r"\["))
    console.print(table)
    for limit in exported.limits:
        console.print(f"[yellow]right for[/] {limit}", highlight=False)
    if exported.verification is not None:
        console.print(exported.verification.table())
    if exported.warnings:
        console.print(f"[yellow]{plural(len(exported.warnings), 'warning')}[/]")
    if log is not None:
        console.print(f"log: {log}  (lading audit {log})")
