# SPDX-License-Identifier: Apache-2.0
"""Two ways through one model made into one, with what was decided on both."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import onnx_ir as ir
from lading.passes.control_flow import BodyNames
from lading.passes.trace.capture import Branch, Capture, Guard
from lading.passes.trace.sides.merging import Condition, Recording, Unmergeable, merged
from lading.passes.trace.sides.paddings import NOTHING_SETTLED, Settled


@attrs.frozen(eq=False)
class Way:
    """One way through the model: the graph, the decisions on it, the sizes that lead there, and what is settled."""

    model: ir.Model
    capture: Capture
    sizes: dict[str, int] = attrs.field(factory=dict)
    settled: Settled = NOTHING_SETTLED

    @property
    def recording(self) -> Recording:
        """The graph with all that it is for: outputs, writes to buffers, and what open branches ask for."""
        asked = (branch.condition for branch in self.capture.branches)
        return Recording(self.model, (*self.model.graph.outputs, *self.capture.buffer_writes.values(), *asked))


def joined(here: Way, there: Way, condition: Condition, guards: Sequence[Guard], names: BodyNames) -> Way:
    """Return one way that is `here` where a condition holds, and `there` where it does not.

    Args:
        here: the one way.
        there: the other one, with as many open branches.
        condition: what chooses at run time.
        guards: what is left of the decisions of both.
        names: gives names to the branches of the graph.

    Raises:
        Unmergeable: they have no common graph.
    """
    here, there = _writing_alike(here, there)
    written = list(here.capture.buffer_writes)
    if written != list(there.capture.buffer_writes):
        raise Unmergeable("they write to different buffers")
    model, results = merged(here.recording, there.recording, names, condition)
    writes = results[len(model.graph.outputs) :][: len(written)]
    asked = results[len(model.graph.outputs) + len(written) :]
    left, right = here.capture, there.capture
    capture = attrs.evolve(
        left,
        guards=tuple(guards),
        specialisations=tuple({one.axis: one for one in (*right.specialisations, *left.specialisations)}.values()),
        buffer_writes=dict(zip(written, writes, strict=True)),
        baked=tuple(dict.fromkeys((*left.baked, *right.baked))),
        branches=tuple(_asking(branch, value) for branch, value in zip(left.branches, asked, strict=True)),
        constants={**right.constants, **left.constants},
        tied={**right.tied, **left.tied},
        held={**right.held, **left.held},
        remade={**right.remade, **left.remade},
        decisions=tuple(dict.fromkeys((*left.decisions, *right.decisions))),
    )
    return Way(model, capture, here.sizes, here.settled)


def _asking(branch: Branch, condition: ir.Value) -> Branch:
    return attrs.evolve(branch, condition=condition)


def _writing_alike(here: Way, there: Way) -> tuple[Way, Way]:
    """Let a side that leaves a buffer as it is write that value, where only the other one writes to it."""
    names = dict.fromkeys((*here.capture.buffer_writes, *there.capture.buffer_writes))
    found = []
    for side in (here, there):
        kept = side.model.graph.initializers
        known = {**kept, **side.capture.buffer_writes}
        writes = {name: known[name] for name in names if name in known}
        if len(writes) < len(names):
            return here, there
        found.append(attrs.evolve(side, capture=attrs.evolve(side.capture, buffer_writes=writes)))
    return found[0], found[1]
