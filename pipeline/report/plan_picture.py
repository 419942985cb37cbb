# SPDX-License-Identifier: Apache-2.0
"""A plan as a picture: boxes in the order of the run, arrows for the edges that do not follow from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import attrs

BOX_WIDTH, BOX_HEIGHT, MEMBER_HEIGHT, GAP, LEFT, ARC = 280, 36, 26, 24, 12, 26
_CHARACTERS = 30
_ALONE = ' xmlns="http://www.w3.org/2000/svg"'


@attrs.frozen
class Arrow:
    """An edge to a box: from which one, why, and whether it follows from a fact or is a wish."""

    first: str
    why: str
    hard: bool


@attrs.frozen
class Member:
    """A step of a box, with the word for what it did in the run, or "" for none."""

    id: str
    outcome: str = ""


@attrs.frozen
class Box:
    """A step, or a group with its steps."""

    id: str
    members: tuple[Member, ...]
    group: bool
    arrows: tuple[Arrow, ...] = ()

    @property
    def height(self) -> int:
        """How high the box is drawn."""
        return BOX_HEIGHT + (len(self.members) * MEMBER_HEIGHT + 8 if self.group else 0)


def boxes_of(plan: Sequence[Mapping[str, Any]], outcomes: Mapping[str, str]) -> list[Box]:
    """The boxes of a plan as `run.started` has it; `outcomes` gives a word for the id of each step."""
    boxes: dict[str, Box] = {}
    for entry in plan:
        name = entry["group"] or entry["step"]
        members = (
            *(boxes[name].members if name in boxes else ()),
            Member(entry["step"], outcomes.get(entry["step"], "")),
        )
        rows = zip(entry["after"], entry["why"], entry["hard"], strict=False)
        arrows = tuple(Arrow(first, why, hard) for first, why, hard in rows)
        boxes[name] = Box(name, members, entry["group"] is not None, arrows)
    return list(boxes.values())


def plan_svg(boxes: Sequence[Box], title: str, style: str | None = None) -> str:
    """The picture as an SVG element; colours are those of the page, by class.

    With a `style` sheet of its own, it is a document that stands alone.
    """
    tops: dict[str, int] = {}
    y = 6
    for box in boxes:
        tops[box.id] = y
        y += box.height + GAP
    place = {box.id: index for index, box in enumerate(boxes)}
    kept = _essential(boxes)
    reach = max((place[then] - place[first] for first, then in kept), default=1)
    width = LEFT + BOX_WIDTH + 14 + (ARC * min(reach, 6) if reach > 1 else 0)
    parts = [
        f'<svg{_ALONE if style else ""} class="plan" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
        f'role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title><style>{escape(style)}</style>" if style else "",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    by_id = {box.id: box for box in boxes}
    for then in boxes:
        for first, arrows in _grouped(then).items():
            if (first, then.id) in kept:
                steps = place[then.id] - place[first]
                parts.append(_arrow(by_id[first], then, tops, steps, arrows))
    parts += [_box(box, tops[box.id]) for box in boxes]
    return "".join([*parts, "</svg>"])


def _essential(boxes: Sequence[Box]) -> set[tuple[str, str]]:
    """The pairs of boxes whose arrow does not follow from others; a log may hold anything, also what is no order."""
    import networkx as nx

    place = {box.id: index for index, box in enumerate(boxes)}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(place)
    for box in boxes:
        graph.add_edges_from((a.first, box.id) for a in box.arrows if place.get(a.first, len(place)) < place[box.id])
    return set(nx.transitive_reduction(graph).edges)


def _grouped(box: Box) -> dict[str, list[Arrow]]:
    found: dict[str, list[Arrow]] = {}
    for arrow in box.arrows:
        found.setdefault(arrow.first, []).append(arrow)
    return found


def _arrow(first: Box, then: Box, tops: Mapping[str, int], steps: int, arrows: Sequence[Arrow]) -> str:
    kind = "hard" if any(arrow.hard for arrow in arrows) else "wish"
    if steps == 1:
        x = LEFT + BOX_WIDTH // 2
        path = f"M{x} {tops[first.id] + first.height}V{tops[then.id] - 1}"
    else:
        x = LEFT + BOX_WIDTH
        start, end = tops[first.id] + first.height - 12, tops[then.id] + 14
        out = x + 8 + ARC * min(steps, 6)
        path = f"M{x} {start}C{out} {start} {out} {end} {x + 1} {end}"
    why = "; ".join(arrow.why for arrow in arrows)
    return f'<path class="{kind}" d="{path}" marker-end="url(#tip)"><title>{escape(why)}</title></path>'


def _box(box: Box, top: int) -> str:
    outcome = box.members[0].outcome if not box.group and box.members else "group"
    parts = [
        f'<rect class="box {_word(outcome)}" x="{LEFT}" y="{top}" width="{BOX_WIDTH}" height="{box.height}" rx="8"/>',
        f'<text class="name" x="{LEFT + 14}" y="{top + 23}">{escape(_short(box.id))}</text>',
    ]
    if not box.group:
        parts.append(_mark(outcome, top + 23))
        return "".join(parts)
    parts.append(f'<text class="mark" x="{LEFT + BOX_WIDTH - 12}" y="{top + 23}">until stable</text>')
    for index, member in enumerate(box.members):
        y = top + BOX_HEIGHT + index * MEMBER_HEIGHT
        rect = f'x="{LEFT + 8}" y="{y}" width="{BOX_WIDTH - 16}" height="{MEMBER_HEIGHT - 3}" rx="5"'
        parts.append(f'<rect class="box {_word(member.outcome)}" {rect}/>')
        parts.append(f'<text class="name" x="{LEFT + 18}" y="{y + 16}">{escape(_short(member.id))}</text>')
        parts.append(_mark(member.outcome, y + 16))
    return "".join(parts)


def _mark(outcome: str, y: int) -> str:
    return f'<text class="mark" x="{LEFT + BOX_WIDTH - 14}" y="{y}">{escape(outcome)}</text>' if outcome else ""


def _word(outcome: str) -> str:
    if outcome.startswith("skipped"):
        return "skipped"
    return outcome if outcome in ("applied", "unchanged", "failed", "running", "group") else "waiting"


def _short(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
