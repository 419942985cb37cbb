# SPDX-License-Identifier: Apache-2.0
"""What a run did to one operator, and what its passes chose not to do: plain data for text, JSON and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import attrs

from ..errors import UsageError, did_you_mean
from .runs import OUTCOMES, Event, Run, visit_of
from .stories import Life, Stories

NAMES_SHOWN = 20


@attrs.frozen
class OperatorStep:
    """What one visit did to the nodes of an operator.

    `made` counts new nodes and those that became one, `removed` those that are gone or became something else; both are
    None where the log does not follow nodes, and only the `before` and `after` are known.
    """

    visit: str
    before: int
    after: int
    made: int | None
    removed: int | None


@attrs.frozen
class OperatorHistory:
    """An operator through a run: each visit that touched it, and the nodes that are left."""

    operator: str
    steps: list[OperatorStep]
    left: list[dict[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """The history as plain data for JSON."""
        return {
            "operator": self.operator,
            "steps": [attrs.asdict(step) for step in self.steps],
            "left": self.left,
        }


def operator_history(run: Run, wanted: str) -> OperatorHistory:
    """Which visits made and removed how many nodes of an operator, and which nodes of it are left.

    `wanted` is the name as the log has it (`Transpose`, `aten::add.Tensor`); without overload it means each of them.

    Raises:
        UsageError: no such operator came up.
    """
    names = {name for event in run.visits for name in event["delta"]["operators"]}
    if not names & set(_matching(names, wanted)):
        raise UsageError(
            f"no node of the run was ever a {wanted}",
            hint=did_you_mean(wanted, names, otherwise=", ".join(sorted(names))),
        )
    meant = set(_matching(names, wanted))
    stories = Stories.of(run) if run.follows_nodes else None
    moves = _moves(run, meant) if stories is not None else {}
    steps, count = [], 0
    for index, event in enumerate(run.visits):
        changes = [pair for name, pair in event["delta"]["operators"].items() if name in meant]
        before, count = count, count + sum(after - before for before, after in changes)
        made, removed = moves.get(index, (0, 0)) if stories is not None else (None, None)
        if changes or made or removed:
            steps.append(OperatorStep(visit_of(event), before, count, made, removed))
    left = [] if stories is None else [_described(stories, life) for life in stories.final() if life.operator in meant]
    return OperatorHistory(wanted, steps, left)


def _matching(names: set[str], wanted: str) -> list[str]:
    return [name for name in names if name == wanted or ("::" in name and name.rpartition(".")[0] == wanted)]


def _moves(run: Run, meant: set[str]) -> dict[int, tuple[int, int]]:
    """For each visit, by its number, how many nodes became one of the operators and how many ceased to be one."""
    operators: dict[int, str] = {}
    found: dict[int, tuple[int, int]] = {}
    index = -1
    for event in run.events:
        if event["event"] in OUTCOMES:
            index += 1
        if event["event"] != "pass.nodes":
            continue
        made = removed = 0
        for number, row in enumerate(event["made"], start=event["first"]):
            operators[number] = row[0]
            made += row[0] in meant
        for number, operator in event["changed"]:
            if operator is not None:
                removed += operators.get(number) in meant and operator not in meant
                made += operator in meant and operators.get(number) not in meant
                operators[number] = operator
        removed += sum(operators.pop(number, None) in meant for number in event["removed"])
        found[index] = (made, removed)
    return found


def _described(stories: Stories, life: Life) -> dict[str, str]:
    places = stories.places(life)
    return {"node": life.name or f"#{life.number}", "place": str(places[0]) if places else ""}


@attrs.frozen
class Refusal:
    """What a step declined to do for one reason: the count of its last visit that did, and nodes."""

    step: str
    visits: list[str]
    reason: str
    count: int
    nodes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The refusal as plain data for JSON."""
        return attrs.asdict(self)


def refusals(run: Run, stories: Stories | None = None) -> list[Refusal]:
    """What passes chose not to do and why, by step and reason, in the order of the run.

    A step that repeats declines the same in every round; the last round counts.  `stories` are those of the run, if
    they have been read already.
    """
    if stories is None and run.follows_nodes:
        stories = Stories.of(run)
    found: dict[tuple[str, str], Refusal] = {}
    for event, numbers in _with_numbers(run):
        step = event["step"] if event["group"] is None else f"{event['group']}/{event['step']}"
        for reason, entry in event["declined"].items():
            earlier = found.get((step, reason))
            labels = _labels(stories, numbers.get(reason, ())) or list(entry["nodes"])
            visits = [*(earlier.visits if earlier else ()), visit_of(event)]
            found[step, reason] = Refusal(step, visits, reason, entry["count"], labels)
    return list(found.values())


def _with_numbers(run: Run) -> Iterator[tuple[Event, dict[str, list[int]]]]:
    """Each visit with the numbers of the nodes at which it declined, which a later event may hold."""
    waiting: Event | None = None
    for event in run.events:
        if event["event"] in OUTCOMES:
            if waiting is not None:
                yield waiting, {}
            waiting = event
        elif event["event"] == "pass.nodes" and waiting is not None:
            yield waiting, event["declined_at"]
            waiting = None
    if waiting is not None:
        yield waiting, {}


def _labels(stories: Stories | None, numbers: list[int] | tuple[int, ...]) -> list[str]:
    """Nodes by the names that they have in the file, with where they come from."""
    labels = []
    for number in dict.fromkeys(numbers):
        life = None if stories is None else stories.lives.get(number)
        if stories is None or life is None:
            continue
        places = stories.places(life)
        name = f"{life.operator} {life.name or f'#{number}'}"
        labels.append(f"{name} in {places[0]}" if places else name)
    return labels


def operator_counts(run: Run) -> list[tuple[str, dict[str, int]]]:
    """The count of each operator after every visit, in order."""
    counts: Counter[str] = Counter()
    found = []
    for event in run.visits:
        for name, (before, after) in event["delta"]["operators"].items():
            counts[name] += after - before
        found.append((visit_of(event), {name: count for name, count in sorted(counts.items()) if count}))
    return found
