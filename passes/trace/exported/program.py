# SPDX-License-Identifier: Apache-2.0
"""The export strategy: an exported program, walked node by node into an ATen-dialect graph."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import attrs
import onnx_ir as ir
import sympy
import torch
from lading.passes import torch_private
from lading.passes.lower.registry import has_lowering
from lading.passes.signature.arguments import Arguments, TensorInput
from lading.passes.trace.capture import Baked, Capture
from lading.passes.trace.exported.exporting import PREFIX, Made, exported_program
from lading.passes.trace.exported.given import as_exported
from lading.passes.trace.exported.graph import ProgramGraph
from lading.passes.trace.exported.guards import Guards
from lading.passes.trace.exported.places import ProgramPlaces
from lading.passes.trace.exported.sizes import Sizes
from lading.passes.trace.exported.statistics import with_stated_writes
from lading.passes.trace.exported.walk import Walk
from lading.passes.trace.exported.writes import needs_functionalization
from lading.passes.trace.outputs import Outputs
from lading.passes.trace.record import IR_VERSION
from lading.passes.trace.weight_names import in_order
from lading.pipeline.errors import CaptureError, InternalError, UsageError
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind, SymIntArgument, TensorArgument

_WRITES = frozenset({OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION})


def export(arguments: Arguments) -> tuple[ir.Model, Capture]:
    """Capture a model by `torch.export`, or take the program that the user has exported.

    The operators stay as the program has them, but for composites without a lowering: those are what PyTorch runs for
    them.

    Raises:
        CaptureError: `torch.export` cannot capture the model, or the program has an operator without a counterpart.
    """
    start = time.perf_counter()
    if arguments.program is not None:
        made = Made(arguments.program, "the program that was given")
    else:
        made = exported_program(arguments)
    reading = _Reading(arguments, attrs.evolve(made, program=_functional(made.program)))
    reading.run()
    return reading.model(), reading.capture(time.perf_counter() - start)


def _functional(program: ExportedProgram) -> ExportedProgram:
    program = with_stated_writes(program)
    buffers = frozenset(program.graph_signature.inputs_to_buffers) | frozenset(
        program.graph_signature.inputs_to_parameters
    )
    apart = _composites_without_lowering(program.graph_module)
    if not apart and not needs_functionalization(program.graph_module, buffers):
        return program
    # Writes and views are rewritten, and no operator is taken apart but those of the table.
    return program.run_decompositions({overload: torch_private.composite_of(overload) for overload in apart})


def _composites_without_lowering(module: torch.fx.GraphModule) -> list[Any]:
    found: dict[Any, None] = {}
    for part in module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            overload: Any = node.target
            if not isinstance(overload, torch._ops.OpOverload) or overload._schema.is_mutable:
                continue
            if not torch_private.is_composite(overload):
                continue
            name, _, which = overload.name().partition(".")
            if not has_lowering(name, which):
                found[overload] = None
    return list(found)


class _Reading:
    """One program on its way into a graph."""

    def __init__(self, arguments: Arguments, made: Made) -> None:
        self.arguments = arguments
        self.made = made
        self.program = made.program
        self.sizes = Sizes()
        self.graph = ProgramGraph(self.sizes, places=ProgramPlaces(wrapped=made.paths is not None))
        self.walk = Walk(made.program.graph_module, self.graph)
        self.constants: dict[str, str] = {}
        self.tied: dict[str, tuple[str, ...]] = {}
        self.baked: list[Baked] = []
        self.buffer_writes: dict[str, ir.Value] = {}
        self._order: list[str] = []
        self._weight_of: dict[int, ir.Value] = {}
        self._buffers: dict[torch.fx.Node, str] = {}
        self._state_of: dict[torch.fx.Node, torch.Tensor] = {}

    # ---- inputs ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Read inputs, nodes and outputs."""
        nodes = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        specs = self.program.graph_signature.input_specs
        users = [(node, spec) for node, spec in zip(nodes, specs, strict=True) if spec.kind is InputKind.USER_INPUT]
        given = self._given()
        if len(given) != len(users):
            raise UsageError(
                f"{len(given)} arguments were given, and the exported program takes {len(users)}",
                hint="give the arguments that the program was exported with, nested in the same way",
            )
        guards = Guards(self.program, [node for node, _ in users])
        guards.fix(self.sizes)
        self._name_sizes(users, given)
        guards.state(self.sizes)
        self._inputs(users, given)
        for node, spec in zip(nodes, specs, strict=True):
            if spec.kind is not InputKind.USER_INPUT:
                self.walk.values[node] = self._state(node, spec)
        self._ranges()
        results = self.walk.run()
        self._outputs(results)

    def _given(self) -> list[Any]:
        """Return the flat arguments in the program's order: the tensor input, or the value that is baked in."""
        if self.made.paths is not None:
            return list(self.arguments.inputs)
        stand_ins = [item.tensor.detach() for item in self.arguments.inputs]
        places = {id(tensor): item for tensor, item in zip(stand_ins, self.arguments.inputs, strict=True)}
        args, kwargs = as_exported(self.program, *self.arguments.call(stand_ins))
        flat = torch.utils._pytree.tree_leaves((args, kwargs))
        return [places.get(id(item), item) for item in flat]

    def _name_sizes(self, users: list[tuple[torch.fx.Node, Any]], given: list[Any]) -> None:
        for (node, _), item in zip(users, given, strict=True):
            if isinstance(item, TensorInput):
                shape = node.meta["val"].shape
                if len(shape) != item.tensor.dim():
                    raise UsageError(
                        f"'{item.name}' has {item.tensor.dim()} dimensions, and {len(shape)} in the exported program",
                        hint="give arguments like those that the program was exported with",
                    )
                for axis, name in item.axes.items():
                    self.sizes.name(shape[axis], name, item.tensor.shape[axis], f"'{item.name}', axis {axis}")
        self.sizes.name_from_program(torch_private.dim_names(torch_private.shape_env_of([node for node, _ in users])))

    def _inputs(self, users: list[tuple[torch.fx.Node, Any]], given: list[Any]) -> None:
        derived = []
        values: dict[str, ir.Value] = {}
        for (node, spec), item in zip(users, given, strict=True):
            fake: Any = node.meta.get("val")
            if isinstance(item, TensorInput):
                if not isinstance(fake, torch.Tensor):
                    raise _other_argument(node.name, item.tensor, fake)
                value = values[item.name] = self.graph.tensor(fake, item.name)
                self._keep_asked(value, item)
                derived.append((fake, value, item))
                self.walk.values[node] = value
            elif isinstance(spec.arg, SymIntArgument):
                for symbol in fake.node.expr.free_symbols:
                    self.sizes.fix(symbol, int(item))
                self.baked.append(Baked(item, ""))
                self.walk.values[node] = int(item)
            elif isinstance(spec.arg, TensorArgument):
                raise _other_argument(node.name, item, fake)
            else:
                if item != spec.arg.value:
                    raise _other_argument(node.name, item, spec.arg.value)
                self.walk.values[node] = item
        self.graph.graph_inputs.extend(values[item.name] for item in self.arguments.inputs)
        for fake, value, item in derived:
            for axis, size in enumerate(fake.shape):
                if type(size) is not int:
                    expression = self.sizes.expression(size)
                    self.graph.arithmetic.read_solved(expression, value, axis)
                    text = self.sizes.text(expression)
                    self.sizes.asked.setdefault(text, item.tensor.shape[axis])

    def _keep_asked(self, value: ir.Value, item: TensorInput) -> None:
        """Let the axes of an input have the names that were asked for, also where the program has an expression."""
        assert value.shape is not None
        dims: list[Any] = list(value.shape)
        for axis, name in item.axes.items():
            if not isinstance(dims[axis], int):
                dims[axis] = name
        value.shape = ir.Shape(dims)

    def _state(self, node: torch.fx.Node, spec: Any) -> Any:
        name = spec.target
        if spec.kind is InputKind.CONSTANT_TENSOR or (spec.kind is InputKind.BUFFER and not spec.persistent):
            tensor = self.program.constants[name] if name in self.program.constants else self.program.state_dict[name]
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            tensor = self.program.state_dict[name]
        elif spec.kind is InputKind.TOKEN:
            return None
        else:
            raise CaptureError(
                f"the exported program has an object of TorchScript's as a constant: {name}",
                hint="keep what it holds in buffers, and compute on those with torch operators",
            )
        self._state_of[node] = tensor
        name = self._named(name)
        known = self._weight_of.get(id(tensor))
        if known is not None:
            self.tied[known.name or ""] = (*self.tied.get(known.name or "", ()), name)
            return known
        value = self._weight_of[id(tensor)] = self.graph.weight(name, tensor)
        if spec.kind is InputKind.CONSTANT_TENSOR:
            self.constants[name] = "" if name.rpartition(".")[2].startswith("lifted_tensor_") else name
        else:
            self._order.append(name)
            self._buffers[node] = name
        return value

    def _ranges(self) -> None:
        # A program that the user made has the ranges that were given to make it, and checks them itself.
        declared = self.arguments.program is not None
        for symbol, bounds in self.program.range_constraints.items():
            if isinstance(symbol, sympy.Symbol) and self.graph.arithmetic.knows(symbol):
                for condition in torch_private.range_limits(symbol, bounds):
                    self.sizes.rely(condition, "the program's range of sizes", declared=declared)

    # ---- outputs -----------------------------------------------------------------------------------------------------

    def _outputs(self, results: Any) -> None:
        specs = self.program.graph_signature.output_specs
        leaves: list[Any] = []
        places: dict[int, Any] = {}
        for spec, result in zip(specs, results, strict=True):
            if spec.kind is OutputKind.USER_OUTPUT:
                leaf = result
                if isinstance(result, ir.Value):
                    leaf = torch.empty(0, device="meta")
                    places[id(leaf)] = result
                leaves.append(leaf)
            elif spec.kind in _WRITES and spec.target is not None:
                self.buffer_writes[self._named(spec.target)] = result
        for node, name in self._buffers.items():
            value = self.walk.value(node)
            if value is not self._weight_of[id(self._state_of[node])]:
                self.buffer_writes.setdefault(name, value)
        tree = self._nested(leaves)
        self.outputs = Outputs(tree, _Results(self.graph, places), self.arguments)  # type: ignore[arg-type]

    def _nested(self, leaves: list[Any]) -> Any:
        """Return the outputs in the structure of the model's result."""
        paths = self.made.paths
        if paths is not None:
            return leaves[0] if paths == ("",) else dict(zip(paths, leaves, strict=True))
        out_spec = self.program.call_spec.out_spec
        return tuple(leaves) if out_spec is None else torch.utils._pytree.tree_unflatten(leaves, out_spec)

    def _named(self, name: str) -> str:
        """Return the name of a weight in the user's model."""
        return name.removeprefix(PREFIX) if self.made.paths is not None else name

    # ---- the results -------------------------------------------------------------------------------------------------

    def model(self) -> ir.Model:
        """Return the graph."""
        domains = sorted({node.domain for node in self.graph.nodes})
        graph = ir.Graph(
            self.graph.graph_inputs,
            self.outputs.values,
            nodes=self.graph.nodes,
            initializers=self._initializers(),
            opset_imports=dict.fromkeys(domains, 1),
            name=self._graph_name(),
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="lading")

    def _initializers(self) -> list[ir.Value]:
        order = {name: position for position, name in enumerate(self._order)}
        used = [value for value in self.graph.initializers.values() if value.uses()]
        return in_order(used, order, (*self.graph.graph_inputs, *self.outputs.values))

    def _graph_name(self) -> str:
        model = self.arguments.model
        if self.arguments.program is None:
            return getattr(model, "__name__", type(model).__name__)
        for node in self.program.graph.nodes:
            for path, kind in (node.meta.get("nn_module_stack") or {}).values():
                if path == "" and isinstance(kind, str):
                    return kind.rpartition(".")[2]
        return "ExportedProgram"

    def capture(self, seconds: float) -> Capture:
        """Return what is to be known beside the graph."""
        used = {value.name for value in self.graph.initializers.values() if value.uses()}
        constants = {**self.constants, **dict.fromkeys(self.graph.numbers, "")}
        return Capture(
            strategy="export",
            specialisations=self.sizes.specialisations,
            guards=self.sizes.guards,
            baked=tuple(self.baked),
            buffer_writes=self.buffer_writes,
            constants={name: path for name, path in constants.items() if name in used},
            tied={name: names for name, names in self.tied.items() if name in used},
            dropped_outputs={**self.outputs.dropped, **self.made.dropped},
            axes=dict(self.sizes.asked),
            seconds=seconds,
            details={"program": self.made.how},
        )


class _Results:
    """What `Outputs` asks of the graph that the results belong to."""

    def __init__(self, graph: ProgramGraph, places: Mapping[int, ir.Value]) -> None:
        self.graph_inputs = graph.graph_inputs
        self.alias = graph.alias
        self.number = graph.number
        self.symbolic_scalar = graph.symbolic_scalar
        self._places = places

    def value_of(self, leaf: Any) -> ir.Value:
        """Return the graph value that a member of the result stands for."""
        try:
            return self._places[id(leaf)]
        except KeyError:
            raise InternalError("a member of the result is no output of the exported program") from None


def _other_argument(name: str, given: Any, expected: Any) -> UsageError:
    def shown(value: Any) -> str:
        return "a tensor" if isinstance(value, torch.Tensor) else repr(value)

    return UsageError(
        f"the argument '{name}' is {shown(given)}, and the program was exported with {shown(expected)}",
        hint="export the program anew with the arguments that it is to have",
    )
