# SPDX-License-Identifier: Apache-2.0
"""The pass that captures the model as an ATen-dialect graph."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lading.passes.trace.strategies import NAMES
from lading.pipeline.declare import a_pass, option
from lading.pipeline.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir
    from lading.passes.signature.arguments import Arguments
    from lading.passes.trace.capture import Capture
    from lading.passes.trace.earlier_state import EarlierState
    from lading.pipeline.note import Note
    from lading.pipeline.work import Work


@a_pass("trace", requires=(Fact.ARGUMENTS,), provides=(Fact.GRAPH,))
class Trace:
    """Capture the model as a graph of ATen operators.

    The model runs once, on tensors without data: in-place writes and views become pure operators, composites worth
    keeping stay whole, dynamic axes stay symbols, and every node knows its module and the user's source line. The
    model and the state of torch are afterwards what they were.

    What capture decided is recorded: guards on sizes, requested axes that became constants, buffers that the model
    writes. Example outputs, where the caller gives them, must have the number, types and sizes of the outputs found.

    A branch of the model's Python on the values of a tensor is followed on both sides as well, one more recording for
    each, and becomes an If. Where a side cannot be recorded, the two have no common graph, or Python wants a number, it
    is an error that quotes the user's line.

    A decision that the model's Python takes on a free size (`if length > 512`) is followed on both sides: the model is
    recorded again at sizes that turn it. One program on both sides means that the decision has no effect; two become
    one graph with an If; where they cannot, the decision limits the sizes for which the file is right.

    A size that the model's Python hands to `int` stays a size, where the number would fix an axis.

    Axes that the caller calls dynamic without a name (`Dim.AUTO`, `Dim.DYNAMIC`), and that the model needs to be as
    long as others, or a number longer, get the name of those, or an expression over it.

    Libraries ask whether an export is under way, and take another path if so: `torch.onnx.is_in_onnx_export`,
    `torch.compiler.is_compiling`, `is_exporting`, `torch.jit.is_tracing`. `answers` says which of them get a yes
    ("onnx-export", "compiling", "exporting", "tracing") while the model runs.

    A tensor that is neither parameter nor buffer nor input becomes an initializer under the name of where the model's
    code has it: an attribute, also in a list, dict or object there, a global, a variable of an enclosing function.
    Where the model has made it in an earlier call, for the sizes or from the values of that call's inputs,
    `earlier_state` says what is done. Functions under `functools.cache` compute anew what they return.

    With `buffer_outputs`, what the model writes to its buffers (the running statistics of a BatchNorm in training)
    follows the model's outputs, as `1.running_mean.updated`; otherwise it is left out, and that is on record.
    """

    strategy: str = option("auto", help="How the model is captured.", choices=NAMES)
    buffer_outputs: bool = option(
        False, help="Give what the model writes to its buffers (running statistics) as outputs, after the model's own."
    )

    answers: tuple[str, ...] = option(
        ("onnx-export", "compiling", "exporting"),
        help="Which questions of libraries, whether an export is under way, are answered with yes.",
        choices=("onnx-export", "compiling", "exporting", "tracing"),
    )

    bake_branches: bool = option(
        False,
        help="Where the model's Python asks for a value of the inputs, take the example's; each is recorded.",
    )

    earlier_state: str = option(
        "warn",
        help="What to do about a tensor that the model has made in an earlier call, from that call's inputs: warn and "
        "keep it where it fixes no axis, error, or renew, which records the model as though it had not been called.",
        choices=("warn", "error", "renew"),
    )

    other_sides: int = option(
        32,
        help="How many further recordings may show the other sides of decisions on free sizes; 0 keeps the example's.",
        at_least=0,
    )

    value_sides: int = option(
        32,
        help="How many further recordings may show the other sides of branches on values; 0 makes an error of one.",
        at_least=0,
    )

    def run(self, work: Work, note: Note) -> None:
        """Provide `Fact.GRAPH` and set the work's model."""
        from functools import partial

        import attrs
        from lading.passes.trace import strategies
        from lading.passes.trace.capture import Again
        from lading.passes.trace.earlier_state import EarlierState

        earlier = EarlierState(strategies.find("record"))
        arguments = attrs.evolve(
            work.need(Fact.ARGUMENTS),
            answers=self.answers,
            bake_branches=self.bake_branches,
            value_recordings=0 if self.bake_branches else self.value_sides,
        )
        names = strategies.for_arguments(arguments) if self.strategy == "auto" else (self.strategy,)
        # Names for weights are given below, to what the graph uses in the end.
        unnamed = attrs.evolve(arguments, parameter_names=())
        with arguments.small_weights_loaded():
            unnamed, work.model, capture = self._captured(unnamed, names, earlier, note)
        arguments = attrs.evolve(unnamed, parameter_names=arguments.parameter_names)
        work.provide(Fact.ARGUMENTS, arguments)
        capture = capture.with_decided_axes()
        capture = attrs.evolve(capture, again=Again(unnamed, partial(self._finish, arguments)))
        self._finish(arguments, work.model, capture, work, note)
        note.count("nodes", len(work.model.graph))
        note.decided("answered with yes", "libraries ask whether an export is under way", questions=list(self.answers))
        self._say_what_is_earlier(unnamed, work.need(Fact.GRAPH), earlier, note)
        _report(work.need(Fact.GRAPH), note, state_is_output=self.buffer_outputs)

    def _captured(
        self, arguments: Arguments, names: Sequence[str], earlier: EarlierState, note: Note
    ) -> tuple[Arguments, ir.Model, Capture]:
        """Capture, and in other ways where the capture needs sizes that another one may leave free."""
        from lading.pipeline.errors import LadingError

        arguments, model, capture, found = self._tied(arguments, names, note)
        renewed = self._renewed(arguments, capture, earlier)
        if renewed is not None:
            with contextlib.suppress(LadingError):
                other = self._tied(renewed, (capture.strategy,), note)
                if self.earlier_state == "renew" or _sizes_needed(other[2]) < _sizes_needed(capture):
                    arguments, model, capture, found = other
        note.decisions.extend(found.decisions)
        return arguments, model, capture

    def _tied(
        self, arguments: Arguments, names: Sequence[str], note: Note
    ) -> tuple[Arguments, ir.Model, Capture, Note]:
        """Capture, and again for as long as a capture shows how axes without names hang together."""
        from lading.passes.trace import strategies
        from lading.passes.trace.unnamed_axes import tie_axes
        from lading.pipeline.note import Note

        while True:
            found = Note()
            arguments, model, capture = strategies.captured(arguments, names, found)
            arguments, model, capture = _rounded(arguments, model, capture)
            if self.other_sides and not self.bake_branches:
                model, capture = strategies.both_sides(arguments, model, capture, self.other_sides)
            arguments, tied = tie_axes(arguments, capture)
            for each in tied:
                note.decided(
                    "axis follows from another",
                    "the caller has not named it, and the model needs it so",
                    axis=each.axis,
                    size=each.size,
                    source=each.source,
                )
            if not tied:
                return arguments, model, capture, found

    def _renewed(self, arguments: Arguments, capture: Capture, earlier: EarlierState) -> Arguments | None:
        """Return the arguments without tensors of earlier calls that are to be made anew, None where there are none.

        Those are to be that may have fixed an axis, or all of them with `earlier_state = "renew"`.
        """
        import attrs

        if capture.strategy != "record" or not (_sizes_needed(capture) or self.earlier_state == "renew"):
            return None
        paths = frozenset(one.held.path for one in earlier.of(arguments, capture) if one.why)
        if paths <= arguments.forgotten:
            return None
        return attrs.evolve(arguments, forgotten=arguments.forgotten | paths)

    def _say_what_is_earlier(self, arguments: Arguments, capture: Capture, earlier: EarlierState, note: Note) -> None:
        """Record, or refuse, the tensors of the graph that the model has made in an earlier call."""
        for path in sorted(arguments.forgotten):
            note.decided("state made anew", "an earlier call has made it, from other inputs", tensor=path)
        if capture.strategy != "record" or not capture.held:
            return
        from lading.passes.trace.earlier_state import refused

        found = [one for one in earlier.of(arguments, capture) if one.why]
        if found and self.earlier_state == "error":
            raise refused(found)
        for one in found:
            note.warned(
                "a tensor of an earlier call is in the file", tensor=one.held.path, held=one.held.words, why=one.why
            )

    def _finish(self, arguments: Arguments, model: ir.Model, capture: Capture, work: Work, note: Note) -> None:
        """Give a captured graph its weights, its names and its outputs, and provide what is known of it."""
        import attrs
        from lading.passes.signature.requested_axes import declared_conditions
        from lading.passes.trace.capture import Guard
        from lading.passes.trace.outputs import require_outputs
        from lading.passes.trace.weight_names import name_weights

        work.model = model
        if arguments.attached is not None:
            arguments.attached.put_into(model, note)
        declared = [Guard(text, True, "dynamic_shapes", False, True) for text in declared_conditions(arguments)]
        capture = attrs.evolve(capture, guards=(*capture.guards, *declared))
        if arguments.example_outputs is not None:
            from lading.passes.trace.example_outputs import compare_example_outputs

            compared = compare_example_outputs(arguments.example_outputs, model.graph.outputs)
            note.count("example outputs compared", compared)
        if self.buffer_outputs:
            from lading.passes.trace.state_outputs import add_state_outputs

            work.provide(Fact.ARGUMENTS, add_state_outputs(model, capture, arguments))
        else:
            from lading.passes.trace.state_outputs import drop_state_writes

            drop_state_writes(model, capture)
        require_outputs(model, capture.dropped_outputs, arguments)
        surplus = name_weights(model, capture, arguments.parameter_names, tolerant=arguments.tolerant)
        surplus += list(arguments.output_names[len(model.graph.outputs) :])
        if surplus:
            note.warned("a name or an axis that belongs to nothing is left out", what=f"the names {', '.join(surplus)}")
        work.provide(Fact.GRAPH, capture)


