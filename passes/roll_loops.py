# SPDX-License-Identifier: Apache-2.0
"""Loops of Python over a free axis, as loops of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.pipeline.declare import a_pass
from lading.pipeline.facts import Fact

if TYPE_CHECKING:
    from lading.passes.trace.capture import Capture, Guard, Specialisation
    from lading.pipeline.note import Note
    from lading.pipeline.work import Work


@a_pass("roll-loops", requires=(Fact.GRAPH,))
class RollLoops:
    """Write loops that the model's Python runs over a dynamic axis as loops.

    Why: `for t in range(x.shape[1])` runs in Python while the model is captured, so that the graph has as many copies
    of the body as the example is long, and is right for that length alone.

    The model is recorded at two other lengths. Aligned, the two recordings show what is repeated, what an iteration
    reads of the one before it, and how numbers grow; the repeated part becomes one Loop. Two longer recordings have to
    follow the same rules. A short one that does not is another side of the graph, and where one of many iterations does
    not, the longest that does is a limit. Several loops over the axis, one after the other, forwards and backwards, are
    rolled each.

    A loop may also run as often as a number says that is read off the axis, such as the pieces of `x.split(4, 1)` or
    `range(length // 2)`: the recordings are of other such numbers then. A last piece of another size stands behind it.

    Declines when: iterations differ; the number of iterations is not that number (up to a constant); more than
    one axis drives loops; the model has data-dependent control flow beside the loop; it cannot be recorded at other
    lengths. The axis is fixed then, as `dynamic-axes` says, with the line and the reason.
    """

    def run(self, work: Work, note: Note) -> None:
        """Put the rolled graph in the place of the one that holds for a single length."""
        capture = work.need(Fact.GRAPH)
        special = _driving(work, capture)
        counted = None if special is not None else _counted(work, capture)
        if capture.again is None or (special is None and counted is None):
            return
        from lading.passes.rolling.programs import CannotRoll
        from lading.passes.rolling.recordings import Driver, driver_of, rolled

        if special is not None:
            driver = driver_of(special)
        else:
            assert counted is not None
            assert counted.expression is not None
            (axis,) = counted.expression.free_symbols
            driver = Driver(axis.name, counted.expression, counted.source)
        arguments = capture.again.arguments
        try:
            with arguments.small_weights_loaded():
                found = rolled(arguments, driver)
        except CannotRoll as why:
            note.declined(driver.source or driver.axis, f"the loop over '{driver.axis}' stays written out: {why}")
            if special is not None:
                _advise(work, capture, special, str(why))
            return
        import attrs

        before = len(work.need_model().graph)
        capture.again.finish(found.model, attrs.evolve(found.capture, again=capture.again), work, note)
        note.count("loops", found.loops)
        for decision in found.capture.decisions:
            if decision not in capture.decisions:
                what, reason, source = decision
                note.decided(what, reason, source=source)
        note.decided(
            "loop rolled up",
            f"Python runs over '{driver.axis}'; recorded at {', '.join(map(str, found.lengths))}",
            source=driver.source,
            axis=driver.axis,
            nodes_before=before,
        )


def _driving(work: Work, capture: Capture) -> Specialisation | None:
    """Return the axis that Python has read, if it is the only one that the capture fixes against the user's wish."""
    fixed = capture.fixed_against(work.need(Fact.ARGUMENTS).relaxed_axes)
    return fixed[0] if capture.strategy == "record" and len(fixed) == 1 and fixed[0].read else None


def _counted(work: Work, capture: Capture) -> Guard | None:
    """Return the number that was read off the size of one axis, if it is the only one that the graph relies on."""
    if capture.strategy != "record" or capture.fixed_against(work.need(Fact.ARGUMENTS).relaxed_axes):
        return None
    numbers = [one for one in capture.guards if not (one.harmless or one.declared or isinstance(one.outcome, bool))]
    if not numbers or any(one.expression is None or one.expression != numbers[0].expression for one in numbers):
        return None
    assert numbers[0].expression is not None
    return numbers[0] if len(numbers[0].expression.free_symbols) == 1 else None


def _advise(work: Work, capture: Capture, special: Specialisation, why: str) -> None:
    import attrs

    advice = (
        f"the loop over '{special.axis}' could not be rolled up, since {why}; "
        "written with torch.scan(step, state, rows) it is one for every length"
    )
    others = [one for one in capture.specialisations if one is not special]
    fixed = (*others, attrs.evolve(special, advice=advice))
    work.provide(Fact.GRAPH, attrs.evolve(capture, specialisations=fixed))
