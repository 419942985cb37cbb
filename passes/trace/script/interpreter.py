# SPDX-License-Identifier: Apache-2.0
"""Walks TorchScript graphs: what is known is computed, tensor operators are recorded, calls are followed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import onnx_ir as ir
import torch
from lading.passes import torch_private
from lading.passes.control_flow import BodyNames
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.script.aliases import Aliases
from lading.passes.trace.script.programs import Program, Step, class_name, program_of
from lading.passes.trace.script.values import FunctionName, List, ModuleObject, Number, Raised, Unusable, plain_number
from lading.pipeline.errors import CaptureError
from lading.pipeline.origin import ModuleCall, Origin

Handler = Callable[..., Any]

_FORWARD = re.compile(r"forward(\d*|__\d+)")
"""The methods whose call is one of the module.

`torch.jit.trace` writes the second call of a module as `forward1`; a `forward` with overloads, as that of nn.LSTM, has
them as `forward__0` and so on.
"""


@attrs.define(eq=False)
class Frame:
    """One call: its variables, the module it belongs to, the step that runs, and the module call that it is part of."""

    variables: dict[str, Any]
    module: str
    module_class: str
    call: ModuleCall | None = None
    step: Step | None = None


class ScriptPlaces:
    """Tells the recorder where in the TorchScript code it is; `around` tells it for the code that called it."""

    def __init__(self, frames: list[Frame], around: Any = None) -> None:
        self._frames = frames
        self._around = around
        self._origins: dict[tuple[ModuleCall | None, str, str, str], Origin] = {}

    @property
    def module(self) -> str:
        """The dotted path of the module whose method runs."""
        if self._frames:
            return self._frames[-1].module
        return self._around.module if self._around is not None else ""

    @property
    def call(self) -> ModuleCall | None:
        """The module call that runs now, None outside of any."""
        if self._frames:
            return self._frames[-1].call
        return self._around.call if self._around is not None else None

    def line(self) -> str:
        """Return the innermost line of the user's that runs."""
        for frame in reversed(self._frames):
            if frame.step is not None and frame.step.source:
                return frame.step.source
        return self._around.line() if self._around is not None else ""

    def origin(self) -> Origin:
        """Return the origin of an operator that is recorded now."""
        frame = self._frames[-1] if self._frames else None
        if frame is None:
            return self._around.origin() if self._around is not None else Origin()
        place = (frame.module, frame.module_class, self.line())
        key = (frame.call, *place)
        known = self._origins.get(key)
        if known is None:
            known = self._origins[key] = Origin(*place, call=frame.call)
        return known


@attrs.frozen
class Decision:
    """What the interpreter has settled at capture: what, why, and the user's line."""

    what: str
    why: str
    source: str


