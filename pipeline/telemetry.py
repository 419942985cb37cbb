# SPDX-License-Identifier: Apache-2.0
"""Sinks that hand the events of a run on: to Python's `logging`, and as spans to OpenTelemetry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from .audit import Event
from .errors import UsageError
from .report.lines import event_line
from .report.runs import visit_of

LOGGER = "lading"

logging.getLogger(LOGGER).addHandler(logging.NullHandler())

_LEVELS = {"pass.failed": logging.ERROR, "run.started": logging.INFO, "run.finished": logging.INFO}


class StandardLog:
    """A sink that writes to the logger `lading`, with the event itself in the record's `lading_event`.

    Steps are debug messages, the beginning and the end of a run are information, warnings and failures what they are.
    Nothing is shown unless the application has set logging up.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER)

    def __call__(self, event: Event) -> None:
        """Log one event."""
        level = _LEVELS.get(event["event"], logging.DEBUG)
        if self._logger.isEnabledFor(level):
            line = event_line(event)
            if line is not None:
                self._logger.log(level, "%s", " ".join(line.split()), extra={"lading_event": event})
        for warning in event.get("warnings") or ():
            self._logger.warning("%s: %s", event["step"], warning["message"], extra={"lading_event": event})


class Spans:
    """A sink that makes a span of a run and one of each run of a step in it, for OpenTelemetry.

    The span of the run is a child of the span that is current when the export begins; while a pass runs its span is
    the current one, so that what the pass calls is placed below it.  One instance serves runs one after the other.
    """

    def __init__(self, tracer: Any = None) -> None:
        """Take a tracer, by default that of the provider which the application has set.

        Raises:
            UsageError: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry import context, trace
        except ImportError as error:
            raise UsageError("OpenTelemetry is not installed", hint="pip install 'lading[otel]'") from error
        self._trace, self._context = trace, context
        self._tracer = tracer if tracer is not None else trace.get_tracer("lading")
        self._open: list[tuple[Any, Any]] = []

    def __call__(self, event: Event) -> None:
        """Begin or end a span."""
        kind = event["event"]
        if kind == "run.started":
            self._begin("lading.export", _of_run(event))
        elif kind == "pass.started":
            self._begin(f"lading.pass {event['step']}", _of_step(event))
        elif kind in ("pass.applied", "pass.unchanged", "pass.failed"):
            self._end(event, _of_outcome(event))
        elif kind == "pass.skipped" and self._open:
            said = {"lading.step": event["step"], "lading.reason": event["reason"]}
            self._open[-1][0].add_event("pass skipped", said)
        elif kind == "run.finished":
            while len(self._open) > 1:
                self._close()
            self._end(event, {"lading.status": event["status"], "lading.nodes": event["nodes"]})

    def _begin(self, name: str, attributes: dict[str, Any]) -> None:
        span = self._tracer.start_span(name, attributes=attributes)
        self._open.append((span, self._context.attach(self._trace.set_span_in_context(span))))

    def _end(self, event: Event, attributes: dict[str, Any]) -> None:
        if not self._open:
            return
        span = self._open[-1][0]
        span.set_attributes(attributes)
        for warning in event.get("warnings") or ():
            span.add_event("warning", {"message": warning["message"]})
        failure = event.get("error")
        if failure is not None:
            said = {"exception.type": failure["type"], "exception.message": failure["message"]}
            span.add_event("exception", said)
        if failure is not None or event.get("status") in ("failed", "interrupted"):
            text = failure["message"] if failure is not None else event["status"]
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, text))
        self._close()

    def _close(self) -> None:
        span, token = self._open.pop()
        self._context.detach(token)
        span.end()


def _of_run(event: Event) -> dict[str, Any]:
    found = {
        "lading.recipe": event["recipe"],
        "lading.recipe_hash": event["recipe_hash"],
        "lading.opset": event["target"]["opset"],
        "lading.steps": event["steps"],
    }
    if event["model"].get("class"):
        found["lading.model"] = event["model"]["class"]
    return found


def _of_step(event: Event) -> dict[str, Any]:
    found = {"lading.step": event["step"], "lading.pass": event["pass"], "lading.visit": visit_of(event)}
    if event["group"] is not None:
        found.update({"lading.group": event["group"], "lading.round": event["round"]})
    return found


def _of_outcome(event: Event) -> dict[str, Any]:
    before, after = event["delta"]["nodes"]
    return {
        "lading.outcome": event["event"].removeprefix("pass."),
        "lading.nodes.before": before,
        "lading.nodes.after": after,
        "lading.declined": sum(entry["count"] for entry in event["declined"].values()),
        **dict(_counters(event)),
    }


def _counters(event: Event) -> Iterator[tuple[str, int]]:
    for name, count in event["counts"].items():
        yield f"lading.count.{name.replace(' ', '_')}", count
