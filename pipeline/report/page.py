# SPDX-License-Identifier: Apache-2.0
"""A run as one page for a browser: everything is in the file, and nothing is fetched.

All but the list of nodes is plain HTML, which needs no script.  Whatever comes from the log is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..plain import toml_value
from .compare import compare
from .lines import arrow, milliseconds, operator_changes, plural
from .page_nodes import packed_nodes
from .plan_picture import boxes_of, plan_svg
from .runs import Event, Run, visit_of
from .stories import Stories
from .tree import Leaf, leaves_of
from .views import NAMES_SHOWN, operator_counts, refusals

OPERATORS_SHOWN = 60
_FOLDER = Path(__file__).parent
_SCALE = 1000
_SECTIONS = (
    ("plan", "Plan"),
    ("time", "Time and memory"),
    ("operators", "Operators"),
    ("passes", "Passes"),
    ("declined", "Declined"),
    ("nodes", "Nodes"),
    ("recipe", "Recipe"),
    ("environment", "Environment"),
)


def page(run: Run) -> str:
    """The page of one run, as text of an HTML file."""
    style, script = (_FOLDER.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    title = f"{run.opening['model'].get('class') or 'Export'}, recipe {run.opening['recipe']}"
    stories = Stories.of(run) if run.follows_nodes else None
    bodies = {
        "plan": _plan(run),
        "time": _time(run),
        "operators": _operators(run),
        "passes": _passes(run),
        "declined": _declined(run, stories),
        "nodes": _nodes(stories),
        "recipe": _recipe(run),
        "environment": _environment(run),
    }
    sections = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(heading)}</h2>'
        f"{bodies[name]}</section>"
        for name, heading in _SECTIONS
    )
    links = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading in _SECTIONS)
    policy = (
        f"default-src 'none'; style-src {_hash_of(style)}; script-src {_hash_of(script)}; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}: lading audit</title><style>{style}</style></head><body>"
        '<a class="skip" href="#main">To the content</a>'
        f"<header>{_head(run)}</header>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
        f'<main id="main">{_failure(run)}{sections}</main>'
        f"<footer><p>Written by lading audit. Schema {run.opening['schema']} of the log.</p></footer>"
        f"<script>{script}</script></body></html>\n"
    )


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _head(run: Run) -> str:
    opening, ending = run.opening, run.ending
    model = opening["model"].get("class") or "Export"
    status = "ended early" if ending is None else ending["status"]
    word = "failed" if ending is None else status
    opsets = [f"opset {opening['target']['opset']}"]
    opsets += [f"{domain} {version}" for domain, version in opening["target"]["custom_opsets"].items()]
    lead = f"recipe {opening['recipe']} ({opening['recipe_hash'][:12]}), {', '.join(opsets)}, {opening['time']}"
    return (
        f'<h1>{escape(str(model))} <span class="badge {word}">{escape(status)}</span></h1>'
        f'<p class="lead">{escape(lead)}</p>{_cards(run)}'
    )


def _cards(run: Run) -> str:
    figures = {figure.name: figure.after for figure in compare(run, run).figures}
    parameters = run.opening["model"].get("parameters")
    rows: list[tuple[str, str, str]] = []
    nodes = figures["node-count"]
    if nodes is not None:
        captured = max((event["delta"]["nodes"][1] for event in run.visits), default=0)
        rows.append(("Nodes", f"{nodes:,.0f}", f"at most {captured:,} on the way"))
    if figures["file-size"] is not None:
        weights = figures["initializer-bytes"] or 0
        rows.append(("File", _bytes(figures["file-size"]), f"{_bytes(weights)} of initializers"))
    elif figures["initializer-bytes"] is not None:
        rows.append(("Initializers", _bytes(figures["initializer-bytes"]), "no file was written"))
    if isinstance(parameters, int):
        rows.append(("Parameters", f"{parameters:,}", "of the model"))
    if figures["time"] is not None:
        rows.append(("Time", milliseconds(figures["time"]), f"{milliseconds(figures['cpu-time'] or 0)} of processor"))
    if figures["peak-memory"] is not None:
        rows.append(("Memory", f"{figures['peak-memory']:,.0f} MiB", "highest of the process"))
    rows.append(
        ("Warnings", f"{figures['warnings'] or 0:,.0f}", f"{plural(int(figures['declined'] or 0), 'place')} declined")
    )
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in rows
    )
    return f'<dl class="cards">{cells}</dl>'


def _failure(run: Run) -> str:
    """What ended the run before its time, above everything else."""
    failed = next((event for event in run.visits if event["event"] == "pass.failed"), None)
    running = run.unfinished
    if failed is None and running is None:
        return ""
    if failed is None:
        assert running is not None
        text = (
            f"The log ends while {running['step']} was running, {milliseconds(running['at_ms'])} after the beginning."
        )
        return (
            f'<section class="failure" aria-label="End of the log"><h2>Not finished</h2><p>{escape(text)}</p></section>'
        )
    error = failed["error"]
    lines = [f"{error['type']}: {error['message']}"]
    lines += [f"  {word}: {error[key]}" for word, key in (("at", "where"), ("try", "hint")) if error[key]]
    if failed["reproducer"]:
        lines.append(f"  again: lading replay {failed['reproducer']}")
    return (
        f'<section class="failure" aria-label="Failure"><h2>Failed in {escape(visit_of(failed))}</h2>'
        f'<pre tabindex="0">{escape(chr(10).join(lines))}</pre></section>'
    )


def _outcomes(run: Run) -> dict[str, str]:
    """For each step of the plan the strongest word for what it did."""
    order = ("unchanged", "applied", "running", "failed")
    found: dict[str, str] = {}
    events = [(event["step"], event["event"].removeprefix("pass.")) for event in run.visits]
    running = run.unfinished
    if running is not None:
        events.append((running["step"], "running"))
    for step, word in events:
        if step not in found or order.index(word) > order.index(found[step]):
            found[step] = word
    return found


def _plan(run: Run) -> str:
    boxes = boxes_of(run.opening["plan"], _outcomes(run))
    rows = [
        (box.id, "; ".join(dict.fromkeys(edge.why for edge in box.arrows)) or "nothing has to be before it")
        for box in boxes
    ]
    skipped = [event for event in run.events if event["event"] == "pass.skipped"]
    reasons = "".join(
        f"<details><summary><b>{escape(name)}</b></summary><div class=body>{_list(why.split('; '))}</div></details>"
        for name, why in rows
    )
    left = _list([f"{event['step']}: {event['reason']}" for event in skipped])
    more = f"<h3>Skipped</h3>{left}" if skipped else ""
    return (
        '<p class="note">Solid arrows follow from facts that a pass requires, provides or closes; dotted ones are '
        "wishes. Arrows that follow from others are left out.</p>"
        f'<div class="columns"><div class="scroll">{plan_svg(boxes, "The steps of the plan, in order")}</div>'
        f"<div><h3>Why in this order</h3>{reasons}{more}</div></div>"
    )


def _time(run: Run) -> str:
    total = max([event["at_ms"] + event["ms"] for event in run.visits] or [1.0]) or 1.0
    rows = []
    previous: float | None = None
    for event in run.visits:
        word = event["event"].removeprefix("pass.")
        left, width = event["at_ms"] / total * _SCALE, max(event["ms"] / total * _SCALE, 2)
        peak = event["peak_mb"]
        rise = "" if peak is None or previous is None or peak < previous + 1 else f" (+{peak - previous:,.0f})"
        previous = peak if peak is not None else previous
        memory = "" if peak is None else f"{peak:,.0f}{rise}"
        rows.append(
            f'<tr class="{word}"><th scope="row">{escape(visit_of(event))}</th>'
            f'<td class="bar"><svg viewBox="0 0 {_SCALE} 14" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect x="{left:.1f}" width="{width:.1f}" y="2" height="10" rx="2"/></svg></td>'
            f'<td class="n">{escape(milliseconds(event["ms"]))}</td>'
            f'<td class="n cpu">{escape(milliseconds(event["cpu_ms"]))}</td><td class="n">{memory}</td></tr>'
        )
    return (
        '<p class="note">Each bar is one run of a step, from the beginning of the export to its end. Memory is the '
        "highest that the process has had so far, in MiB, and by how much the step raised it.</p>"
        f"{_memory(run, total)}"
        '<table class="waterfall"><thead><tr><th scope="col">step</th><th scope="col">when</th>'
        '<th scope="col" class="n">time</th><th scope="col" class="n">processor</th>'
        f'<th scope="col" class="n">memory</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _memory(run: Run, total: float) -> str:
    points = [(e["at_ms"] + e["ms"], e["peak_mb"]) for e in run.visits if e["peak_mb"] is not None]
    if len(points) < 2:
        return ""
    low, high = points[0][1] * 0.9, max(peak for _, peak in points)
    span = (high - low) or 1
    path = f"M0 100V{100 - (points[0][1] - low) / span * 92:.1f}"
    for at, peak in points:
        path += f"H{at / total * _SCALE:.1f}V{100 - (peak - low) / span * 92:.1f}"
    label = f"Highest memory of the process over time, from {points[0][1]:,.0f} to {high:,.0f} MiB"
    return (
        f'<p class="caption" aria-hidden="true">{escape(label)}</p>'
        f'<svg class="memory" viewBox="0 0 {_SCALE} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}"><path d="{path}H{_SCALE}V100z"/></svg>'
    )


def _operators(run: Run) -> str:
    counts = operator_counts(run)
    columns = [
        (visit, table) for index, (visit, table) in enumerate(counts) if index == 0 or table != counts[index - 1][1]
    ]
    columns = [(visit, table) for visit, table in columns if table]
    if not columns:
        return '<p class="empty">No node was ever there.</p>'
    most = {name: max(table.get(name, 0) for _, table in columns) for _, table in columns for name in table}
    final = columns[-1][1]
    names = sorted(most, key=lambda name: (-final.get(name, 0), -most[name], name))
    head = "".join(f'<th scope="col" class="n">{escape(visit).replace("/", "/<wbr>")}</th>' for visit, _ in columns)
    high = max(most.values())
    body = "".join(
        _operator_row(name, [table.get(name, 0) for _, table in columns], high) for name in names[:OPERATORS_SHOWN]
    )
    more = f"<p>and {len(names) - OPERATORS_SHOWN} more operators.</p>" if len(names) > OPERATORS_SHOWN else ""
    return (
        '<p class="note">How many nodes of each operator there are after every step that changed any of them; those of '
        "the file first.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="operators-title">'
        f'<table class="operators"><thead><tr><th scope="col">operator</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{more}"
    )


def _operator_row(name: str, counts: Sequence[int], high: int) -> str:
    """A row of the table, each count shaded by its logarithm as a share of that of the highest count of all."""
    cells, previous = [], 0
    for count in counts:
        shade = f' class="h{min(4, 1 + int(4 * math.log(count) / math.log(high + 1)))}"' if count else ""
        difference = f"<small>{count - previous:+,}</small>" if count != previous and previous else ""
        cells.append(
            f"<td{shade}>{count or ''}{difference if count else ('<small>0</small>' if previous else '')}</td>"
        )
        previous = count
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'


def _passes(run: Run) -> str:
    return "".join(_pass(event) for event in run.visits) or '<p class="empty">No pass ended.</p>'


def _pass(event: Event) -> str:
    word = event["event"].removeprefix("pass.")
    nodes = event["delta"]["nodes"]
    change = operator_changes(event["delta"], shown=3)
    brief = "; ".join(part for part in (f"{arrow(nodes)} nodes" if nodes[0] != nodes[1] else "", change) if part)
    body = [f'<p class="mono">{escape(event["spec"])}</p>']
    if event["delta"]["operators"]:
        pairs = [(name, f"{before} -> {after}") for name, (before, after) in event["delta"]["operators"].items()]
        body.append(f"<h3>Operators</h3>{_rows(pairs)}")
    others = ("values", "initializers", "initializer_bytes", "functions")
    figures = [
        (key.replace("_", " "), arrow(event["delta"][key])) for key in others if len(set(event["delta"][key])) > 1
    ]
    figures += [(name, f"{count:,}") for name, count in event["counts"].items()]
    if figures:
        body.append(f"<h3>Counts</h3>{_rows(figures)}")
    for kind, heading in (
        ("warning", "Warnings"),
        ("decided", "Decisions"),
        ("declined", "Declined"),
        ("failed", "Failure"),
    ):
        said = [leaf for leaf in leaves_of(event, every=True) if leaf.kind == kind]
        if said:
            body.append(f"<h3>{heading}</h3>{_leaves(said)}")
    marks = "".join(
        f' <span class="badge {style}">{escape(plural(count, name))}</span>'
        for count, name, style in ((len(event["warnings"]), "warning", "warning"),)
        if count
    )
    return (
        f"<details{' open' if word == 'failed' else ''}><summary><b>{escape(visit_of(event))}</b>"
        f'<span class="{word}">{word}</span>{marks}<span class="grow">{escape(brief)}</span>'
        f'<span class="ms">{escape(milliseconds(event["ms"]))}</span></summary><div class="body">{"".join(body)}</div>'
        "</details>"
    )


def _leaves(leaves: Iterable[Leaf]) -> str:
    return _list([leaf.text for leaf in leaves])


def _declined(run: Run, stories: Stories | None) -> str:
    found = refusals(run, stories)
    if not found:
        return '<p class="empty">No pass declined anything.</p>'
    parts = ['<p class="note">What passes could have done and chose not to, with the reason and the nodes.</p>']
    for refusal in found:
        more = refusal.count - min(len(refusal.nodes), NAMES_SHOWN)
        nodes = [*refusal.nodes[:NAMES_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        parts.append(
            f"<details><summary><b>{escape(refusal.step)}</b>"
            f'<span class="grow">{escape(refusal.reason)}</span><span class="ms">{refusal.count:,}</span></summary>'
            f'<div class="body">{_list(nodes)}</div></details>'
        )
    return "".join(parts)


def _nodes(stories: Stories | None) -> str:
    if stories is None:
        return '<p class="empty">This log does not follow nodes: export with --log-level nodes.</p>'
    missing = (
        f" The log left out {stories.left_out:,} entries, because the run had too many." if stories.left_out else ""
    )
    return (
        '<p class="note">Each node of the file, and its story back to your line. The search takes names, operators, '
        f"modules, source lines and #numbers; / goes to it, the arrow keys go through the list.{escape(missing)}</p>"
        '<div class="search"><input type="search" id="search" disabled autocomplete="off" spellcheck="false" '
        'aria-label="Search nodes" aria-controls="list" placeholder="Search: attention MatMul, model.py:42, #17">'
        '<label><input type="checkbox" id="gone" disabled> also those that are gone</label>'
        '<span id="count" role="status">Unpacking the nodes…</span></div>'
        '<div class="nodes"><div id="list" role="listbox" tabindex="0" aria-label="Nodes"></div>'
        '<article id="story" aria-live="polite" tabindex="0" aria-label="Story of a node">'
        '<p class="empty">Choose a node to read its story.</p></article></div>'
        "<noscript><p>The list of nodes needs JavaScript; lading audit LOG --node NAME tells the same.</p></noscript>"
        f'<script type="text/plain" id="packed">{packed_nodes(stories)}</script>'
    )


def _recipe(run: Run) -> str:
    opening = run.opening
    sources = opening["sources"]
    lines = []
    for key, value in (("recipe", opening["resolved"]["recipe"]), ("target", opening["resolved"]["target"])):
        lines += _table_lines(key, key, value, sources)
    for step, table in opening["resolved"]["step"].items():
        lines += _table_lines(f"step.{step}", step, table, sources)
    return (
        '<p class="note">The resolved recipe, every option included, with the place that each value comes from where '
        "it is not the default. As a file it makes the same run again.</p>"
        f'<pre tabindex="0" role="region" aria-labelledby="recipe-title">{"".join(lines).strip()}</pre>'
    )


def _table_lines(title: str, step: str, table: Mapping[str, Any], sources: Mapping[str, Any]) -> list[str]:
    lines = [f"\n[{escape(title)}]\n"]
    for key, value in table.items():
        source = sources.get(f"{step}.{key}")
        remark = (
            ""
            if source is None
            else f'  <span class="from"># {escape(source["source"])}: {escape(source["where"])}</span>'
        )
        lines.append(f"{escape(key)} = {escape(_toml(value))}{remark}\n")
    return lines


def _toml(value: Any) -> str:
    try:
        return toml_value(value)
    except (TypeError, ValueError):
        return str(value)


def _environment(run: Run) -> str:
    opening = run.opening
    model = [(str(key), str(value)) for key, value in opening["model"].items() if value is not None]
    return f"<h3>Versions</h3>{_rows(opening['versions'].items())}<h3>Model</h3>{_rows(model)}"


def _rows(pairs: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(str(value))}</td></tr>' for name, value in pairs
    )
    return f'<div class="scroll"><table><tbody>{body}</tbody></table></div>'


def _list(entries: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(entry)}</li>' for entry in entries)}</ul>"


def _bytes(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
