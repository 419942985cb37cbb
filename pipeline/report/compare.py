# SPDX-License-Identifier: Apache-2.0
"""How two runs differ: recipe, plan, operators, files, times; and limits that a build holds the difference to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from ..errors import UsageError, did_you_mean
from ..plain import toml_value
from .lines import milliseconds
from .runs import Event, Run, visit_of
from .text import columns


@attrs.frozen
class Figure:
    """One number of both runs; None where a run does not say it."""

    name: str
    before: float | None
    after: float | None

    @property
    def growth(self) -> float | None:
        """By how much it grew, in percent; None where a run does not say it or it was nothing before."""
        if self.before is None or self.after is None or self.before == 0:
            return None
        return (self.after - self.before) / self.before * 100


@attrs.frozen
class Comparison:
    """The differences of two runs; a table is empty where nothing differs."""

    recipe: dict[str, tuple[Any, Any]]
    versions: dict[str, tuple[Any, Any]]
    plan: list[str]
    operators: dict[str, tuple[int, int]]
    steps: dict[str, tuple[str, str]]
    figures: list[Figure]
    same_graph: bool

    def figure(self, name: str) -> Figure:
        """The figure of a name that is one of `FIGURES`."""
        return next(figure for figure in self.figures if figure.name == name)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data for JSON."""
        return attrs.asdict(self)


FIGURES: dict[str, tuple[str, Callable[[Run], float | None]]] = {
    "node-count": ("nodes in the end", lambda run: _ending(run, "nodes")),
    "file-size": ("bytes of the file and its external data", lambda run: _count(run, "serialize", "bytes")),
    "initializer-bytes": ("bytes of the initializers", lambda run: _last_delta(run, "initializer_bytes")),
    "initializer-count": ("initializers", lambda run: _last_delta(run, "initializers")),
    "time": ("milliseconds on the wall clock", lambda run: _ending(run, "ms")),
    "cpu-time": ("milliseconds of processor time", lambda run: _ending(run, "cpu_ms")),
    "peak-memory": ("MiB of resident memory at the highest", lambda run: _ending(run, "peak_mb")),
    "warnings": ("warnings", lambda run: _ending(run, "warned")),
    "declined": ("places where a pass declined", lambda run: _declined(run)),
}
"""What `--fail-on NAME+LIMIT` can be about: for each name what it is, and how a run says it."""

SWITCHES: dict[str, tuple[str, Callable[[Comparison], list[str]]]] = {
    "new-op": (
        "an operator that the first run did not end with",
        lambda found: [f"{name} is new" for name, (before, _) in found.operators.items() if not before],
    ),
    "lost-op": (
        "an operator that the second run no longer ends with",
        lambda found: [f"{name} is gone" for name, (_, after) in found.operators.items() if not after],
    ),
    "graph": (
        "another graph in the end, by its structural hash",
        lambda found: [] if found.same_graph else ["the graphs differ"],
    ),
    "recipe": (
        "a value of the recipe that differs",
        lambda found: [f"{key}: {_valued(a)} -> {_valued(b)}" for key, (a, b) in found.recipe.items()],
    ),
    "plan": ("steps that were added, left out or moved", lambda found: list(found.plan)),
}
"""What `--fail-on NAME` can be about: for each name what it is, and what of a comparison breaks it."""


