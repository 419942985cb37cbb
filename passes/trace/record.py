# SPDX-License-Identifier: Apache-2.0
"""The record strategy: one run of the model on fake tensors, each operator written down as it runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import onnx_ir as ir
import sympy
import torch
from lading.passes import torch_private
from lading.passes.model_state import ModelState, Slot, preserved, replaced
from lading.passes.signature.arguments import Arguments
from lading.passes.signature.structure import unused_name
from lading.passes.torch_private import FakeTensor, FakeTensorMode
from lading.passes.trace.assertions import asserted
from lading.passes.trace.capture import Branch, Capture, Held, Remade
from lading.passes.trace.composites import Composites
from lading.passes.trace.custom_operators import kept_functions
from lading.passes.trace.earlier_state import reads
from lading.passes.trace.failures import explained, is_failure_of_the_model, unlogged
from lading.passes.trace.outputs import Outputs
from lading.passes.trace.recorder import SMALL, Recorder, type_of
from lading.passes.trace.regions import Regions
from lading.passes.trace.row_loops import RowLoops
from lading.passes.trace.script.children import interpreted
from lading.passes.trace.shadow import Shadow
from lading.passes.trace.sides.counts import by_values
from lading.passes.trace.size_keys import hashed_sizes
from lading.passes.trace.sources import Places
from lading.passes.trace.symbols import Axes
from lading.passes.trace.weight_names import in_order
from lading.passes.trace.whole_numbers import divided_with_remainder, kept_symbolic, lengths_kept_symbolic
from lading.pipeline.errors import CaptureError, LadingError, UsageError

R = TypeVar("R")

IR_VERSION = 10


def record(arguments: Arguments) -> tuple[ir.Model, Capture]:
    """Capture a model by running it once on fake tensors.

    The model, its buffers and the state of torch are afterwards what they were, also when the run fails. Where the
    model branches on values and further recordings are allowed, it runs once more for each other side.

    Raises:
        CaptureError: the run needs values that are not known at capture.
    """
    if not arguments.value_recordings:
        return recorded_once(arguments)
    model, capture = recorded_once(attrs.evolve(arguments, value_answers=()))
    if not capture.branches:
        return model, capture
    from lading.passes.trace.sides.values import both_ways

    return both_ways(arguments, recorded_once, model, capture)


def recorded_once(arguments: Arguments) -> tuple[ir.Model, Capture]:
    """Capture a model by one run, in which branches on values get the answers that the arguments have for them."""
    start = time.perf_counter()
    run = in_general(lambda axes: _ran(arguments, axes), Axes(unrolled=arguments.unrolled_axes))
    capture = run.capture(time.perf_counter() - start)
    return run.model(), capture


def in_general(attempt: Callable[[Axes], R], axes: Axes | None = None) -> R:
    """Run a capture in which sizes of 0 and 1 in the example decide nothing, as long as the model runs like that.

    Where it does not (it broadcasts a size of 1, say), the capture is repeated with those axes as constants.
    """
    axes = axes or Axes()
    try:
        return attempt(axes)
    except CaptureError as error:
        line = (error.where or "").partition(": ")[0]
        again = axes.by_the_example(str(error.__cause__), line) if is_failure_of_the_model(error) else None
        if again is None:
            raise
        try:
            return attempt(again)
        except LadingError:
            raise error from error.__cause__


def _ran(arguments: Arguments, axes: Axes) -> Run:
    with preserved(arguments.model) as state:
        run = Run(arguments, state, axes)
        try:
            run.execute()
        except Exception as error:
            torch_private.forget_compilations()
            explanation = explained(error, _call.__code__, axes.named)
            if explanation is error:
                raise
            raise explanation from error
    return run


class Run:
    """One recording: the fake tensors that stand for the model's own, and the graph that grows."""

    def __init__(self, arguments: Arguments, state: ModelState, axes: Axes) -> None:
        self.arguments = arguments
        self.state = state
        self.axes = axes
        self.axes.chosen_paddings = arguments.settled or self.axes.chosen_paddings
        self.fake = FakeTensorMode(allow_non_fake_inputs=True, shape_env=self.axes, static_shapes=True)
        # Cached results pay with static shapes; with symbols, computing the key costs more than it saves.
        self.fake.cache_enabled = not any(item.axes for item in arguments.inputs)
        self.places = Places(state.paths, _call.__code__)
        self.axes.line = self.places.line
        self.recorder = Recorder(self.fake, self.axes, self.places, self._name_constant)
        if arguments.bake_branches:
            self.recorder.shadow = Shadow(self.axes, self.places)
        self.axes.presume = self._presumed
        self.decisions: list[tuple[str, str, str]] = []
        self.branches: list[Branch] = []
        self.constants: dict[str, str] = {}
        self.held: dict[str, Held] = {}
        self.remade: dict[str, Remade] = {}
        self.tied: dict[str, tuple[str, ...]] = {}
        self._stand_ins: dict[int, torch.Tensor] = {}
        self._literals: dict[str, int] = {}
        self._name_of: dict[int, str] = {}
        self._written: list[tuple[Slot, torch.Tensor, torch.Tensor]] = []

    def _presumed(self, question: sympy.Basic) -> sympy.Basic | None:
        """Return the answer to a question on what only the run knows: that of an assertion, or the example's."""
        if question.is_Relational or question.is_Boolean:
            holds = asserted(_call.__code__)
            if holds is not None:
                why = f"the file takes it to hold: {self.places.text()}"
                self.decisions.append(("assertion left out", why, self.places.line()))
                return sympy.sympify(holds)
            if self._may_be_taken():
                return sympy.sympify(self._taken(question))
        shadow = self.recorder.shadow
        return None if shadow is None else shadow.answer(self.recorder, question)

    def _may_be_taken(self) -> bool:
        """Whether a branch on values may be answered: not in a body, nor where there are too many for their sides."""
        if self.arguments.value_answers is None or self.recorder.is_in_body:
            return False
        return len(self.branches) <= self.arguments.value_recordings

    def _taken(self, question: sympy.Basic) -> bool:
        """Return which way to go at a branch on values, and keep the branch."""
        answers, place = self.arguments.value_answers or (), len(self.branches)
        outcome = answers[place] if place < len(answers) else False
        condition = self.recorder.symbolic_scalar(self.axes.create_symboolnode(question))
        self.branches.append(Branch(condition, outcome, self.places.line(), self.places.text()))
        return outcome

    # ---- stand-ins ---------------------------------------------------------------------------------------------------

    def _fake_like(self, tensor: torch.Tensor, shape: Sequence[Any] | None = None) -> FakeTensor:
        if shape is None:
            meta = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        else:
            meta = torch.empty(shape, dtype=tensor.dtype, device="meta")
        return FakeTensor(self.fake, meta, tensor.device)

    def _stand_in(self, slot: Slot) -> torch.Tensor:
        """Return what takes a tensor's place in the model: one fake tensor however often the tensor is tied."""
        tensor = slot.tensor
        if tensor.is_quantized:
            return tensor
        known = self._stand_ins.get(id(tensor))
        if known is not None:
            name = self._name_of[id(tensor)]
            self.tied[name] = (*self.tied.get(name, ()), slot.path)
            return known
        fake = self._fake_like(tensor)
        self.recorder.bind_weight(fake, slot.path, tensor)
        if slot.kind != "parameter" and tensor.numel() <= SMALL and tensor.device.type == "cpu":
            # PyTorch then computes on the values as well, so that Python may read a step counter or a table of sizes.
            fake.constant = tensor.detach()
        if slot.kind == "attribute":
            self.constants[slot.path] = slot.path
            self._hold(slot.path, tensor)
        wrapped = torch_private.wrap_functional(fake)
        self._stand_ins[id(tensor)] = wrapped
        self._name_of[id(tensor)] = slot.path
        self._written.append((slot, wrapped, fake))
        return wrapped

    def _mutable_stand_ins(self) -> list[torch.Tensor]:
        """Return what stands for the buffers and tensor attributes of the model, which its code may write."""
        return [wrapped for slot, wrapped, _ in self._written if slot.kind != "parameter"]

    def _input(self, item: Any) -> torch.Tensor:
        if item.tensor.is_quantized:
            raise UsageError(
                f"the input is a tensor of {item.tensor.dtype}, which no graph has",
                where=item.name,
                hint="let the model take floats and quantize them",
            )
        if item.axes:
            shape = [
                self._axis(item.axes[axis], size) if axis in item.axes else size
                for axis, size in enumerate(item.tensor.shape)
            ]
            fake = self._fake_like(item.tensor, shape)
            dims: list[Any] = [size if isinstance(size, int) else item.axes[axis] for axis, size in enumerate(shape)]
        else:
            fake = self._fake_like(item.tensor)
            dims = list(item.tensor.shape)
        value = ir.Value(name=item.name, type=type_of(item.tensor.dtype), shape=ir.Shape(dims))
        for axis, name in item.axes.items():
            derived = self.arguments.derived.get(name)
            if derived is not None and derived.root not in self.axes.constant:
                symbol = self.axes.symbol(derived.root)
                self.recorder.arithmetic.read_from_derived(symbol, value, axis, derived.factor, derived.offset)
            elif derived is None and name not in self.axes.constant:
                self.recorder.arithmetic.read_from(self.axes.symbol(name), value, axis)
        self.recorder.graph_inputs.append(value)
        self.recorder.bind(fake, value)
        if self.recorder.shadow is not None:
            self.recorder.shadow.hold(fake, item.tensor.detach().clone())
        return torch_private.wrap_functional(fake)

    def _axis(self, name: str, size: int) -> Any:
        """Return the symbolic size of an axis, that of a derived one over its root's."""
        derived = self.arguments.derived.get(name)
        if derived is None:
            return self.axes.axis(name, self.arguments.recorded_sizes.get(name, size))
        root = derived.root_of(size)
        assert root is not None, "the example was checked"
        return derived.size(self.axes.axis(derived.root, self.arguments.recorded_sizes.get(derived.root, root)))

    def _name_constant(self, tensor: torch.Tensor) -> str:
        path = self.state.named_tensor(tensor)
        name = path or f"{self.places.module}.constant".lstrip(".")
        count = self._literals[name] = self._literals.get(name, -1) + 1
        unique = unused_name(f"{name}_{count}" if count else name, self.recorder.initializers)
        self.constants[unique] = path or ""
        self._hold(unique, tensor)
        return unique

    def _hold(self, name: str, tensor: torch.Tensor) -> None:
        place = self.state.place_of(tensor)
        if place is not None:
            self.held[name] = Held(place.path, place.words, tuple(tensor.shape))

    # ---- the run -----------------------------------------------------------------------------------------------------

    def execute(self) -> None:
        """Run the model."""
        replaced(self.state, self._stand_in)
        self.state.held.forget(self.arguments.forgotten)
        tensors = [self._input(item) for item in self.arguments.inputs]
        args, kwargs = self.arguments.call(tensors)
        with contextlib.ExitStack() as stack:
            stack.enter_context(unlogged())
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch_private.announced_export(self.arguments.answers))
            stack.enter_context(torch_private.unasked_masks())
            stack.enter_context(torch_private.answered_causality())
            stack.enter_context(torch_private.unchecked_packed_states())
            stack.enter_context(self.state.held.remembered_apart())
            stack.enter_context(self.places.following())
            stack.enter_context(torch_private.functionalized())
            stack.enter_context(lengths_kept_symbolic(self.state.held.counting))
            if self.axes.sizes:
                stack.enter_context(torch_private.symbolic_kernels())
                stack.enter_context(hashed_sizes(self.axes))
                stack.enter_context(divided_with_remainder())
            if self.arguments.keeps_rounded:
                stack.enter_context(kept_symbolic(self.state.held.rounding))
            stack.enter_context(self.recorder)
            self.state.set_mode(self.arguments.mode)
            stack.enter_context(interpreted(self.recorder))
            regions = Regions(self.recorder, self._mutable_stand_ins)
            loops = RowLoops(regions)
            self.recorder.rows = loops.rows
            stack.enter_context(regions.recorded())
            with kept_functions(self.recorder), Composites(self.recorder):
                result = _call(self.arguments.model, args, kwargs)
            loops.finish()
            self.outputs = Outputs(result, self.recorder, self.arguments)
            self.buffer_writes = self._buffer_writes()
            self.remade = self._remade()

    def _buffer_writes(self) -> dict[str, ir.Value]:
        writes = {}
        for slot, wrapped, fake in self._written:
            if slot.key not in slot.holder:  # the holder of a scripted module knows no `get`
                continue
            held = slot.holder[slot.key]
            if not isinstance(held, torch.Tensor):
                continue
            if not torch_private.is_functional(held):
                continue
            inner = torch_private.unwrap_functional(held)
            if held is not wrapped or inner is not fake:
                writes[slot.path] = self.recorder.value_of(inner)
        return writes

    def _remade(self) -> dict[str, Remade]:
        """Return what is by now in the places of tensors from before the run."""
        untouched = {id(fake) for _, _, fake in self._written}
        found: dict[str, Remade] = {}
        for place in self.state.held.places.values():
            inner = [torch_private.unwrap_functional(one) for one in place.now() if torch_private.is_functional(one)]
            made = [one for one in inner if id(one) not in untouched]
            if made and place.path not in found:
                found[place.path] = self._made(made[0])
        return found

    def _made(self, tensor: torch.Tensor) -> Remade:
        value = self.recorder.value_of(tensor)
        shape = tuple(size if isinstance(size, int) else self.axes.text(size.node.expr) for size in tensor.shape)
        sizes, values = reads(value, self.recorder.graph_inputs)
        return Remade(shape, sizes or any(isinstance(size, str) for size in shape), values)

    # ---- the results -------------------------------------------------------------------------------------------------

    def model(self) -> ir.Model:
        """Return the recorded graph."""
        order = {slot.path: position for position, slot in enumerate(self.state.slots)}
        others = (*self.recorder.graph_inputs, *self.outputs.values)
        initializers = in_order(self.recorder.initializers.values(), order, others)
        domains = sorted({node.domain for node in self.recorder.nodes})
        graph = ir.Graph(
            self.recorder.graph_inputs,
            self.outputs.values,
            nodes=self.recorder.nodes,
            initializers=initializers,
            opset_imports=dict.fromkeys(domains, 1),
            name=getattr(self.arguments.model, "__name__", type(self.arguments.model).__name__),
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="lading")

    def capture(self, seconds: float) -> Capture:
        """Return what is to be known beside the graph."""
        used = self.recorder.initializers
        return Capture(
            strategy="record",
            specialisations=self.axes.specialisations(),
            guards=tuple(by_values(self.axes.decisions())),
            baked=tuple(self.recorder.baked),
            paddings=tuple(self.recorder.paddings),
            branches=tuple(self.branches),
            buffer_writes=self.buffer_writes,
            constants={name: path for name, path in self.constants.items() if name in used},
            held={name: held for name, held in self.held.items() if name in used},
            remade=self.remade,
            tied={name: names for name, names in self.tied.items() if name in used},
            dropped_outputs=self.outputs.dropped,
            decisions=tuple(dict.fromkeys(self.decisions)),
            axes=dict(self.axes.sizes),
            seconds=seconds,
        )


def _call(model: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call the model; the frame of this function is where the user's code begins."""
    return model(*args, **kwargs)
