# SPDX-License-Identifier: Apache-2.0
"""Stories, operators and refusals as plain text.  Text is ASCII."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from .stories import Life, Stories
from .views import NAMES_SHOWN, OperatorHistory, Refusal


def story_text(stories: Stories, life: Life) -> str:
    """The story of one node: what it is, where in the user's code it comes from, and a line for each chapter."""
    name = life.name or "(not named in the log)"
    lines = [f"{life}  {name}"]
    if life.outputs:
        lines.append(f"makes the output {', '.join(life.outputs)}")
    places = stories.places(life)
    lines += [f"from {place}" for place in places] or ["from no place of the user's code that is on record"]
    chapters = stories.story(life)
    rows = [(chapter.visit, f"#{chapter.node}", chapter.kind, chapter.text) for chapter in chapters]
    lines.append("")
    lines += columns(rows)
    if life.removed is not None:
        lines += ["", "it is not in the file"]
    if stories.left_out:
        lines += ["", f"{stories.left_out} entries about nodes are not in this log, because the run had too many"]
    return _ascii(lines)


def story_data(stories: Stories, life: Life) -> dict[str, Any]:
    """The story of one node as plain data."""
    return {
        "node": life.name,
        "number": life.number,
        "operator": life.operator,
        "outputs": life.outputs,
        "in_file": life.removed is None,
        "places": [attrs.asdict(place) for place in stories.places(life)],
        "story": [
            attrs.asdict(chapter, filter=lambda field, _: field.name != "when") for chapter in stories.story(life)
        ],
    }


def operator_text(history: OperatorHistory) -> str:
    """Which steps made and removed nodes of an operator, and which nodes of it are in the file."""
    rows = [("step", "made", "removed", "nodes")]
    for step in history.steps:
        made = "?" if step.made is None else f"+{step.made}" if step.made else ""
        removed = "?" if step.removed is None else f"-{step.removed}" if step.removed else ""
        rows.append((step.visit, made, removed, f"{step.before} -> {step.after}"))
    lines = [history.operator, *columns(rows)]
    count = history.steps[-1].after if history.steps else 0
    lines += ["", f"{count} in the end"]
    for node in history.left[:NAMES_SHOWN]:
        lines.append(f"  {node['node']}" + (f"  from {node['place']}" if node["place"] else ""))
    if len(history.left) > NAMES_SHOWN:
        lines.append(f"  and {len(history.left) - NAMES_SHOWN} more; --format json has them")
    if any(step.made is None for step in history.steps):
        lines.append("the log follows no nodes, so that only sums are known: export with --log-level nodes")
    return _ascii(lines)


def refusals_text(found: Sequence[Refusal]) -> str:
    """What passes chose not to do and why, with the nodes."""
    if not found:
        return "no pass declined anything\n"
    lines: list[str] = []
    for index, refusal in enumerate(found):
        if index == 0 or found[index - 1].step != refusal.step:
            lines += ["", refusal.step] if lines else [refusal.step]
        lines.append(f"  {refusal.count} x {refusal.reason}")
        lines += [f"      {node}" for node in refusal.nodes[:NAMES_SHOWN]]
        more = refusal.count - min(len(refusal.nodes), NAMES_SHOWN)
        if more > 0:
            lines.append(
                f"      and {more} more" + ("; --format json has them" if len(refusal.nodes) > NAMES_SHOWN else "")
            )
    return _ascii(lines)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in columns; the last one is as wide as it is."""
    if not rows:
        return []
    width = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)]
    return [
        "  ".join((*(f"{cell:<{wide}}" for cell, wide in zip(row, width, strict=False)), row[-1])).rstrip()
        for row in rows
    ]


def _ascii(lines: Sequence[str]) -> str:
    return ("\n".join(lines) + "\n").encode("ascii", "backslashreplace").decode()