@attrs.frozen
class Limit:
    """One `--fail-on`: a figure that may grow by so much, or a switch."""

    text: str
    name: str
    amount: float | None = None
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read `node-count+5%`, `file-size+1024`, `op:Transpose+0`, `new-op`.

        Raises:
            UsageError: it is no limit.
        """
        if text in SWITCHES:
            return cls(text, text)
        match = re.fullmatch(r"(?P<name>op:.+|[a-z-]+)\+(?P<amount>\d+(?:\.\d+)?)(?P<percent>%?)", text)
        if match and (match["name"] in FIGURES or match["name"].startswith("op:")):
            return cls(text, match["name"], float(match["amount"]), bool(match["percent"]))
        name = text.partition("+")[0]
        if match is None and (name in FIGURES or name.startswith("op:")):
            raise UsageError(f"--fail-on {text} states no limit", hint=f"{name}+0, {name}+5%")
        if name in SWITCHES:
            raise UsageError(f"--fail-on {text}: {name} takes no number", hint=name)
        raise UsageError(
            f"--fail-on {text}: nothing is called '{name}'",
            hint=did_you_mean(name, [*FIGURES, *SWITCHES, "op:OPERATOR"]),
        )

    def broken_by(self, found: Comparison) -> list[str]:
        """What breaks the limit, in words; nothing where it holds.

        Raises:
            UsageError: a run does not say what the limit is about.
        """
        if self.amount is None:
            return [f"{self.text}: {what}" for what in SWITCHES[self.name][1](found)]
        figure = self._figure(found)
        if figure.before is None or figure.after is None:
            which = "first" if figure.before is None else "second"
            raise UsageError(f"--fail-on {self.text}: the {which} run does not say its {self.name}")
        allowed = figure.before * self.amount / 100 if self.percent else self.amount
        if figure.after - figure.before <= allowed:
            return []
        return [f"{self.text}: {_number(figure.name, figure.before)} -> {_number(figure.name, figure.after)}"]

    def _figure(self, found: Comparison) -> Figure:
        operator = self.name.removeprefix("op:")
        if operator == self.name:
            return found.figure(self.name)
        before, after = found.operators.get(operator, (0, 0))
        return Figure(operator, before, after)


def compare(one: Run, other: Run) -> Comparison:
    """The differences of two runs."""
    ends = [_final_operators(run) for run in (one, other)]
    resolved = [
        _flat(run.opening["resolved"]["step"]) | _flat({"target": run.opening["resolved"]["target"]})
        for run in (one, other)
    ]
    return Comparison(
        recipe=_differences(*resolved),
        versions=_differences(one.opening["versions"], other.opening["versions"]),
        plan=list(_plan_differences(_order(one), _order(other))),
        operators={
            name: (ends[0][name], ends[1][name])
            for name in sorted(ends[0].keys() | ends[1].keys())
            if ends[0][name] != ends[1][name]
        },
        steps=_step_differences(one, other),
        figures=[Figure(name, read(one), read(other)) for name, (_, read) in FIGURES.items()],
        same_graph=_ending_hash(one) is not None and _ending_hash(one) == _ending_hash(other),
    )


def comparison_text(found: Comparison) -> str:
    """The comparison as text; ASCII."""
    lines: list[str] = []
    rows = [("", "first", "second", "change")]
    for figure in found.figures:
        if figure.before is None and figure.after is None:
            continue
        change = "" if figure.growth is None or figure.before == figure.after else f"{figure.growth:+.1f} %"
        rows.append((figure.name, _number(figure.name, figure.before), _number(figure.name, figure.after), change))
    lines += columns(rows)
    lines += ["", "the graphs are the same" if found.same_graph else "the graphs differ"]
    tables: tuple[tuple[str, Mapping[str, tuple[Any, Any]], Callable[[Any], str]], ...] = (
        ("operators", found.operators, _said),
        ("recipe", found.recipe, _valued),
        ("versions", found.versions, _said),
        ("steps", found.steps, _said),
    )
    for title, table, say in tables:
        if table:
            lines += ["", title, *columns([(f"  {key}", f"{say(a)} -> {say(b)}") for key, (a, b) in table.items()])]
    if found.plan:
        lines += ["", "plan", *(f"  {line}" for line in found.plan)]
    return ("\n".join(lines) + "\n").encode("ascii", "backslashreplace").decode()


def _said(value: Any) -> str:
    return "-" if value is None else str(value)


def _valued(value: Any) -> str:
    """A value of a recipe as a recipe file has it."""
    return "-" if value is None else toml_value(value)


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "?"
    if name in ("time", "cpu-time"):
        return milliseconds(value)
    return f"{value:,.1f}" if isinstance(value, float) and not value.is_integer() else f"{int(value):,}"


def _ending(run: Run, key: str) -> float | None:
    value = None if run.ending is None else run.ending[key]
    return None if value is None else float(value) if isinstance(value, float) else value


def _ending_hash(run: Run) -> str | None:
    return None if run.ending is None else run.ending["final"]


def _count(run: Run, pass_name: str, counter: str) -> float | None:
    found = [event["counts"].get(counter) for event in run.visits if event["pass"] == pass_name]
    return found[-1] if found else None


def _last_delta(run: Run, key: str) -> float | None:
    return run.visits[-1]["delta"][key][1] if run.visits else None


def _declined(run: Run) -> float:
    # A step that repeats declines the same in every round; its last visit counts.
    last: dict[str, Event] = {f"{event['group']}/{event['step']}": event for event in run.visits}
    return float(sum(entry["count"] for event in last.values() for entry in event["declined"].values()))


def _final_operators(run: Run) -> Counter[str]:
    counts: Counter[str] = Counter()
    for event in run.visits:
        for name, (before, after) in event["delta"]["operators"].items():
            counts[name] += after - before
    return counts


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        key: (before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    }


def _order(run: Run) -> list[str]:
    return [
        entry["step"] if entry["group"] is None else f"{entry['group']}/{entry['step']}"
        for entry in run.opening["plan"]
    ]


def _plan_differences(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    for step in before:
        if step not in after:
            yield f"{step} no longer runs"
    for step in after:
        if step not in before:
            yield f"{step} runs now"
    common = [step for step in before if step in after]
    moved = [step for step in after if step in before]
    if common != moved:
        first = next(new for old, new in zip(common, moved, strict=True) if old != new)
        yield f"the order differs from {first} on"


def _step_differences(one: Run, other: Run) -> dict[str, tuple[str, str]]:
    """Visits that both runs have and that ended otherwise or left another number of nodes."""
    runs = [{visit_of(event): event for event in run.visits} for run in (one, other)]
    found = {}
    for visit, event in runs[0].items():
        if visit in runs[1]:
            said = [
                f"{e['event'].removeprefix('pass.')}, {e['delta']['nodes'][1]} nodes" for e in (event, runs[1][visit])
            ]
            if said[0] != said[1]:
                found[visit] = (said[0], said[1])
    return found
