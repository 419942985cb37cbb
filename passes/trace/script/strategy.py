# SPDX-License-Identifier: Apache-2.0
"""The script strategy: TorchScript modules and functions, and modules by way of `torch.jit.trace`."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from typing import Any

import attrs
import onnx_ir as ir
import sympy
import torch
from lading.passes import torch_private
from lading.passes.model_state import ModelState, Slot, preserved, replaced
from lading.passes.signature.arguments import Arguments
from lading.passes.signature.binding import by_name
from lading.passes.trace.capture import Capture
from lading.passes.trace.failures import unlogged
from lading.passes.trace.outputs import Outputs
from lading.passes.trace.record import Run, in_general
from lading.passes.trace.script.calls import arranged, from_script, to_script
from lading.passes.trace.script.columns import NotAlike
from lading.passes.trace.script.interpreter import Interpreter
from lading.passes.trace.script.programs import class_name
from lading.passes.trace.script.values import Lent, ListRead, ModuleObject, NotUniform, Raised
from lading.passes.trace.symbols import Axes
from lading.pipeline.errors import CaptureError, LadingError

GUESSED_SIZE = 4
"""What an operator is told of a size that only the run knows, where it asks and PyTorch has no answer."""


def script(arguments: Arguments) -> tuple[ir.Model, Capture]:
    """Capture a TorchScript module or function by interpreting its graph on fake tensors.

    The model is never executed, and neither it nor the state of torch changes.

    Raises:
        CaptureError: the model is no TorchScript, or does what a graph cannot say.
    """
    if not is_script(arguments.model):
        raise CaptureError(
            f"the script strategy is for TorchScript, and the model is a {type(arguments.model).__name__}",
            hint="pass torch.jit.script(model), or take the strategy 'record', 'export' or 'jit-trace'",
        )
    start = time.perf_counter()
    run = in_general(lambda axes: _ran(arguments, axes))
    return run.model(), run.capture(time.perf_counter() - start)


def _ran(arguments: Arguments, axes: Axes) -> ScriptRun:
    with preserved(arguments.model) as state:
        run = ScriptRun(arguments, state, axes)
        try:
            run.execute()
        except Exception as error:
            explanation = _explained(error, run)
            if explanation is error:
                raise
            raise explanation from error
    return run


def jit_trace(arguments: Arguments) -> tuple[ir.Model, Capture]:
    """Capture a module by `torch.jit.trace` on the example, and the trace as TorchScript.

    Unlike the other strategies it runs the model, in copies of its buffers, and a branch or a size that the model's
    Python reads is the example's.

    Raises:
        CaptureError: the trace fails, or its graph cannot be captured.
    """
    model = arguments.model
    args, kwargs = arguments.call([item.tensor for item in arguments.inputs])
    if kwargs:
        # torch.jit.trace takes all by position or all by name.
        named = by_name(arguments)
        if named is None:
            raise CaptureError(
                f"torch.jit.trace takes {', '.join(kwargs)} by name only together with all the other arguments, "
                "and some have to go by position",
                hint="take another strategy, such as record",
            )
        arguments = named
        args, kwargs = arguments.call([item.tensor for item in arguments.inputs])
    with preserved(model) as state, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copies = _copied(state)
        state.set_mode(arguments.mode)
        try:
            traced = torch.jit.trace(
                model, None if kwargs else tuple(args), check_trace=False, example_kwarg_inputs=kwargs or None
            )
        except Exception as error:
            raise CaptureError(f"torch.jit.trace fails: {type(error).__name__}: {error}") from error
        for copy, tensor in copies:
            # What the trace holds is as it was before the run, too.
            copy.copy_(tensor)
    made, capture = script(attrs.evolve(arguments, model=traced))
    return made, attrs.evolve(capture, strategy="jit-trace")


def _copied(state: ModelState) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Put copies in the places of what a run of the model may write into, and return them, each with the original."""
    rewrites = state.rewrites_weights()
    copies: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def copied(slot: Slot) -> torch.Tensor | None:
        if slot.kind == "parameter" and not rewrites:
            return None
        tensor = slot.tensor
        if id(tensor) not in copies:
            copy = tensor.detach().clone()
            parameter = isinstance(tensor, torch.nn.Parameter)
            copies[id(tensor)] = torch.nn.Parameter(copy, tensor.requires_grad) if parameter else copy, tensor
        return copies[id(tensor)][0]

    replaced(state, copied)
    return list(copies.values())


def is_script(model: Any) -> bool:
    """Whether a model is TorchScript: a scripted or traced module, or a scripted function."""
    return isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction))


def _explained(error: Exception, run: ScriptRun) -> LadingError:
    where = run.failed_at or None
    if isinstance(error, LadingError):
        return error
    if isinstance(error, Raised):
        return CaptureError(f"the model raises on the example arguments: {error.message}", where=where)
    if isinstance(error, (Lent, ListRead, NotAlike, NotUniform)):
        return CaptureError(
            "a list grows in a way that a graph cannot say: " + str(error),
            where=where,
            hint="collect tensors of one shape, or join them with torch.cat as they come",
        )
    text = str(error).strip().partition("\n")[0]
    return CaptureError(
        f"the model failed on the example arguments: {type(error).__name__}: {run.axes.named(text)}",
        where=where,
        hint="call the model with the same arguments first; if that works, the line above does what capture cannot",
    )


