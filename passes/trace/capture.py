# SPDX-License-Identifier: Apache-2.0
"""What a capture leaves behind beside the graph: decisions, writes to state, and what could not stay free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    import onnx_ir as ir
    import sympy
    from lading.passes.signature.arguments import Arguments
    from lading.passes.trace.sides.paddings import Amounts
    from lading.pipeline.note import Note
    from lading.pipeline.work import Work


def states_equality(question: sympy.Basic, answer: Any) -> bool:
    """Whether a question about sizes and its answer, Python's or sympy's, say that two sizes are equal."""
    import sympy

    return isinstance(question, sympy.Eq) if answer in (True, sympy.true) else isinstance(question, sympy.Ne)


@attrs.frozen
class Specialisation:
    """A requested dynamic axis that capture had to fix.

    Attributes:
        axis: its name.
        size: the only one that is left.
        condition: what the graph relies on.
        source: the user's line.
        read: Python has read the size as a number, as in `range(size)`.
        advice: what could be done about it; "" for nothing beyond the usual.
    """

    axis: str
    size: int
    condition: str
    source: str
    read: bool = False
    advice: str = ""


@attrs.frozen
class Guard:
    """A decision that was taken on a symbolic size.

    Attributes:
        condition: the expression that was asked for, over the user's axis names.
        outcome: the answer, which the graph relies on.
        source: "path.py:line" of the user's code that was running.
        by_user: the user's own Python asked (an `if`, an `int()`), not an operator of PyTorch's.
        declared: nothing asked; the user has said that it is so, as by the range of a `Dim`.
        harmless: PyTorch asked about the layout of memory, about emptiness or broadcasting: no result depends on it.
        required: an operator checked it, and fails where it is not so.
        expression: the question over symbols that are called as the axes; None where sizes of the run are in it.
    """

    condition: str
    outcome: bool | int | float
    source: str
    by_user: bool
    declared: bool = False
    harmless: bool = False
    required: bool = False
    expression: sympy.Basic | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def only_size(self) -> tuple[str, int] | None:
        """The axis for which this decision leaves one size, and that size; None where it leaves more."""
        question: Any = self.expression
        if question is None or self.harmless or self.declared or not question.is_Relational:
            return None
        sides = (question.lhs, question.rhs)
        axis, size = sides if sides[0].is_Symbol else sides[::-1]
        if not axis.is_Symbol or not size.is_Integer:
            return None
        if states_equality(question, self.outcome):
            return axis.name, int(size)
        # Sizes begin at 1, so that one below 2 is that.
        holds = [bool(question.subs(axis, number)) == self.outcome for number in (1, 2, 3)]
        return (axis.name, 1) if holds == [True, False, False] else None


@attrs.frozen(eq=False)
class Branch:
    """A branch of the model's Python on a value that only the run knows, and the way that a recording took.

    Attributes:
        condition: what was asked, a bool without dimensions in the graph.
        outcome: the answer that the recording gave.
        source: "path.py:line" of the user's code.
        text: that line itself.
    """

    condition: ir.Value
    outcome: bool
    source: str
    text: str


@attrs.frozen
class Baked:
    """A value that the model's Python has read, and on which the graph relies.

    Attributes:
        value: the number, the truth value, or a word on what was read.
        source: "path.py:line" of the user's code.
        text: that line itself.
        branch: the value depends on the inputs and is the example's; otherwise it is a literal's, a weight's or a
            buffer's.
    """

    value: Any
    source: str
    text: str = ""
    branch: bool = False


@attrs.frozen
class Held:
    """A tensor from before the export that the graph has as an initializer, and that is neither parameter nor buffer.

    Attributes:
        path: the dotted name of where the model's code has it.
        words: the same for a reader, as "attribute 'table' of 'encoder'".
        shape: its sizes.
    """

    path: str
    words: str
    shape: tuple[int, ...]


@attrs.frozen
class Remade:
    """What the model's code puts in the place of a tensor from before the export, in one of the recordings.

    Attributes:
        shape: its sizes, over the names of axes.
        sizes: whether its values or its shape depend on the sizes of the inputs.
        values: whether its values depend on those of the inputs.
    """

    shape: tuple[int | str, ...]
    sizes: bool
    values: bool


@attrs.frozen(eq=False)
class Again:
    """What it takes to capture a model once more after the trace pass.

    Attributes:
        arguments: what was captured.
        finish: gives a graph of the model the weights, names and outputs that the trace pass gives, and puts it and
            what is known of it in the place of those of the work.
    """

    arguments: Arguments
    finish: Callable[[ir.Model, Capture, Work, Note], None]


@attrs.frozen(kw_only=True)
class Capture:
    """The value of `Fact.GRAPH`.

    Attributes:
        strategy: the name of the strategy that captured the model.
        specialisations: requested axes that are constants in this graph.
        guards: decisions on symbolic sizes.
        baked: values of literals, weights and buffers that the model's Python has read.
        paddings: the amounts of each call that pads, over the names of axes.
        branches: those on values whose other sides are not in the graph yet.
        buffer_writes: for each buffer or tensor attribute that the model writes, by name, the value written last.
        constants: initializers that are neither parameter nor buffer: path or made-up name, by initializer name.
        held: those of them that are tensors from before the export, by initializer name.
        remade: what the model's code puts in the places of such tensors, by path.
        tied: further `state_dict` names of a parameter or buffer, by initializer name.
        dropped_outputs: members of the result that are no tensors and no numbers, path to type name.
        axes: the names of the dynamic axes and the size that each had in the example.
        decisions: what else was settled at capture (an assertion taken to hold, a warning left out): what, why, where.
        seconds: how long capture took.
        again: how the model is captured once more; None outside of the trace pass.
    """

    strategy: str
    specialisations: tuple[Specialisation, ...] = ()
    guards: tuple[Guard, ...] = ()
    baked: tuple[Baked, ...] = ()
    paddings: tuple[Amounts, ...] = ()
    branches: tuple[Branch, ...] = ()
    buffer_writes: dict[str, ir.Value] = attrs.field(factory=dict)
    constants: dict[str, str] = attrs.field(factory=dict)
    held: dict[str, Held] = attrs.field(factory=dict)
    remade: dict[str, Remade] = attrs.field(factory=dict)
    tied: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    dropped_outputs: dict[str, str] = attrs.field(factory=dict)
    axes: dict[str, int] = attrs.field(factory=dict)
    decisions: tuple[tuple[str, str, str], ...] = ()
    seconds: float = 0.0
    again: Again | None = attrs.field(default=None, eq=False, repr=False)
    details: dict[str, Any] = attrs.field(factory=dict)

    def fixed_against(self, relaxed: Container[str]) -> list[Specialisation]:
        """Return the axes that are constants in this graph, but for those that may be."""
        return [special for special in self.specialisations if special.axis not in relaxed]

    def with_decided_axes(self) -> Capture:
        """Return this with the axes among the specialisations for which the decisions leave one size."""
        found = {item.axis: item for item in self.specialisations}
        for guard in self.guards:
            only = guard.only_size
            if only is not None:
                axis, size = only
                found.setdefault(axis, Specialisation(axis, size, f"{axis} == {size}", guard.source))
        return attrs.evolve(self, specialisations=tuple(found.values()))