def _sizes_needed(capture: Capture) -> int:
    """Return how many sizes a capture needs to be a certain number: of requested axes, or computed from them."""
    from lading.passes.trace.capture import states_equality

    limits = [
        guard
        for guard in capture.guards
        if not guard.harmless and not guard.declared and guard.expression is not None
        if not isinstance(guard.outcome, bool) or states_equality(guard.expression, guard.outcome)
    ]
    return len(capture.specialisations) + len(limits)


def _numbers_read(capture: Capture) -> int:
    """Return how many axes are constants, and how many sizes Python has read as numbers."""
    read = [guard for guard in capture.guards if not guard.harmless and not isinstance(guard.outcome, bool)]
    return len(capture.specialisations) + len(read)


def _rounded(arguments: Arguments, model: ir.Model, capture: Capture) -> tuple[Arguments, ir.Model, Capture]:
    """Capture anew with `int(size)` as a size where Python may have read numbers, and keep that if it reads fewer.

    It comes before the other sides of decisions, which are then explored for one of the two: a question on a size has
    another side, a number has none.
    """
    import attrs
    from lading.passes.trace import strategies
    from lading.pipeline.errors import LadingError

    numbers = any(not isinstance(guard.outcome, bool) and not guard.harmless for guard in capture.guards)
    # A size of 1 that Python reads makes that axis a constant before anything else is known of it.
    reads = numbers or any(special.read or special.size < 2 for special in capture.specialisations)
    if capture.strategy != "record" or arguments.keeps_rounded or not reads:
        return arguments, model, capture
    otherwise = attrs.evolve(arguments, keeps_rounded=True)
    try:
        other = strategies.find(capture.strategy)(otherwise)
    except LadingError:
        return arguments, model, capture
    return (otherwise, *other) if _numbers_read(other[1]) < _numbers_read(capture) else (arguments, model, capture)