class ScriptRun(Run):
    """One interpretation of a TorchScript model."""

    strategy = "script"

    def execute(self) -> None:
        """Interpret the model."""
        model = self.arguments.model
        tensors = [self._input(item) for item in self.arguments.inputs]
        args, kwargs = self.arguments.call(tensors)
        interpreter = self.interpreter = Interpreter(self.recorder, self._held, self.arguments.mode)
        self.recorder.places = interpreter.places  # type: ignore[assignment]
        self.places = interpreter.places  # type: ignore[assignment]
        self.axes.line = interpreter.places.line
        self.recorder.arithmetic.tell_line(interpreter.places.line)
        self.axes.presume = self._presumed
        self._slots_of: dict[int, list[Slot]] = {}
        for slot in _slots(model):
            self._slots_of.setdefault(id(slot.tensor), []).append(slot)
        with contextlib.ExitStack() as stack:
            stack.enter_context(unlogged())
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch_private.functionalized())
            if self.axes.sizes:
                stack.enter_context(torch_private.symbolic_kernels())
            stack.enter_context(self.recorder)
            try:
                result = from_script(interpreter, self._call(model, args, kwargs))
                self.outputs = Outputs(result, self.recorder, self.arguments)
                self.buffer_writes = self._writes()
            except Exception:
                self.failed_at = interpreter.failed_at
                raise
        self._drop_unused()

    failed_at = ""

    def _call(self, model: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        interpreter = self.interpreter
        if isinstance(model, torch.jit.ScriptFunction):
            given = [to_script(value) for value in arranged(model.schema, args, kwargs, skip=0)]
            return interpreter.call_graph(model.graph, given)
        handle = model._c
        root = ModuleObject("", handle, class_name(torch_private.script_type_name(handle)))
        interpreter.roots.append(root)
        schema = torch_private.script_method(handle, "forward").schema
        given = [to_script(value) for value in arranged(schema, args, kwargs, skip=1)]
        self.root = root
        return interpreter.call_method(root, "forward", given)

    root: ModuleObject | None = None

    def _held(self, path: str, tensor: torch.Tensor) -> torch.Tensor:
        """Return the fake tensor for a tensor that the model holds."""
        known = self._stand_ins.get(id(tensor))
        if known is not None:
            return known
        slots = self._slots_of.get(id(tensor)) or [Slot(path, "attribute", {}, "", tensor)]
        with torch_private.beneath_modes():
            made = self._stand_in(slots[0])
            for slot in slots[1:]:
                self._stand_in(slot)  # takes the further names of a tied tensor
        return made

    def _name_constant(self, tensor: torch.Tensor) -> str:
        name = self.interpreter.constant_names.get(id(tensor))
        if name is None or name in self.recorder.initializers:
            return super()._name_constant(tensor)
        self.constants[name] = ""
        return name

    def _presumed(self, question: sympy.Basic) -> sympy.Basic:
        """Answer an operator's question on a size that only the run knows as for a size that is nothing special."""
        if isinstance(question, sympy.Eq):
            # Sizes that an operator compares must agree, or the run fails; a size is not 0 or 1 for all we know.
            return sympy.false if any(part in (0, 1, -1) for part in question.args) else sympy.true
        if isinstance(question, sympy.Ne):
            return sympy.true if any(part in (0, 1, -1) for part in question.args) else sympy.false
        guesses = {symbol: self.axes.guess(symbol, GUESSED_SIZE) for symbol in question.free_symbols}
        return sympy.true if bool(question.xreplace(guesses)) else sympy.false

    def _writes(self) -> dict[str, ir.Value]:
        """Return what the model writes to its buffers and attributes, by name."""
        writes: dict[str, ir.Value] = {}
        for slot, wrapped, fake in self._written:
            inner = torch_private.unwrap_functional(wrapped)
            if inner is not fake and self.recorder.value_of(inner) is not self.recorder.value_of(fake):
                writes[slot.path] = self.recorder.value_of(inner)
        for holder in self.interpreter.modules:
            for name, value in holder.written.items():
                path = f"{holder.path}.{name}" if holder.path else name
                if isinstance(value, torch.Tensor):
                    writes[path] = self.interpreter.tensor_value(value)
                else:
                    self.interpreter.decided("write to state left out", f"a file keeps no {path} between runs")
        return writes

    def _drop_unused(self) -> None:
        """Leave out what was written for values that turned out to be known, and initializers that nothing reads."""
        from lading.passes.trace.script.branches import prune

        recorder = self.recorder
        outputs = [*self.outputs.values, *self.buffer_writes.values()]
        recorder.nodes[:] = prune(recorder.nodes, outputs)
        kept = {id(value) for value in outputs}
        for name, value in list(recorder.initializers.items()):
            if not value.uses() and id(value) not in kept:
                del recorder.initializers[name]

    def capture(self, seconds: float) -> Capture:
        """Return what is to be known beside the graph."""
        made = super().capture(seconds)
        decisions = tuple((one.what, one.why, one.source) for one in self.interpreter.decisions)
        return attrs.evolve(made, strategy=self.strategy, decisions=decisions)


def _slots(model: Any) -> list[Slot]:
    """Return the parameters and buffers of a scripted module under their names in `state_dict`."""
    if not isinstance(model, torch.nn.Module):
        return []
    parameters = [
        Slot(name, "parameter", {}, name, tensor) for name, tensor in model.named_parameters(remove_duplicate=False)
    ]
    buffers = [Slot(name, "buffer", {}, name, tensor) for name, tensor in model.named_buffers(remove_duplicate=False)]
    return [*parameters, *buffers]