class Interpreter:
    """Runs TorchScript on fake tensors while a recorder writes.

    Args:
        recorder: writes tensor operators; it must be active as a mode.
        stand_in: gives the fake tensor for a tensor that the model holds under a path.
        mode: "eval", "train" or "preserve": what the attribute `training` of modules answers.
        around: places of the code that called TorchScript, where that is not the export itself.
        base: dotted path of the root module.
    """

    def __init__(
        self,
        recorder: Recorder,
        stand_in: Callable[[str, torch.Tensor], torch.Tensor],
        mode: str,
        around: Any = None,
    ) -> None:
        self.recorder = recorder
        self.axes = recorder.axes
        self.stand_in = stand_in
        self.mode = mode
        self.frames: list[Frame] = []
        self.places = ScriptPlaces(self.frames, around)
        self.names = BodyNames()
        self.aliases = Aliases()
        self.decisions: list[Decision] = []
        self.roots: list[Any] = []
        self.assumed: dict[Any, bool] = {}
        self.levels: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self.last_index: dict[Any, Any] = {}
        self._constants: dict[Any, torch.Tensor] = {}
        self._programs: dict[Any, Program] = {}
        self._graphs: list[Any] = []
        self.modules: list[ModuleObject] = []
        self.constant_names: dict[int, str] = {}
        self.failed_at = ""
        self._failure: Exception | None = None

    # ---- calls -------------------------------------------------------------------------------------------------------

    def call_method(self, target: ModuleObject, name: str, args: Sequence[Any]) -> Any:
        """Run a method of a module on arguments in the order of its schema, without self."""
        key = (torch_private.script_type_name(target.handle), name)
        program = self._programs.get(key)
        if program is None:
            graph = torch_private.script_method(target.handle, name).graph
            self._graphs.append(graph)
            program = self._programs[key] = program_of(graph)
        call = self.places.call
        if _FORWARD.fullmatch(name):
            call = ModuleCall(target.path, target.kind, self.places.line(), call)
        return self._call(program, [target, *args], target.path, target.kind, call)

    def call_function(self, call: Any, args: Sequence[Any]) -> Any:
        """Run the TorchScript function that a node calls."""
        program = self._programs.get(call)
        if program is None:
            program = self._programs[call] = self._program(torch_private.script_function_graph(call))
        caller = self.frames[-1] if self.frames else None
        module, kind = (caller.module, caller.module_class) if caller is not None else ("", "")
        return self._call(program, list(args), module, kind, self.places.call)

    def call_graph(self, graph: Any, args: Sequence[Any], module: str = "", kind: str = "") -> Any:
        """Run a graph on its inputs."""
        return self._call(self._program(graph), list(args), module, kind, self.places.call)

    def _program(self, graph: Any) -> Program:
        self._graphs.append(graph)
        return program_of(graph)

    def _call(self, program: Program, args: list[Any], module: str, kind: str, call: ModuleCall | None) -> Any:
        frame = Frame(dict(zip(program.inputs, args, strict=True)), module, kind, call)
        self.frames.append(frame)
        try:
            self.run(program)
            results = [frame.variables[name] for name in program.outputs]
        finally:
            self.frames.pop()
        return results[0] if len(results) == 1 else tuple(results)

    # ---- steps -------------------------------------------------------------------------------------------------------

    @property
    def frame(self) -> Frame:
        """The call that runs."""
        return self.frames[-1]

    def run(self, program: Program) -> None:
        """Run the steps of a block in the frame that runs."""
        frame = self.frame
        around = frame.step
        try:
            for step in program.steps:
                frame.step = step
                self._run_step(step, frame)
        except Exception as error:
            if self._failure is not error:
                self._failure, self.failed_at = error, self.places.line()
            raise
        finally:
            frame.step = around

    def _run_step(self, step: Step, frame: Frame) -> None:
        from lading.passes.trace.script.dispatch import handler_of

        handler, tolerant = handler_of(step)
        if handler is None:
            raise CaptureError(
                f"lading knows no meaning of the TorchScript operator {step.kind}", where=self.places.line() or None
            )
        args = [frame.variables[name] for name in step.inputs]
        if not tolerant:
            for argument in args:
                if isinstance(argument, Unusable):
                    raise CaptureError(argument.why, where=self.places.line() or None)
        result = handler(self, step, *args)
        outputs = step.outputs
        if len(outputs) == 1:
            frame.variables[outputs[0]] = result
        elif outputs:
            frame.variables.update(zip(outputs, result, strict=True))

    def bind(self, names: Iterable[str], values: Iterable[Any]) -> None:
        """Set variables of the call that runs."""
        self.frame.variables.update(zip(names, values, strict=True))

    def values(self, names: Iterable[str]) -> list[Any]:
        """Return variables of the call that runs."""
        variables = self.frame.variables
        return [variables[name] for name in names]

    def forget_all_but(self, names: set[str]) -> None:
        """Drop the variables of the call that runs that a body has made: nothing outside of it may see them."""
        variables = self.frame.variables
        for name in [name for name in variables if name not in names]:
            del variables[name]

    # ---- questions ---------------------------------------------------------------------------------------------------

    def decide(self, condition: Any) -> bool | None:
        """Return what a condition is known to be at capture, or None where only the run knows."""
        if isinstance(condition, bool):
            return condition
        if isinstance(condition, Number):
            known = self.assumed.get(id(condition))
            return known
        if isinstance(condition, torch.SymBool):
            expression = condition.node.expr
            if expression in self.assumed:
                return self.assumed[expression]
            return self.axes.settled(expression)
        return bool(condition)

    def cannot(self, what: str, hint: str | None = None) -> CaptureError:
        """Return the error for something that the interpreter cannot capture, at the user's line."""
        return CaptureError(what, where=self.places.line() or None, hint=hint)

    def read(self, *values: Any) -> None:
        """See that tensors and lists have in the graph the value that they have in PyTorch.

        Raises:
            CaptureError: one has not.
        """
        for value in values:
            line = self.aliases.stale(value)
            if line is not None:
                raise self.cannot(
                    f"this may be the tensor that is written in place at {line}, and the graph cannot say so: an if or "
                    "a loop has handed it on, or a list that grows at run time holds it",
                    "clone the tensor before it is written, or write with a pure operator (x = x + 1)",
                )

    def decided(self, what: str, why: str) -> None:
        """Keep a decision for the record, once for each place."""
        decision = Decision(what, why, self.places.line())
        if decision not in self.decisions:
            self.decisions.append(decision)

    # ---- values of the graph -----------------------------------------------------------------------------------------

    def tensor_value(self, tensor: torch.Tensor) -> ir.Value:
        """Return the graph value of a tensor."""
        if torch_private.is_functional(tensor):
            tensor = torch_private.unwrap_functional(tensor)
        return self.recorder.value_of(tensor)

    def constant(self, number: bool | int | float) -> ir.Value:
        """Return the graph value of a known number: int64, float64 or bool, of no dimensions."""
        key = (type(number), number)
        tensor = self._constants.get(key)
        if tensor is None:
            dtype = {bool: torch.bool, int: torch.int64, float: torch.float64}[type(number)]
            with torch_private.beneath_modes():
                tensor = self._constants[key] = torch.tensor(number, dtype=dtype)
        return self.recorder.value_of(tensor)

    def new_placed(self, dims: Sequence[Any], dtype: torch.dtype) -> tuple[torch.Tensor, ir.Value]:
        """Return a tensor that no operator has made, and its value; sizes that are None are read from the value."""
        sizes = [torch_private.unbacked_integer(self.axes, size=True) if dim is None else dim for dim in dims]
        tensor = self.recorder.new_tensor(sizes, dtype)
        return tensor, self.recorder.new_result(torch_private.unwrap_functional(tensor))

    def standing_for(self, value: ir.Value, dims: Sequence[Any], dtype: torch.dtype) -> torch.Tensor:
        """Return a tensor that stands for a value."""
        tensor = self.recorder.new_tensor(dims, dtype)
        self.recorder.bind(torch_private.unwrap_functional(tensor), value)
        return tensor

    def known_outside(self, size: Any) -> bool:
        """Whether a size is known outside of the innermost loop that is being tried."""
        if not isinstance(size, torch.SymInt):
            return True
        values, readers = self.levels[-1]
        return all(symbol in values or symbol in readers for symbol in size.node.expr.free_symbols)

    def never_negative(self, number: Any) -> bool:
        """Whether a symbolic integer is known not to be negative."""
        if not isinstance(number, torch.SymInt):
            return bool(number >= 0)
        question: Any = number >= 0
        return self.decide(plain_number(question)) is True

    # ---- modules -----------------------------------------------------------------------------------------------------

    def attribute(self, target: ModuleObject, name: str) -> Any:
        """Return an attribute of a module as a value of the interpreter."""
        if name in target.written:
            return target.written[name]
        if name not in target.read:
            target.read[name] = self._read(target, name)
        return target.read[name]

    def _read(self, target: ModuleObject, name: str) -> Any:
        if name == "training" and self.mode != "preserve":
            return self.mode == "train"
        path = f"{target.path}.{name}" if target.path else name
        handle = target.handle
        return self.held(handle.getattr(name) if hasattr(handle, "getattr") else getattr(handle, name), path)

    def held(self, value: Any, path: str) -> Any:
        """Return what the model holds as a value of the interpreter: tensors get their stand-ins."""
        if isinstance(value, torch.Tensor):
            return self.stand_in(path, value) if path else self.recorder.literal(value)
        if torch_private.is_script_object(value):
            handle = getattr(value, "_c", value)
            # Packed parameters and the like are handed on to operators as they are.
            return handle if torch_private.is_of_custom_class(handle) else self._module(path, handle)
        if isinstance(value, (list, tuple)):
            members = [self.held(member, f"{path}.{index}") for index, member in enumerate(value)]
            return List(members) if isinstance(value, list) else tuple(members)
        if isinstance(value, dict):
            return {key: self.held(member, f"{path}.{key}") for key, member in value.items()}
        return value

    def _module(self, path: str, handle: Any) -> ModuleObject:
        """Return the one object for a module, however often and under whatever names it is held."""
        for known in self.modules:
            if known.handle == handle:
                return known
        made = ModuleObject(path, handle, class_name(torch_private.script_type_name(handle)))
        self.modules.append(made)
        return made


__all__ = ["Decision", "FunctionName", "Interpreter", "Raised", "ScriptPlaces"]
