# SPDX-License-Identifier: Apache-2.0
"""The audit log: which events there are, which keys each has, and where they go.

Events pass through structlog processors of their own; structlog's global configuration is neither read nor changed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from .errors import InternalError, UsageError
from .plain import to_plain

SCHEMA = 2

KEYS: dict[str, str] = {
    "event": "What happened; one of the names in the table of events.",
    "seq": "The number of the event in its run, from 0, without gaps.",
    "schema": "The version of this table.",
    "recipe": "The name of the recipe.",
    "recipe_hash": "SHA-256 of what the resolved recipe does.",
    "resolved": "The resolved recipe, every option included, in the form of a recipe file.",
    "sources": "For each value that is not a default: whether the recipe, a parent or an override gave it, and where.",
    "plan": (
        "The steps in order, each with its id, spec and group, and for each edge that leads to it the reason, the step "
        "or group at its other end, and whether it follows from a fact (hard) or is a wish."
    ),
    "steps": "How many steps the plan has; steps of a group count once.",
    "target": "The opsets to deliver: `opset` and `custom_opsets`.",
    "model": "What the caller says about the model: class, number of parameters and the like.",
    "versions": "The versions of Python and of the packages that take part, where installed.",
    "step": "The id of the step in the recipe.",
    "pass": "The name of the pass.",
    "spec": "The pass with the options that differ from their defaults.",
    "group": "The group that the step repeats in, or null.",
    "round": "Which round of the group this is, from 1; null outside of a group.",
    "index": "The place of the step in the plan, from 1.",
    "reason": "Why a step was skipped.",
    "delta": "Pairs of before and after: nodes, values, initializers and their bytes, functions, nodes by operator.",
    "counts": "The counters of the pass's note pad.",
    "declined": "By reason: how often the pass declined, and at which nodes (the first twenty).",
    "decisions": "What the pass decided on record: what, why, node, and details.",
    "warnings": "What the pass warned of: message and details.",
    "graph": "The structural hash before and after; that before is that after of the step before.",
    "first": "The number of the first node that the step made, and the rest follows; a run numbers nodes from 1.",
    "made": (
        "A row for each new node: operator; the number of the node it was made from, a list of them, or null; where "
        "null, its place as an index of `places`, or null; and then the numbers of the nodes that it reads."
    ),
    "places": "The user's code that nodes of `made` come from: module path, class, source line.",
    "changed": "Nodes that the step edited: number; the operator it has now, or null where only attributes changed.",
    "renamed": "The numbers of the nodes that have another name than before the step.",
    "rewired": (
        "Where the output of a removed node was read: number of the reader (0: an output of the model), of the "
        "removed node, and of the node that is read now (0: a constant or an input)."
    ),
    "removed": "The numbers of the nodes that are gone after the step.",
    "declined_at": "By reason: the numbers of the nodes at which the pass declined.",
    "decided_at": "For decisions at a node: the index in `decisions`, then the number of the node.",
    "names": "The nodes of the graph in the end, in order: number, name.",
    "outputs": "The outputs of the model: name, and the number of the node that makes it, or null.",
    "left_out": "How many entries are not on record because the run has too many; 0 but for very large models.",
    "error": "What ended the step: type, message, where, hint, and the line in the pass.",
    "reproducer": "The folder that holds the rest of the recipe and the graph before the failing step, or null.",
    "rounds": "How many rounds the group ran.",
    "stable": "Whether the group ended because nothing changed any more, and not because its rounds were used up.",
    "status": "How the run ended: done, failed or interrupted.",
    "failed_step": "The id of the step that ended the run, or null.",
    "applied": "How many runs of steps changed the graph.",
    "unchanged": "How many runs of steps did not change the graph.",
    "skipped": "How many steps were skipped.",
    "warned": "How many warnings there were.",
    "nodes": "How many nodes the graph has in the end.",
    "final": "The structural hash in the end.",
    "time": "When the run began, UTC, ISO 8601.",
    "at_ms": "Milliseconds from the beginning of the run to the beginning of what the event is about.",
    "ms": "Milliseconds that it took, on the wall clock.",
    "cpu_ms": "Milliseconds of processor time that it took, all threads together.",
    "peak_mb": "The highest resident memory of the process so far, in MiB, or null where the system does not say.",
}

VOLATILE = ("time", "at_ms", "ms", "cpu_ms", "peak_mb")
"""Keys that differ between two runs on the same input; always the last of an event."""

_STEP = ("event", "seq", "step", "pass", "spec", "group", "round", "index")
_TIMES = ("at_ms", "ms", "cpu_ms", "peak_mb")
_WORK = (*_STEP, "delta", "counts", "declined", "decisions", "warnings", "graph")

EVENTS: dict[str, tuple[str, ...]] = {
    "run.started": (
        *("event", "seq", "schema", "recipe", "recipe_hash", "target", "steps", "model", "versions"),
        *("resolved", "sources", "plan", "time"),
    ),
    "pass.started": (*_STEP, "at_ms"),
    "pass.applied": (*_WORK, *_TIMES),
    "pass.unchanged": (*_WORK, *_TIMES),
    "pass.nodes": (
        *(*_STEP, "first", "made", "places", "changed", "renamed", "rewired", "removed", "declined_at"),
        *("decided_at", "left_out"),
    ),
    "pass.skipped": (*_STEP, "reason"),
    "pass.failed": (*_WORK, "error", "reproducer", *_TIMES),
    "group.finished": ("event", "seq", "group", "index", "rounds", "stable", "graph", *_TIMES),
    "run.nodes": ("event", "seq", "names", "outputs", "left_out"),
    "run.finished": (
        *("event", "seq", "status", "failed_step", "applied", "unchanged", "skipped", "warned", "nodes", "final"),
        *("ms", "cpu_ms", "peak_mb"),
    ),
}
"""The keys of each event, in their order.  `pass.started` is what a killed run leaves as its last line."""

Event = Mapping[str, Any]
Sink = Callable[[Event], None]


class AuditLog:
    """Emits events to sinks, in the order and with the keys of the tables above.

    A sink is anything that can be called with an event, a dictionary of plain data which it must not change.
    """

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self.events: list[dict[str, Any]] = []
        # Built by hand and not by structlog.get_logger, which would read the global configuration.
        bound: Any = structlog.make_filtering_bound_logger(0)
        self._logger = bound(_Fan((self._keep, *sinks)), [_plain, self._numbered, _ordered], {})

    def emit(self, event: str, **values: Any) -> None:
        """Send one event out.

        Raises:
            InternalError: the event is unknown or its keys are not those of the table.
            UsageError: a log file cannot be written.
        """
        self._logger.info(event, **values)

    def _keep(self, event: Event) -> None:
        self.events.append(dict(event))

    def _numbered(self, _: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        event["seq"] = len(self.events)
        return event


class _Fan:
    """What the bound logger wraps: hands an event to each sink in turn."""

    def __init__(self, sinks: tuple[Sink, ...]) -> None:
        self.sinks = sinks

    def info(self, **event: Any) -> None:
        for sink in self.sinks:
            sink(event)


def _plain(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    # The records of nodes are made of plain data, and long.
    if event["event"] in _PLAIN_ALREADY:
        return event
    return {key: _json_ready(value) for key, value in event.items()}


_PLAIN_ALREADY = frozenset(("pass.nodes", "run.nodes"))
_AS_THEY_ARE = frozenset((str, int, bool, type(None)))


def _json_ready(value: Any) -> Any:
    # An event holds hundreds of values, nearly all of the first kinds.
    kind = value.__class__
    if kind in _AS_THEY_ARE:
        return value
    if kind is float:
        # JSON has no word for infinity and not-a-number.
        return value if math.isfinite(value) else str(value)
    if kind is list or kind is tuple:
        return [_json_ready(item) for item in value]
    if kind is dict:
        return {str(key): _json_ready(item) for key, item in value.items()}
    plain = to_plain(value)
    return str(plain) if isinstance(plain, str) else _json_ready(plain)


def _ordered(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    expected = EVENTS.get(event["event"])
    if expected is None:
        raise InternalError(f"no event is called '{event['event']}'", hint=f"one of: {', '.join(EVENTS)}")
    if event.keys() != set(expected):
        wrong = ", ".join(sorted(event.keys() ^ set(expected)))
        raise InternalError(f"event '{event['event']}' has the wrong keys: {wrong}", hint="see EVENTS")
    return {key: event[key] for key in expected}


class JsonLines:
    """A sink that appends each event to a file as one line of JSON, complete as soon as it is there.

    Lines are written unbuffered and in one piece, so what a killed process leaves is valid up to its last line.
    Several runs may share a file: each begins with `run.started`.  Also a context manager.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            # A line that an earlier run could not finish must not spoil the first of this one.
            torn = self.path.exists() and not _ends_with_newline(self.path)
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
            if torn:
                self._file.write(b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def __call__(self, event: Event) -> None:
        """Append one event.  Raises UsageError when the file cannot be written."""
        data = json.dumps(event, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            written = self._file.write(data)
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            f"audit log cannot be written: {error.strerror}", where=str(self.path), hint="another path for the log"
        )


def read_log(path: str | os.PathLike[str]) -> list[list[dict[str, Any]]]:
    """The runs in a JSON-lines log, each as its list of events, in order.

    A line that a killed process left half-written is passed over, as is the empty rest of it.

    Raises:
        UsageError: the file cannot be read, a line is no event of the schema or does not follow from the one before.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"audit log cannot be read: {error.strerror}", where=str(path)) from error
    runs: list[list[dict[str, Any]]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            torn = number == len(lines) or _begins_a_run(lines[number])
            if torn:
                continue
            raise UsageError(f"not a line of JSON: {error}", where=where) from error
        _check(event, runs, where)
        if event["event"] == "run.started":
            runs.append([])
        runs[-1].append(event)
    if not runs:
        raise UsageError("the audit log is empty", where=str(path))
    return runs


def _check(event: Any, runs: list[list[dict[str, Any]]], where: str) -> None:
    """Raise UsageError unless `event` is whole and is what follows the last event of the last run."""
    from .audit_schema import fault_in

    name = event.get("event") if isinstance(event, dict) else None
    if not isinstance(name, str) or name not in EVENTS:
        raise UsageError("not an event of an audit log", where=where, hint="a file written with --log")
    if name == "run.started":
        schema = event.get("schema")
        if schema != SCHEMA:
            newer = isinstance(schema, int) and schema > SCHEMA
            hint = "the lading that wrote it, or a newer one" if newer else "write the log again"
            raise UsageError(f"the log has schema {schema}, and this lading reads {SCHEMA}", where=where, hint=hint)
    elif not runs:
        raise UsageError("the log does not begin with run.started", where=where)
    fault = fault_in(event)
    if fault is not None:
        raise UsageError(f"not an event of an audit log: {fault}", where=where, hint="lading audit --schema says more")
    expected = 0 if name == "run.started" else len(runs[-1])
    if event["seq"] != expected:
        what = "lines are missing, or two runs wrote to the file at once"
        raise UsageError(f"event {event['seq']} stands where event {expected} should: {what}", where=where)
    if name != "run.started" and runs[-1][-1]["event"] == "run.finished":
        raise UsageError(f"{name} after the run has finished", where=where)


def without_volatile(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events without the keys that differ between two runs on the same input."""
    return [{key: value for key, value in event.items() if key not in VOLATILE} for event in events]


def _begins_a_run(line: bytes) -> bool:
    return line.startswith(b'{"event": "run.started"')


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
