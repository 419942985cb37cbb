# SPDX-License-Identifier: Apache-2.0
"""Plans, recipes and passes for reading: text, Mermaid and plain data.  Text is ASCII."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .declare import OPTION_METADATA
from .plain import to_plain, toml_value
from .structure import NONE_TEXT, describe, option_types

if TYPE_CHECKING:
    from .plan import Edge, Plan, PlanNode
    from .recipe import Setting
    from .resolve import ResolvedRecipe


def plan_text(plan: Plan) -> str:
    """The plan for a terminal: the order, under each step the reasons for its place, then what is skipped and why."""
    recipe = plan.recipe
    opset = recipe.opset
    lines = [f"recipe {recipe.name}: {recipe.about}"]
    if len(recipe.lineage) > 1:
        lines.append(f"extends {' -> '.join(recipe.lineage[1:])}")
    if recipe.defaults is not None:
        given = [key for key, setting in recipe.sources().items() if setting.where.startswith(f"{recipe.defaults}:")]
        lines.append(f"defaults of the project: {', '.join([recipe.defaults, *given])}")
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
        "defaults": plan.recipe.defaults,
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


def recipe_text(resolved: ResolvedRecipe, *, defaults: bool = False) -> str:
    """The resolved recipe as TOML, each value with a comment that says where it came from.

    A value that is a default has one only where `defaults` is set.
    """
    lines = []
    sources = resolved.sources()
    step = ""
    for line in resolved.to_toml().splitlines():
        if line.startswith("["):
            step = line.strip("[]").removeprefix("step.")
        key = line.partition(" = ")[0]
        setting = sources.get(f"{step}.{key}")
        if setting is not None and (defaults or setting.source != "default"):
            line = f"{line}  # {_origin(setting)}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def recipe_sources(resolved: ResolvedRecipe) -> dict[str, dict[str, Any]]:
    """Every value of a recipe by its dotted key, with its kind of source and the place, as plain data."""
    return {
        key: {"value": to_plain(setting.value), "source": setting.source, "where": setting.where}
        for key, setting in resolved.sources().items()
    }


def _origin(setting: Setting) -> str:
    # "default: default of …" would say it twice.
    return setting.where if setting.source == "default" else f"{setting.source}: {setting.where}"


def pass_text(pass_class: Any) -> str:
    """A pass for a terminal: its docstring, facts, wishes, and options with type, default and help."""
    declaration = pass_class.declaration
    lines = [declaration.name, *(f"  {line}".rstrip() for line in declaration.doc.splitlines()), ""]
    for label in _ORDERING:
        names = [str(name) for name in getattr(declaration, label)]
        if names:
            lines.append(f"  {label:<9} {', '.join(names)}")
    if declaration.needs_opset is not None:
        lines.append(f"  needs     opset {declaration.needs_opset}")
    for row in option_rows(pass_class):
        lines += ["", f"  {row['name']} = {row['default']}   ({row['type']})", f"      {row['help']}"]
    return "\n".join(lines) + "\n"


def pass_data(pass_class: Any) -> dict[str, Any]:
    """A pass as plain data, for JSON."""
    declaration = pass_class.declaration
    return {
        "name": declaration.name,
        "about": declaration.about,
        "doc": declaration.doc,
        **{label: [str(name) for name in getattr(declaration, label)] for label in _ORDERING},
        "needs_opset": declaration.needs_opset,
        "options": option_rows(pass_class),
    }


_ORDERING = ("requires", "provides", "closes", "after", "before")


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
