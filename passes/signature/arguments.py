# SPDX-License-Identifier: Apache-2.0
"""The example call, understood: flat tensor inputs with names and axes, and how to call the model with others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import attrs
from lading.passes.model_state import Mode

if TYPE_CHECKING:
    import torch
    from lading.passes.checkpoints.attached import Attached
    from lading.passes.model_state import ModelState, Slot
    from lading.passes.trace.sides.paddings import Settled

ANSWERS = ("onnx-export", "compiling", "exporting", "tracing")
"""The questions of libraries whether an export is under way: what `torch.onnx`, `torch.compiler` (twice) and
`torch.jit` are asked."""

Call = tuple[tuple[Any, ...], dict[str, Any]]


@attrs.frozen
class TensorInput:
    """One tensor of the call.

    Attributes:
        name: the name of the graph input.
        tensor: the example.
        axes: dynamic dimensions (never negative) and the user's names for them.
        path: where the tensor sits in the call, such as "past.0.key".
    """

    name: str
    tensor: torch.Tensor
    axes: dict[int, str]
    path: str


@attrs.frozen
class AxisRange:
    """What the user promises about the sizes of an axis: the least and the greatest one, None for no end."""

    low: int | None
    high: int | None

    def conditions(self, name: str) -> list[str]:
        """Return the range as conditions on an axis of that name."""
        ends = ((">=", self.low), ("<=", self.high))
        return [f"{name} {relation} {end}" for relation, end in ends if end is not None]


@attrs.frozen
class DerivedAxis:
    """A dimension that follows from another one, as `2*n + 1` does: `factor` times the size of `root`, and `offset`."""

    root: str
    factor: int
    offset: int

    def size(self, root: Any) -> Any:
        """Return the size for one of the root."""
        return root * self.factor + self.offset

    def root_of(self, size: int) -> int | None:
        """Return the size of the root, None where no size of it gives this one."""
        root, rest = divmod(size - self.offset, self.factor)
        return None if rest else root


@attrs.frozen(kw_only=True)
class Arguments:
    """The value of `Fact.ARGUMENTS`.

    Attributes:
        model: the user's model.
        inputs: the tensors of the call, in the order of the signature.
        output_names: names for the outputs, from the first on; the rest are named by the structure of the result.
        parameter_names: names for the weights of the graph, from the first on (input names beyond the inputs).
        axes_of_outputs: dynamic dimensions of outputs, by output name.
        baked: what is no tensor and so becomes part of the graph, by path.
        mode: training mode of the run.
        rebuild: makes the call from tensors in the order of `inputs`.
        example_outputs: results given by the caller, or None.
        ranges: what the user promises about sizes, by axis name.
        derived: what is known of dimensions that follow from others, by axis name.
        relaxed_axes: names of dynamic axes that the model may fix without that being an error (`Dim.AUTO`).
        unnamed_axes: names of dynamic axes that the user has not named (`Dim.AUTO`, `Dim.DYNAMIC`): capture may find
            that they are others.
        state_outputs: names of the buffers whose values after a run follow the model's outputs.
        answers: which questions whether an export is under way the model gets a yes to.
        bake_branches: whether capture may take the example's way where the model's Python asks for values.
        program: the `torch.export.ExportedProgram` that the user handed in as the model, or None.
        attached: where the values of the model's weights are, if a checkpoint was named, or None.
        tolerant: whether names and axes that belong to nothing are left out with a warning, and not refused.
        left_out: what was left out for that reason so far, a sentence each.
        recorded_sizes: sizes of axes, by name, that capture takes in the place of the example's.
        unrolled_axes: names of axes of which Python may read the size as a number without fixing it.
        keeps_rounded: whether sizes stay free that the model's Python hands to `int`.
        forgotten: paths of tensors from before the export that capture takes away from the model.
        settled: the decisions on sizes that are settled in the amounts of paddings, or None.
        value_recordings: how many further recordings may show both sides of branches on values.
        value_answers: what branches on values are answered with, in order, and no beyond; None for an error.
    """

    model: Any
    inputs: tuple[TensorInput, ...]
    output_names: tuple[str, ...] = ()
    parameter_names: tuple[str, ...] = ()
    axes_of_outputs: Mapping[str, Mapping[int, str]] = attrs.field(factory=dict)
    baked: Mapping[str, Any] = attrs.field(factory=dict)
    mode: Mode = "eval"
    rebuild: Callable[[Sequence[Any]], Call]
    example_outputs: Any = None
    ranges: Mapping[str, AxisRange] = attrs.field(factory=dict)
    derived: Mapping[str, DerivedAxis] = attrs.field(factory=dict)
    relaxed_axes: frozenset[str] = frozenset()
    unnamed_axes: frozenset[str] = frozenset()
    state_outputs: tuple[str, ...] = ()
    answers: tuple[str, ...] = ANSWERS[:3]
    bake_branches: bool = False
    program: Any = None
    attached: Attached | None = None
    tolerant: bool = False
    left_out: tuple[str, ...] = ()
    recorded_sizes: Mapping[str, int] = attrs.field(factory=dict)
    unrolled_axes: frozenset[str] = frozenset()
    keeps_rounded: bool = False
    forgotten: frozenset[str] = frozenset()
    settled: Settled | None = None
    value_recordings: int = 0
    value_answers: tuple[bool, ...] | None = None

    def renamed(self, names: Sequence[str]) -> Arguments:
        """Return the same call with other names for its tensors, in order."""
        pairs = zip(self.inputs, names, strict=True)
        return attrs.evolve(self, inputs=tuple(attrs.evolve(item, name=name) for item, name in pairs))

    @property
    def trains(self) -> bool:
        """Whether the exported graph is for training: the mode says so, or a module whose own mode is preserved."""
        return self.has_training_modules if self.mode == "preserve" else self.mode == "train"

    @property
    def has_training_modules(self) -> bool:
        """Whether a module of the model, as the user left it, is in training mode."""
        modules = getattr(self.model, "modules", None)
        # A frozen module has no flag: it is in evaluation mode for good.
        return callable(modules) and any(getattr(module, "training", False) for module in modules())

    def call(self, tensors: Sequence[Any]) -> Call:
        """Return positional and keyword arguments of the model with `tensors` in the places of the inputs."""
        return self.rebuild(tensors)

    def small_weights_loaded(self) -> AbstractContextManager[None]:
        """Return a context in which small tensors that stand in a checkpoint have their values in the model."""
        if self.attached is None:
            return contextlib.nullcontext()
        return self.attached.small_ones_loaded(self.model)

    def eager(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Run the model in PyTorch, in the requested mode, and return its outputs flat, numbers as scalar tensors.

        The model is left as it was: it writes into copies of its buffers.
        """
        import torch
        from lading.passes import torch_private
        from lading.passes.model_state import preserved, replaced
        from lading.passes.trace.outputs import result_leaves

        with preserved(self.model) as state, torch.no_grad(), torch_private.threads_of_the_caller():
            rewrites = state.rewrites_weights()
            copies: dict[int, torch.Tensor] = {}
            loaded = None if self.attached is None else self.attached.loader()

            def copied(slot: Any) -> torch.Tensor | None:
                # What is mapped from a file is a copy already.
                stored = None if loaded is None else loaded(slot)
                if stored is not None:
                    return stored
                if slot.kind == "parameter" and not rewrites:
                    return None
                copy = copies.get(id(slot.tensor))
                if copy is None:
                    copy = copies[id(slot.tensor)] = slot.tensor.detach().clone()
                return copy

            replaced(state, copied)
            state.set_mode(self.mode)
            args, kwargs = self.call([tensor.detach().clone() for tensor in tensors])
            kept, _ = result_leaves(self.model(*args, **kwargs))
            kept.extend((slot.path, slot.holder[slot.key]) for slot in self._state_slots(state))
            return [leaf if isinstance(leaf, torch.Tensor) else torch.tensor(leaf) for _, leaf in kept]

    def _state_slots(self, state: ModelState) -> list[Slot]:
        by_path = {slot.path: slot for slot in state.slots}
        return [by_path[name] for name in self.state_outputs]
