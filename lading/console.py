# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a run on stderr: a line for each pass as it happens, and the summary at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from .exported import Exported

_WORDS = {"pass.applied": "applied", "pass.unchanged": "unchanged", "pass.failed": "failed"}


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
        self._status: Any = None
        self._begun = time.monotonic()

    def __call__(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "run.started":
            self._steps = event["steps"]
            target = event["target"]["opset"]
            self._console.print(
                f"[bold]{event['model'].get('class', 'model')}[/] with recipe [bold]{event['recipe']}[/], opset {target}"
            )
        elif kind == "pass.started":
            self._begin(event)
        elif kind in _WORDS:
            self._end()
            self._console.print(self._line(event))
            for warning in event.get("warnings") or ():
                self._console.print(Text(f"  warning: {warning['message']}", style="yellow"))
        elif kind == "run.finished":
            self._end()

    def _begin(self, event: Mapping[str, Any]) -> None:
        if self._console.is_terminal and self._status is None:
            self._status = self._console.status(self._place(event))
            self._status.start()

    def _end(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _place(self, event: Mapping[str, Any]) -> str:
        index = event.get("index")
        place = f"{index:>2}/{self._steps}" if index is not None else "     "
        return f"{place} {event['step']}"

    def _line(self, event: Mapping[str, Any]) -> Text:
        kind = event["event"]
        before, after = (event.get("delta") or {}).get("nodes") or (0, 0)
        change = f"{before} -> {after} nodes" if before != after else plural(after, "node")
        style = {"pass.applied": "green", "pass.unchanged": "dim", "pass.failed": "bold red"}[kind]
        line = Text(f"{self._place(event):<26}", style=style)
        line.append(f"{_WORDS[kind]:<10}", style=style)
        line.append(f"{event.get('ms') or 0:>8.1f} ms   {change}", style="dim" if kind == "pass.unchanged" else "")
        return line


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
    if exported.verification is not None:
        console.print(exported.verification.table())
    if exported.warnings:
        console.print(f"[yellow]{plural(len(exported.warnings), 'warning')}[/]")
    if log is not None:
        console.print(f"log: {log}  (lading audit {log})")
