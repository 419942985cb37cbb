# SPDX-License-Identifier: Apache-2.0
"""A plan that has not run as a picture in a file of its own."""

from __future__ import annotations

from ..plan import Plan, PlanNode
from .plan_picture import Arrow, Box, Member, plan_svg

STYLE = """
svg { color-scheme: light dark; --card: #fff; --soft: #eef2f5; --ink: #17212b; --dim: #51606f; --line: #66747f;
  font: 13px system-ui, sans-serif; background: var(--card); }
@media (prefers-color-scheme: dark) {
  svg { --card: #161d25; --soft: #1d2630; --ink: #e4ebf1; --dim: #9dadbb; --line: #8898a6; }
}
.box { fill: var(--soft); stroke: var(--line); } .box.group { fill: var(--card); }
.box.skipped { fill: none; stroke-dasharray: 4 3; }
.name { fill: var(--ink); font-weight: 550; } .mark { fill: var(--dim); text-anchor: end; font-size: 11.5px; }
path { fill: none; stroke: var(--line); stroke-width: 1.4; } marker path { fill: var(--line); stroke: none; }
.wish { stroke-dasharray: 3 4; }
"""


def plan_file(plan: Plan) -> str:
    """The plan as the text of an SVG file: the order downwards, an arrow for each edge that follows from no others.

    A picture viewer shows the reason of an arrow that the pointer rests on.  What is skipped stands below, with why.
    """
    boxes = [_box(plan, node) for node in plan.nodes]
    boxes += [Box(skip.id, (Member(skip.id, f"skipped: {skip.why}"),), group=False) for skip in plan.skipped]
    title = f"The plan of {plan.recipe.name}, for opset {plan.recipe.opset.value}"
    return plan_svg(boxes, title, style=STYLE) + "\n"


def _box(plan: Plan, node: PlanNode) -> Box:
    return Box(
        node.id,
        tuple(Member(step.id) for step in node.steps),
        group=node.group is not None,
        arrows=tuple(Arrow(edge.first, edge.why, edge.hard) for edge in plan.edges if edge.then == node.id),
    )
