# SPDX-License-Identifier: Apache-2.0
"""The promise about dynamic axes: each one that was asked for is dynamic in the file, under the name asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ..pipeline.declare import a_pass, option
from ..pipeline.errors import CaptureError, UsageError, did_you_mean
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work
    from .size_limits import SizeLimit


@attrs.frozen
class FixedAxis:
    """An axis of an input that was asked to be dynamic and is a constant: which, its size, where and why."""

    input: str
    axis: int
    name: str
    size: int
    source: str
    why: str


@attrs.frozen
class Axes:
    """The value of `Fact.AXES`: for each input and output, the name of each of its dynamic axes.

    `inputs` and `outputs` map a value's name to {axis index: axis name}. `fixed` has the axes that were asked for, and
    became constants with the user's consent, `limits` the conditions on sizes outside of which the file may be wrong.
    """

    inputs: Mapping[str, Mapping[int, str]] = attrs.field(factory=dict)
    outputs: Mapping[str, Mapping[int, str]] = attrs.field(factory=dict)
    fixed: Sequence[FixedAxis] = ()
    limits: Sequence[SizeLimit] = ()

    @classmethod
    def of(cls, graph: ir.Graph, *, fixed: Sequence[FixedAxis] = (), limits: Sequence[SizeLimit] = ()) -> Axes:
        """Read the names off the inputs and outputs of a graph."""
        return cls(
            inputs={value.name or "": _dynamic(value) for value in graph.inputs},
            outputs={value.name or "": _dynamic(value) for value in graph.outputs},
            fixed=fixed,
            limits=limits,
        )

    def by_name(self) -> dict[str, Mapping[int, str]]:
        """Return the dynamic axes of every input and output that has some."""
        return {name: axes for name, axes in {**self.inputs, **self.outputs}.items() if axes}


@a_pass(
    "dynamic-axes",
    requires=(Fact.ONNX,),
    provides=(Fact.AXES,),
    after=("fold-constants", "drop-identity", "drop-dead", "infer-shapes", "name-values"),
)
class DynamicAxes:
    """Check that every axis asked for is still dynamic, and name the axes of outputs.

    Why: a model may decide something on a size, and capture must then fix the axis to the size of the example. A file
    that works for that size alone, with no word about it, is the worst result an exporter can give.

    An axis of an input that was asked to be dynamic and is a constant in the graph is an error that names the axis, the
    size and the user's source line. With `on_fixed_axis = "warn"` it is a warning on record instead, and the file says
    the constant; so it is for an axis that was left to the capture (`Dim.AUTO`).

    A decision on a size that could not be followed on both sides limits the sizes for which the file is right. Limits
    stand in the table of axes and in the file's metadata, over the user's axis names; one that the caller has not
    declared (by the range of a `Dim`) is a warning on record, or an error with `on_limit = "error"`.

    Outputs get the axis names that the user chose for them, in place of the expressions that capture found. One axis
    name on two different sizes is fine in ONNX; a name on an axis of an output that is a constant is a warning.

    Declines when: nobody asked for dynamic axes; the table of axes is provided all the same.
    """

    on_fixed_axis: str = option(
        "error",
        help="What to do when the model fixes an axis that was asked to be dynamic: error, or warn and go on.",
        choices=("error", "warn"),
    )

    on_limit: str = option(
        "warn",
        help="What to do when the file is right for some sizes only, and the caller has not said so: warn, or error.",
        choices=("warn", "error"),
    )

    def run(self, work: Work, note: Note) -> None:
        """Check inputs, name outputs, provide the table."""
        from .signature.interface import settle_interface

        model = work.model
        assert model is not None
        arguments = work.values.get(Fact.ARGUMENTS)
        recorded = tuple(getattr(work.values.get(Fact.GRAPH), "specialisations", ()))
        relaxed: frozenset[Any] = getattr(arguments, "relaxed_axes", frozenset())
        recorded += _derived(recorded, getattr(arguments, "derived", {}))
        fixed = self._check_inputs(model.graph, getattr(arguments, "inputs", ()), recorded, relaxed, note)
        tolerant = getattr(arguments, "tolerant", False)
        _name_outputs(model.graph, getattr(arguments, "axes_of_outputs", {}), note, tolerant=tolerant)
        table = Axes.of(model.graph, fixed=fixed, limits=self._limits(work, note))
        for name, axes in table.by_name().items():
            shown = {str(axis): symbol for axis, symbol in axes.items()}
            note.decided("dynamic axes", "the file leaves them free", value=name, axes=shown)
        settle_interface(model.graph, [argument.name for argument in getattr(arguments, "inputs", ())])
        work.provide(Fact.AXES, table)

    def _limits(self, work: Work, note: Note) -> tuple[SizeLimit, ...]:
        capture = work.values.get(Fact.GRAPH)
        guards = getattr(capture, "guards", ())
        if not guards:
            return ()
        from .size_limits import METADATA_KEY, names_of, size_limits

        # An axis that is a constant in the file says so itself.
        fixed = {item.axis for item in getattr(capture, "specialisations", ())}
        limits = size_limits(guard for guard in guards if not names_of(guard) or names_of(guard) - fixed)
        undeclared = [limit for limit in limits if not limit.declared]
        if undeclared and self.on_limit == "error":
            raise _limited(undeclared)
        for limit in undeclared:
            note.warned("the file is right for some sizes only", limit=limit.words, source=limit.source)
        if limits:
            work.need_model().metadata_props[METADATA_KEY] = json.dumps([limit.words for limit in limits])
        return limits

    def _check_inputs(
        self, graph: ir.Graph, asked: Sequence[Any], recorded: Sequence[Any], relaxed: frozenset[str], note: Note
    ) -> tuple[FixedAxis, ...]:
        reasons = {item.axis: item for item in recorded}
        values = {value.name: value for value in graph.inputs}
        fixed: list[FixedAxis] = []
        for argument in asked:
            value = values.get(argument.name)
            if value is None and argument.axes:
                shown = {str(axis): name for axis, name in argument.axes.items()}
                note.decided("axes of no input", "the input was removed", input=argument.name, axes=shown)
            if value is None or value.shape is None:
                continue
            for axis, name in sorted(argument.axes.items()):
                dim = value.shape[axis]
                reason = reasons.get(name)
                if reason is not None:
                    why = (
                        f"Python reads {reason.condition} as a number"
                        if reason.read
                        else f"its run relies on {reason.condition}"
                    )
                    if reason.advice:
                        why = f"{why}; {reason.advice}"
                    item = FixedAxis(argument.name, axis, name, reason.size, reason.source, why)
                elif isinstance(dim, int):
                    item = FixedAxis(argument.name, axis, name, dim, "", "the captured graph has a constant there")
                else:
                    if getattr(dim, "value", None) != name:
                        _set_dim(value, axis, name)
                    continue
                _set_dim(value, axis, item.size)
                fixed.append(item)
        refused = [item for item in fixed if item.name not in relaxed]
        if refused and self.on_fixed_axis == "error":
            raise _fixed_axes(refused)
        for item in fixed:
            note.warned(
                "a requested dynamic axis is fixed",
                input=item.input,
                axis=item.axis,
                name=item.name,
                size=item.size,
                source=item.source,
                why=item.why,
            )
        return tuple(fixed)


def _derived(recorded: Sequence[Any], derived: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the dimensions that are fixed because the one is from which they follow."""
    import attrs

    fixed = {item.axis: item for item in recorded}
    return tuple(
        attrs.evolve(fixed[axis.root], axis=name, size=axis.size(fixed[axis.root].size))
        for name, axis in derived.items()
        if axis.root in fixed and name not in fixed
    )


