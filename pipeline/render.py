# SPDX-License-Identifier: Apache-2.0
"""Plans, recipes and audit records for reading: text, Mermaid, plain data, and tables.

Text is ASCII.  `rich` is imported only where a table of it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .declare import OPTION_METADATA
from .plain import to_plain, toml_value
from .structure import NONE_TEXT, describe, option_types

if TYPE_CHECKING:
    from rich.table import Table

    from .plan import Edge, Plan, PlanNode
    from .resolve import ResolvedRecipe

Event = Mapping[str, Any]


def plan_text(plan: Plan) -> str:
    """The plan for a terminal: the order, under each step the reasons for its place, then what is skipped and why."""
    recipe = plan.recipe
    opset = recipe.opset
    lines = [f"recipe {recipe.name}: {recipe.about}"]
    if len(recipe.lineage) > 1:
        lines.append(f"extends {' -> '.join(recipe.lineage[1:])}")
    lines.append(f"opset {opset.value}  ({opset.source}: {opset.where})")
    for domain, version in recipe.custom_opsets.value.items():
        lines.append(f"opset {version} of {domain}")
    lines.append(f"hash {recipe.hash[:16]}")
    lines.append("")
    width = len(str(len(plan.nodes)))
    indent = " " * (width + 2)
    for number, node in enumerate(plan.nodes, start=1):
        lines.append(f"{number:>{width}}  {_node_label(node)}")
        if node.group is not None:
            lines += [f"{indent}  - {_step_label(step.id, step.spec)}" for step in node.steps]
        reasons: dict[str, list[str]] = {}
        for edge in plan.edges:
            if edge.then == node.id:
                reasons.setdefault(edge.first, []).append(edge.why)
        lines += [f"{indent}  after {first}: {'; '.join(why)}" for first, why in reasons.items()]
    if plan.skipped:
        lines += ["", "skipped"]
        lines += [f"{indent}{_step_label(skip.id, skip.spec)}: {skip.why}" for skip in plan.skipped]
    return "\n".join(lines) + "\n"


def plan_mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart: solid arrows follow from facts, dotted ones are wishes.

    Arrows that follow from others are left out.
    """
    from .plan import essential_edges

    number = {node.id: f"s{index}" for index, node in enumerate(plan.nodes, start=1)}
    lines = ["flowchart TD"]
    for node in plan.nodes:
        if node.group is None:
            lines.append(f'    {number[node.id]}["{_escaped(_step_label(node.id, node.steps[0].spec))}"]')
            continue
        lines.append(f'    subgraph {number[node.id]}["{_escaped(_node_label(node))}"]')
        for index, step in enumerate(node.steps, start=1):
            lines.append(f'        {number[node.id]}m{index}["{_escaped(_step_label(step.id, step.spec))}"]')
        members = [f"{number[node.id]}m{index}" for index in range(1, len(node.steps) + 1)]
        if len(members) > 1:
            lines.append(f"        {' --> '.join(members)}")
        lines.append("    end")
    labels: dict[tuple[str, str], list[Edge]] = {}
    for edge in essential_edges(plan):
        labels.setdefault((edge.first, edge.then), []).append(edge)
    for (first, then), edges in labels.items():
        arrow = "-->" if any(edge.hard for edge in edges) else "-.->"
        why = "<br/>".join(_escaped(edge.why) for edge in edges)
        lines.append(f'    {number[first]} {arrow}|"{why}"| {number[then]}')
    for index, skip in enumerate(plan.skipped, start=1):
        lines.append(f'    x{index}["{_escaped(_step_label(skip.id, skip.spec))}<br/>skipped: {_escaped(skip.why)}"]')
        lines.append(f"    style x{index} stroke-dasharray: 4 4")
    return "\n".join(lines) + "\n"


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for JSON."""
    return {
        "recipe": plan.recipe.name,
        "about": plan.recipe.about,
        "recipe_hash": plan.recipe.hash,
        "target": {"opset": plan.recipe.opset.value, "custom_opsets": to_plain(plan.recipe.custom_opsets.value)},
        "order": [
            {
                "id": node.id,
                "group": node.group is not None,
                "rounds": None if node.group is None else node.group.rounds,
                "steps": [{"id": step.id, "pass": step.declaration.name, "spec": step.spec} for step in node.steps],
                "requires": sorted(str(fact) for fact in node.requires),
                "provides": sorted(str(fact) for fact in node.provides),
            }
            for node in plan.nodes
        ],
        "edges": [{"first": edge.first, "then": edge.then, "why": edge.why, "hard": edge.hard} for edge in plan.edges],
        "skipped": [{"id": skip.id, "pass": skip.pass_name, "why": skip.why} for skip in plan.skipped],
    }


def recipe_text(resolved: ResolvedRecipe) -> str:
    """The resolved recipe as TOML, each value that is not a default with a comment that says where it came from."""
    lines = []
    sources = resolved.sources()
    step = ""
    for line in resolved.to_toml().splitlines():
        if line.startswith("["):
            step = line.strip("[]").removeprefix("step.")
        key = line.partition(" = ")[0]
        setting = sources.get(f"{step}.{key}")
        if setting is not None and setting.source != "default":
            line = f"{line}  # {setting.source}: {setting.where}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def pass_text(pass_class: Any) -> str:
    """A pass for a terminal: its docstring, facts, wishes, and options with type, default and help."""
    declaration = pass_class.declaration
    lines = [declaration.name, *(f"  {line}".rstrip() for line in declaration.doc.splitlines()), ""]
    for label in ("requires", "provides", "closes", "after", "before"):
        names = [str(name) for name in getattr(declaration, label)]
        if names:
            lines.append(f"  {label:<9} {', '.join(names)}")
    if declaration.needs_opset is not None:
        lines.append(f"  needs     opset {declaration.needs_opset}")
    for row in option_rows(pass_class):
        lines += ["", f"  {row['name']} = {row['default']}   ({row['type']})", f"      {row['help']}"]
    return "\n".join(lines) + "\n"


def option_rows(pass_class: Any) -> list[dict[str, str]]:
    """For each option of a pass: name, type in words with its limits, default as TOML, and help."""
    types = option_types(pass_class)
    rows = []
    for field in pass_class.__attrs_attrs__:
        declared = field.metadata.get(OPTION_METADATA)
        default = field.default.factory() if hasattr(field.default, "factory") else field.default
        words = describe(types[field.name])
        if declared is not None and declared.choices is not None:
            words = " or ".join(NONE_TEXT if choice is None else str(choice) for choice in declared.choices)
        if declared is not None and declared.at_least is not None:
            words += f", at least {declared.at_least}"
        if declared is not None and declared.at_most is not None:
            words += f", at most {declared.at_most}"
        if declared is not None and not declared.in_recipe:
            words += ", from Python only"
        shown = NONE_TEXT if default is None else toml_value(to_plain(default))
        help_text = "" if declared is None else declared.help
        rows.append({"name": field.name, "type": words, "default": shown, "help": help_text})
    return rows


def event_line(event: Event) -> str | None:
    """One event as one line for a terminal or a plain log, or None for those that only the log needs."""
    kind = event["event"]
    if kind == "run.started":
        opset = event["target"]["opset"]
        return f"recipe {event['recipe']} ({event['recipe_hash'][:12]}), opset {opset}, {event['steps']} steps"
    if kind == "pass.skipped":
        return f"{'':>8}  {event['step']:<22} skipped: {event['reason']}"
    if kind in ("pass.applied", "pass.unchanged", "pass.failed"):
        return f"{_milliseconds(event['ms']):>8}  {_visit(event):<22} {_what_happened(event)}"
    if kind == "group.finished":
        ending = "stable" if event["stable"] else "rounds used up, not stable"
        return f"{_milliseconds(event['ms']):>8}  {event['group']:<22} {_plural(event['rounds'], 'round')}, {ending}"
    if kind == "run.finished":
        endings = {"done": "done", "failed": f"failed in {event['failed_step']}", "interrupted": "interrupted"}
        counts = f"{_plural(event['nodes'], 'node')}, {_plural(event['warned'], 'warning')}"
        return f"{_milliseconds(event['ms']):>8}  {endings[event['status']]}: {counts}"
    return None


def audit_rows(events: Iterable[Event]) -> list[dict[str, str]]:
    """The runs of steps in a log, one row each: step, outcome, nodes, change, notes, time."""
    rows = []
    for event in events:
        kind = event["event"]
        if kind == "pass.skipped":
            outcome, nodes, change, notes, spent = "skipped", "", "", event["reason"], ""
        elif kind in ("pass.applied", "pass.unchanged", "pass.failed"):
            outcome, nodes = kind.removeprefix("pass."), _arrow(event["delta"]["nodes"])
            change, notes = operator_changes(event["delta"]), notes_text(event)
            spent = _milliseconds(event["ms"])
        else:
            continue
        row = {"step": _visit(event), "outcome": outcome, "nodes": nodes, "change": change}
        rows.append({**row, "notes": notes, "time": spent})
    return rows


def audit_text(events: Sequence[Event]) -> str:
    """The audit table as plain text, for a stream that is no terminal."""
    rows = audit_rows(events)
    columns = ("step", "outcome", "nodes", "time")
    width = {key: max([len(key), *(len(row[key]) for row in rows)]) for key in columns}
    lines = [line for event in events if event["event"] == "run.started" and (line := event_line(event))]
    lines.append("  ".join(f"{key:<{width[key]}}" for key in columns) + "  change; notes")
    for row in rows:
        detail = "; ".join(part for part in (row["change"], row["notes"]) if part)
        lines.append("  ".join(f"{row[key]:<{width[key]}}" for key in columns) + f"  {detail}".rstrip())
    lines += [line for event in events if event["event"] == "run.finished" and (line := event_line(event))]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def audit_table(events: Sequence[Event]) -> Table:
    """The audit table for a terminal, as a rich Table."""
    from rich.table import Table
    from rich.text import Text

    styles = {"applied": "green", "unchanged": "dim", "skipped": "yellow", "failed": "bold red"}
    titles = [event_line(event) for event in events if event["event"] == "run.started"]
    endings = [event_line(event) for event in events if event["event"] == "run.finished"]
    # Text and not markup: a spec may hold brackets.
    table = Table(
        title=Text(titles[0]) if titles and titles[0] else None,
        caption=Text((endings[0] or "").strip()) if endings else Text("the log ends before the run did"),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("step", no_wrap=True)
    table.add_column("outcome")
    table.add_column("nodes", justify="right", no_wrap=True)
    table.add_column("change", overflow="fold")
    table.add_column("notes", overflow="fold")
    table.add_column("time", justify="right", no_wrap=True)
    for row in audit_rows(events):
        style = styles[row["outcome"]]
        cells = [Text(row[key]) for key in ("step", "outcome", "nodes", "change", "notes", "time")]
        cells[1].stylize(style)
        table.add_row(*cells, style="dim" if row["outcome"] in ("unchanged", "skipped") else None)
    return table


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
    count = f"{_arrow(nodes)} nodes" if nodes[0] != nodes[1] else ""
    parts = [part for part in (count, change, notes_text(event)) if part]
    outcome = event["event"].removeprefix("pass.")
    return f"{outcome}: {'; '.join(parts)}" if parts else outcome


def _visit(event: Event) -> str:
    return event["step"] if event["group"] is None else f"{event['group']}/{event['step']} #{event['round']}"


def _arrow(pair: Sequence[int]) -> str:
    return f"{pair[0]} -> {pair[1]}" if pair[0] != pair[1] else str(pair[1])


def _milliseconds(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.1f} ms"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _node_label(node: PlanNode) -> str:
    if node.group is None:
        return _step_label(node.id, node.steps[0].spec)
    return f"{node.id}: until nothing changes, at most {_plural(node.group.rounds, 'round')}"


def _step_label(step: str, spec: str) -> str:
    return spec if spec == step or spec.startswith(f"{step}{{") else f"{step}: {spec}"


def _escaped(text: str) -> str:
    return text.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
