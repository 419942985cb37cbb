# SPDX-License-Identifier: Apache-2.0
"""One run of a log, with the questions that every view of it asks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ..audit import read_log
from ..errors import UsageError

Event = Mapping[str, Any]

OUTCOMES = ("pass.applied", "pass.unchanged", "pass.failed")


@attrs.frozen
class Run:
    """The events of one run, as read from a log or as an export gives them."""

    events: Sequence[Event]

    @classmethod
    def from_log(cls, path: str | os.PathLike[str], number: int = -1) -> Run:
        """Read one run of a log: 0 is the first, -1 the last.

        Raises:
            UsageError: the log cannot be read, is damaged, or holds no such run.
        """
        runs = read_log(path)
        try:
            return cls(runs[number])
        except IndexError as error:
            held = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
            raise UsageError(
                f"the log holds {held}, and not run {number}", where=str(path), hint="-1 is the last, 0 the first"
            ) from error

    @property
    def opening(self) -> Event:
        """The event `run.started`."""
        return self.events[0]

    @property
    def ending(self) -> Event | None:
        """The event `run.finished`, or None where the log ends before the run did."""
        last = self.events[-1]
        return last if last["event"] == "run.finished" else None

    @property
    def visits(self) -> list[Event]:
        """The event that ended each run of a step, in order."""
        return [event for event in self.events if event["event"] in OUTCOMES]

    @property
    def unfinished(self) -> Event | None:
        """`pass.started` of the pass that was at work when the log ended, or None."""
        if self.ending is not None:
            return None
        for event in reversed(self.events):
            if event["event"] in OUTCOMES:
                return None
            if event["event"] == "pass.started":
                return event
        return None

    @property
    def follows_nodes(self) -> bool:
        """Whether nodes are on record."""
        return any(event["event"] in ("pass.nodes", "run.nodes") for event in self.events)


def visit_of(event: Event) -> str:
    """Which run of which step an event is about: `lower`, `tidy/fold-constants #2`."""
    step = str(event["step"])
    return step if event["group"] is None else f"{event['group']}/{step} #{event['round']}"