def _report(capture: Capture, note: Note, *, state_is_output: bool) -> None:
    note.decided("captured", f"by the strategy {capture.strategy}", **capture.details)
    for special in capture.specialisations:
        note.decided(
            "axis fixed",
            f"the model needs {special.condition}",
            axis=special.axis,
            size=special.size,
            source=special.source,
        )
    for guard in capture.guards:
        if guard.declared:
            note.decided("range of sizes", "the user declares it", condition=guard.condition, source=guard.source)
        elif guard.by_user and not guard.harmless:
            note.decided(
                "size decided",
                "the model's Python asked",
                condition=guard.condition,
                outcome=guard.outcome,
                source=guard.source,
            )
    if capture.guards:
        note.count("guards", len(capture.guards))
    for baked in capture.baked:
        if baked.branch:
            note.decided(
                "branch baked in",
                "the model's Python asked for a value of the inputs: the file is right where it is the example's",
                value=repr(baked.value),
                source=baked.source,
                line=baked.text,
            )
        else:
            note.decided("value baked in", "the model's Python read it", value=repr(baked.value), source=baked.source)
    branches = sum(baked.branch for baked in capture.baked)
    if branches:
        note.warned("the file holds for the branches of the example only", baked=branches)
    for name in capture.buffer_writes:
        if state_is_output:
            note.count("buffers as outputs")
            continue
        note.decided("write to state left out", "a file keeps no state between runs", tensor=name)
    for name, path in capture.constants.items():
        if not path:
            note.count("constants from tensor literals")
        else:
            held = capture.held.get(name)
            note.decided(
                "tensor from before the export made an initializer",
                "it is neither parameter nor buffer",
                tensor=name,
                **({} if held is None else {"held": held.words}),
            )
    for what, why, source in capture.decisions:
        note.decided(what, why, source=source)
    for path, kind in capture.dropped_outputs.items():
        note.warned("a member of the model's result is no tensor and no output", path=path, kind=kind)
