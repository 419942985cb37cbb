# SPDX-License-Identifier: Apache-2.0
"""A run as a tree: steps, the rounds of groups, and under each what it decided, declined, warned of or died of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from .lines import arrow, event_line, milliseconds, operator_changes, plural
from .runs import OUTCOMES, Event, Run

if TYPE_CHECKING:
    from rich.console import RenderableType

REASONS_SHOWN = 3
DECISIONS_SHOWN = 3
_BAR, _WIDE = 8, 110
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@attrs.define
class Leaf:
    """A remark below a step: `kind` is note, declined, decided, warning or failed."""

    kind: str
    text: str


@attrs.define
class Row:
    """One line of the tree: a step, a group, or a step in a round of a group, with what it holds."""

    label: str
    outcome: str
    nodes: str = ""
    difference: int = 0
    ms: float | None = None
    change: str = ""
    leaves: list[Leaf] = attrs.field(factory=list)
    rows: list[Row] = attrs.field(factory=list)


def rows_of(run: Run) -> list[Row]:
    """The top level of the tree, in the order of the run."""
    rows: list[Row] = []
    group: Row | None = None
    for event in run.events:
        kind = event["event"]
        if kind == "pass.skipped":
            rows.append(Row(event["step"], "skipped", change=event["reason"]))
        elif kind in OUTCOMES:
            row = _row(event)
            if event["group"] is None:
                rows.append(row)
                continue
            if group is None or group.label != event["group"]:
                group = Row(event["group"], "cut short")
                rows.append(group)
            group.rows.append(row)
        elif kind == "group.finished" and group is not None:
            nodes = [child for child in group.rows if child.difference]
            group.outcome = "stable" if event["stable"] else "not stable"
            group.difference = sum(child.difference for child in nodes)
            group.ms = event["ms"]
            ending = "until nothing changed" if event["stable"] else "rounds used up, not stable"
            group.change = f"{plural(event['rounds'], 'round')}, {ending}"
            group.rows = _without_idle_rounds(group.rows)
            group = None
    running = run.unfinished
    if running is not None:
        label = running["step"] if running["group"] is None else f"{running['group']}/{running['step']}"
        text = f"the log ends while this was running, {milliseconds(running['at_ms'])} after the beginning"
        rows.append(Row(label, "running", change=text))
    return rows


def heading_of(run: Run) -> list[str]:
    """What stands above the tree: recipe, opset, model, versions."""
    opening = run.opening
    lines = [event_line(opening) or ""]
    model = opening["model"]
    if model:
        facts = [str(model.get("class", ""))]
        if isinstance(model.get("parameters"), int):
            facts.append(f"{model['parameters']:,} parameters")
        lines.append(f"model {', '.join(fact for fact in facts if fact)}")
    lines.append(", ".join(f"{name} {version}" for name, version in opening["versions"].items()))
    return [line for line in lines if line]


def ending_of(run: Run) -> str:
    """What stands below the tree: how the run ended, and its peak of memory."""
    ending = run.ending
    if ending is None:
        running = run.unfinished
        where = "" if running is None else f", while '{running['step']}' was running"
        return f"the log ends before the run did{where}"
    line = (event_line(ending) or "").strip()
    peak = ending["peak_mb"]
    return line if peak is None else f"{line}, peak of memory {peak:,.0f} MiB"


def tree_text(run: Run) -> str:
    """The tree as plain ASCII text, for a stream that is no terminal."""
    lines = heading_of(run)
    body: list[tuple[str, str, str, str]] = []
    remarks: dict[int, list[str]] = {}
    for depth, row in _walk(rows_of(run)):
        spent = "" if row.ms is None else milliseconds(row.ms)
        change = "; ".join(part for part in (_word(row), row.change) if part)
        body.append(("  " * depth + row.label, row.nodes, spent, change))
        remarks[len(body)] = ["  " * (depth + 1) + f"{leaf.kind}: {leaf.text}" for leaf in row.leaves]
    head = ("step", "nodes", "time", "change")
    width = [max(len(cells[index]) for cells in (head, *body)) for index in range(3)]
    lines.append("")
    for number, cells in enumerate((head, *body)):
        columns = [f"{cells[0]:<{width[0]}}", f"{cells[1]:<{width[1]}}", f"{cells[2]:>{width[2]}}"]
        lines.append("  ".join((*columns, cells[3])))
        lines += [line for remark in remarks.get(number, ()) for line in remark.splitlines()]
    lines += ["", ending_of(run)]
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    return text.encode("ascii", "backslashreplace").decode()


def tree_table(run: Run, width: int) -> RenderableType:
    """The tree for a terminal so wide, with a bar for the share of time where there is room."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    heading, *facts = heading_of(run)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    wide = width >= _WIDE
    table.add_column("step", no_wrap=True)
    for name in ("nodes", "", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("", no_wrap=True)
    table.add_column("change", overflow="fold", ratio=1)
    rows = rows_of(run)
    total = sum(row.ms or 0 for row in rows) or 1
    for prefix, row in _branches(rows):
        style = _STYLES.get(row.outcome, "")
        difference = f"{row.difference:+,}" if row.difference else ""
        change = Text("; ".join(part for part in (_word(row), row.change) if part), style=style)
        label = Text(prefix, style="dim").append(row.label, style=style or "bold")
        cells = [
            label,
            Text(row.nodes, style="dim" if not row.difference else ""),
            Text(difference, style="green" if row.difference < 0 else "yellow"),
            Text("" if row.ms is None else milliseconds(row.ms), style="dim" if (row.ms or 0) < total / 50 else ""),
        ]
        bar = [Text(_bar((row.ms or 0) / total), style="blue")] if wide else []
        table.add_row(*cells, *bar, change)
        below = " " * len(prefix) if not prefix else prefix.replace("├─", "│ ").replace("└─", "  ")
        for leaf in row.leaves:
            remark = Text(f"{leaf.kind}: {leaf.text}", style=_LEAF[leaf.kind])
            table.add_row(Text(below, style="dim"), *[""] * (len(cells) + len(bar) - 1), remark)
    ending = Text(ending_of(run), style="bold" if run.ending and run.ending["status"] == "done" else "bold red")
    return Group(Text(heading, style="bold"), *(Text(fact, style="dim") for fact in facts), "", table, "", ending)


_STYLES = {
    "unchanged": "dim",
    "skipped": "dim",
    "failed": "bold red",
    "running": "bold red",
    "not stable": "yellow",
    "cut short": "bold red",
}
_LEAF = {"declined": "dim", "decided": "cyan", "warning": "yellow", "failed": "red", "note": "dim"}


def _row(event: Event) -> Row:
    before, after = event["delta"]["nodes"]
    row = Row(
        label=event["step"] if event["group"] is None else f"{event['step']} #{event['round']}",
        outcome=event["event"].removeprefix("pass."),
        nodes=arrow([before, after]),
        difference=after - before,
        ms=event["ms"],
        change=operator_changes(event["delta"], shown=4),
    )
    counts = ", ".join(f"{name} {count}" for name, count in event["counts"].items())
    if counts:
        row.change = f"{row.change}; {counts}" if row.change else counts
    row.leaves = leaves_of(event)
    return row


def leaves_of(event: Event, *, every: bool = False) -> list[Leaf]:
    """The remarks on a run of a step: warnings, decisions, refusals, failure; `every` leaves none out."""
    leaves = [Leaf("warning", _warning(warning)) for warning in event["warnings"]]
    decisions = [f"{decision['what']}: {decision['why']}{_details(decision)}" for decision in event["decisions"]]
    said = list(dict.fromkeys(decisions))
    shown = len(said) if every else DECISIONS_SHOWN
    leaves += [Leaf("decided", text) for text in said[:shown]]
    if len(said) > shown:
        leaves.append(Leaf("decided", f"{len(said) - shown} more; --format json has them"))
    if event["declined"]:
        leaves.append(Leaf("declined", _declined(event["declined"])))
    if event["event"] == "pass.failed":
        leaves += _failure(event)
    return leaves


def _failure(event: Event) -> Iterator[Leaf]:
    error = event["error"]
    yield Leaf("failed", f"{error['type']}: {error['message']}")
    if error["where"]:
        yield Leaf("failed", f"at {error['where']}")
    if error["hint"]:
        yield Leaf("failed", f"try {error['hint']}")
    if event["reproducer"]:
        yield Leaf("failed", f"lading replay {event['reproducer']} runs it again from here")


def _warning(warning: Mapping[str, Any]) -> str:
    return f"{warning['message']}{_details(warning)}"


def _details(entry: Mapping[str, Any]) -> str:
    # Zeros and empty texts say nothing that the sentence does not.
    details = ", ".join(f"{key} {_plain(value)}" for key, value in entry["details"].items() if value not in _NOTHING)
    return f" ({details})" if details else ""


_NOTHING: tuple[Any, ...] = (None, "", [], {})


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_plain(item)}" for key, item in value.items())
    return " ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _declined(declined: Mapping[str, Any]) -> str:
    pairs = sorted(declined.items(), key=lambda pair: (-pair[1]["count"], pair[0]))
    parts = [f"{entry['count']} x {reason}" for reason, entry in pairs[:REASONS_SHOWN]]
    if len(pairs) > REASONS_SHOWN:
        parts.append(f"{len(pairs) - REASONS_SHOWN} more reasons")
    return "; ".join(parts)