def _limited(limits: Sequence[SizeLimit]) -> CaptureError:
    lines = "\n  ".join(str(limit) for limit in limits)
    return CaptureError(
        f"the file would be right for some sizes only\n  {lines}",
        where=limits[0].source or None,
        hint="promise these sizes by the range of a Dim, change the model, or set dynamic-axes.on_limit to 'warn'",
    )


def _fixed_axes(fixed: Sequence[FixedAxis]) -> CaptureError:
    lines = []
    for item in fixed:
        at = f" at {item.source}" if item.source else ""
        lines.append(f"axis {item.axis} of '{item.input}' ('{item.name}') is fixed to {item.size}{at}: {item.why}")
    noun = "axis that was" if len(fixed) == 1 else "axes that were"
    return CaptureError(
        f"the model fixes {len(fixed)} {noun} asked to be dynamic\n  " + "\n  ".join(lines),
        where=next((item.source for item in fixed if item.source), None),
        hint="take the axis out of dynamic_axes, change that line of the model, "
        "or set dynamic-axes.on_fixed_axis to 'warn' for a file that is right for this size alone",
    )


def _name_outputs(graph: ir.Graph, asked: Mapping[str, Mapping[int, str]], note: Note, *, tolerant: bool) -> None:
    values = {value.name: value for value in graph.outputs}
    for output, axes in sorted(asked.items()):
        value = values.get(output)
        if value is None:
            names = [str(name) for name in (*(inputs.name for inputs in graph.inputs), *values)]
            what = f"dynamic_axes are given for '{output}', which is neither an input nor an output"
            if tolerant:
                note.warned("a name or an axis that belongs to nothing is left out", what=what)
                continue
            raise UsageError(what, hint=did_you_mean(output, names))
        if value.shape is None:
            continue
        rank = len(value.shape)
        for axis, name in sorted(axes.items()):
            if not -rank <= axis < rank:
                what = f"'{output}' has {rank} axes, so there is no axis {axis} to call '{name}'"
                if tolerant:
                    note.warned("a name or an axis that belongs to nothing is left out", what=what)
                    continue
                raise UsageError(what, hint=f"axes go from 0 to {rank - 1}")
            dim = value.shape[axis]
            if isinstance(dim, int):
                note.warned("an axis asked to be dynamic is a constant", output=output, axis=axis, name=name, size=dim)
            elif dim.value != name:
                _set_dim(value, axis % rank, name)
                note.count("axis named")


def _set_dim(value: ir.Value, axis: int, dim: int | str) -> None:
    import onnx_ir as ir

    assert value.shape is not None
    dims: list[Any] = list(value.shape)
    dims[axis] = dim
    # A new shape: the old one may be shared with other values.
    value.shape = ir.Shape(dims)


def _dynamic(value: ir.Value) -> dict[int, str]:
    return {axis: dim.value or "" for axis, dim in enumerate(value.shape or ()) if not isinstance(dim, int)}
