# SPDX-License-Identifier: Apache-2.0
"""One event as one line, and the phrases that every view of an audit shares.  Text is ASCII."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .runs import Event, visit_of


def event_line(event: Event) -> str | None:
    """One event as one line for a terminal or a plain log, or None for those that only the log needs."""
    kind = event["event"]
    if kind == "run.started":
        opset = event["target"]["opset"]
        return f"recipe {event['recipe']} ({event['recipe_hash'][:12]}), opset {opset}, {event['steps']} steps"
    if kind == "pass.skipped":
        return f"{'':>8}  {event['step']:<22} skipped: {event['reason']}"
    if kind in ("pass.applied", "pass.unchanged", "pass.failed"):
        return f"{milliseconds(event['ms']):>8}  {visit_of(event):<22} {_what_happened(event)}"
    if kind == "group.finished":
        ending = "stable" if event["stable"] else "rounds used up, not stable"
        return f"{milliseconds(event['ms']):>8}  {event['group']:<22} {plural(event['rounds'], 'round')}, {ending}"
    if kind == "run.finished":
        endings = {"done": "done", "failed": f"failed in {event['failed_step']}", "interrupted": "interrupted"}
        counts = f"{plural(event['nodes'], 'node')}, {plural(event['warned'], 'warning')}"
        return f"{milliseconds(event['ms']):>8}  {endings[event['status']]}: {counts}"
    return None


def operator_changes(change: Mapping[str, Any], shown: int = 6) -> str:
    """The change in operator counts, largest first: `Relu +12, aten::relu -12`, and how many more there are."""
    pairs = [(name, after - before) for name, (before, after) in change["operators"].items()]
    pairs.sort(key=lambda pair: (-abs(pair[1]), pair[0]))
    parts = [f"{name} {difference:+d}" for name, difference in pairs[:shown]]
    if len(pairs) > shown:
        parts.append(f"{len(pairs) - shown} more")
    return ", ".join(parts)


def notes_text(event: Event) -> str:
    """What the note pad of a pass says, in one line."""
    parts = [f"{name} {count}" for name, count in event["counts"].items()]
    declined = sum(entry["count"] for entry in event["declined"].values())
    for count, word in ((declined, "declined"), (len(event["decisions"]), "decided")):
        if count:
            parts.append(f"{word} {count}")
    parts += [f"warning: {warning['message']}" for warning in event["warnings"]]
    if event["event"] == "pass.failed":
        parts.append(f"{event['error']['type']}: {event['error']['message']}")
    return ", ".join(parts)


def _what_happened(event: Event) -> str:
    change = operator_changes(event["delta"], shown=3)
    nodes = event["delta"]["nodes"]
    count = f"{arrow(nodes)} nodes" if nodes[0] != nodes[1] else ""
    parts = [part for part in (count, change, notes_text(event)) if part]
    outcome = event["event"].removeprefix("pass.")
    return f"{outcome}: {'; '.join(parts)}" if parts else outcome


def arrow(pair: Sequence[int]) -> str:
    """`3 -> 5`, or one number where both are the same."""
    return f"{pair[0]} -> {pair[1]}" if pair[0] != pair[1] else str(pair[1])


def milliseconds(ms: float) -> str:
    """A time in the unit that suits it."""
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.1f} ms"


def plural(count: int, word: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