def _word(row: Row) -> str:
    return row.outcome if row.outcome in ("unchanged", "skipped", "failed", "running", "cut short") else ""


def _without_idle_rounds(rows: list[Row]) -> list[Row]:
    """Rows of a group, those of a round after the first in which nothing changed as one row."""
    rounds: dict[str, list[Row]] = {}
    for row in rows:
        rounds.setdefault(row.label.rpartition("#")[2], []).append(row)
    found: list[Row] = []
    for number, members in rounds.items():
        busy = any(row.outcome != "unchanged" for row in members)
        if busy or number == "1" or any(leaf.kind == "warning" for row in members for leaf in row.leaves):
            found += members
        else:
            spent = sum(row.ms or 0 for row in members)
            found.append(
                Row(f"#{number}", "unchanged", members[0].nodes, ms=spent, change=plural(len(members), "step"))
            )
    return found


def _walk(rows: list[Row], depth: int = 0) -> Iterator[tuple[int, Row]]:
    for row in rows:
        yield depth, row
        yield from _walk(row.rows, depth + 1)


def _branches(rows: list[Row]) -> Iterator[tuple[str, Row]]:
    """Each row with the lines that lead to it."""
    for row in rows:
        yield "", row
        for child in row.rows:
            yield "└─ " if child is row.rows[-1] else "├─ ", child


def _bar(share: float) -> str:
    eighths = round(min(max(share, 0), 1) * _BAR * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
