# SPDX-License-Identifier: Apache-2.0
"""Taking both sides of the branches that a model's Python takes on values.

What a tensor holds is not known before the exported model runs, so a branch on it has no way that is the example's. The
model is recorded with the one answer, and once more with the other. Up to the branch both recordings are the same
program, which has the value that was asked for; from there on an If chooses between them.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import onnx_ir as ir
from lading.passes.control_flow import BodyNames
from lading.passes.signature.arguments import Arguments
from lading.passes.trace.capture import Branch, Capture
from lading.passes.trace.failures import asks_for_a_value
from lading.passes.trace.sides.joining import Way, joined
from lading.passes.trace.sides.merging import Unmergeable, same_program
from lading.pipeline.errors import CaptureError, LadingError

_AT_ONE_LINE = 16
"""Branches of one line up to which a way is followed: a loop that ends by a value has no end of them."""

Record = Callable[[Arguments], tuple[ir.Model, Capture]]


def both_ways(arguments: Arguments, record: Record, model: ir.Model, capture: Capture) -> tuple[ir.Model, Capture]:
    """Put the other sides of its branches on values into a recorded graph.

    Args:
        arguments: what was recorded, and how many further recordings there may be.
        record: records it once, with the answers to branches on values that the arguments have.
        model: the graph of one way.
        capture: what is known of it, the branches among that.

    Raises:
        CaptureError: a side cannot be recorded, two sides have no common graph, or there are too many.
    """
    ways = _Ways(arguments, record)
    way = ways.settled(Way(model, capture), 0)
    return way.model, attrs.evolve(way.capture, decisions=tuple(dict.fromkeys((*way.capture.decisions, *ways.notes))))


class _Ways:
    def __init__(self, arguments: Arguments, record: Record) -> None:
        self._arguments = arguments
        self._record = record
        self._left = arguments.value_recordings
        self._names = BodyNames()
        self.notes: list[tuple[str, str, str]] = []

    def _other_side(self, way: Way, place: int) -> Way:
        """Record the other side of a branch of a way."""
        *before, branch = way.capture.branches[: place + 1]
        if sum(one.source == branch.source for one in way.capture.branches) > _AT_ONE_LINE:
            raise _refused(branch, f", and it asks more than {_AT_ONE_LINE} times at this line")
        if not self._left:
            count = self._arguments.value_recordings
            raise _refused(branch, f", and {count} further recordings do not show all ways")
        self._left -= 1
        answers = (*(one.outcome for one in before), not branch.outcome)
        try:
            return Way(*self._record(attrs.evolve(self._arguments, value_answers=answers)))
        except LadingError as error:
            why = error.what.splitlines()[0]
            raise _refused(branch, f"; one of the two sides cannot be captured: {why}") from error

    def settled(self, way: Way, first: int) -> Way:
        """Put the other sides of the branches from the one at `first` on into a graph.

        Both sides are followed to their ends before they are compared: Python may keep an answer that makes a
        difference only where a later one goes the other way.
        """
        branches = way.capture.branches
        if first == len(branches):
            return way
        branch = branches[first]
        other = self._other_side(way, first)
        here, there = self.settled(way, first + 1), self.settled(other, first + 1)
        if same_program(here.recording, there.recording, self._names):
            self.notes.append(("branch without effect", f"both sides are one program: {branch.text}", branch.source))
            return _without(here, first)
        if not branch.outcome:
            here, there = there, here
        left, right = (side.capture.branches[first] for side in (here, there))
        guards = dict.fromkeys((*here.capture.guards, *there.capture.guards))
        try:
            found = joined(here, there, (left.condition, right.condition), tuple(guards), self._names)
        except Unmergeable as why:
            raise _refused(branch, f"; the two sides have no common graph: {why}") from why
        self.notes.append(("both sides kept", f"the file chooses at run time: {branch.text}", branch.source))
        return _without(found, first)


def _refused(branch: Branch, why: str) -> CaptureError:
    return asks_for_a_value(f"{branch.source}: {branch.text}", why)


def _without(way: Way, first: int) -> Way:
    """Return a way without the branch at `first`, which is the last open one."""
    return attrs.evolve(way, capture=attrs.evolve(way.capture, branches=way.capture.branches[:first]))
