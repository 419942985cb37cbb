# SPDX-License-Identifier: Apache-2.0
"""The table of exports that a program ends with."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..console import plural
from .terms import TakenExport

_WIDE = 200
"""Columns of a table that goes to a file or a pipe."""

_STYLES = {"failed": "bold red", "not taken over": "bold red", "planned": "cyan"}


def print_exports(exports: Sequence[TakenExport]) -> None:
    """Print a line for each export on stderr, and the errors of those that failed."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console = Console(stderr=True, width=_WIDE)
    console.print(Text(_title(exports), style="bold"))
    if not exports:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("model", "file", "opset", "capture", "nodes", "checks", "s", "log"):
        table.add_column(name, justify="right" if name in ("nodes", "s") else "left", overflow="fold")
    for export in exports:
        table.add_row(*_row(export), style=_STYLES.get(export.status, ""))
    console.print(table)
    for export in exports:
        if export.error is not None:
            console.print(Text(f"{export.model}: {export.error}", style="red"))


def _title(exports: Sequence[TakenExport]) -> str:
    title = f"lading: {plural(len(exports), 'export')}"
    for status in ("failed", "planned", "not taken over"):
        count = sum(export.status == status for export in exports)
        if count:
            title += f", {count} {status}"
    warned = sum(len(export.warnings) for export in exports)
    return f"{title}, {plural(warned, 'warning')}" if warned else title


def _row(export: TakenExport) -> list[str]:
    delivered = "-" if export.opset is None else str(export.opset)
    asked = "any" if export.opset_asked is None else str(export.opset_asked)
    opset = delivered if delivered == asked else f"{asked} -> {delivered}"
    return [
        export.model,
        export.file or "(not written)",
        opset,
        export.capture or "-",
        "-" if export.nodes is None else str(export.nodes),
        (export.checks or "not run") if export.status == "done" else export.status,
        f"{export.seconds:.2f}",
        "-" if export.log is None else os.path.relpath(export.log),
    ]
