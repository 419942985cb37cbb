# SPDX-License-Identifier: Apache-2.0
"""Symbolic functions that others wrote for `torch.onnx`, as lowerings.

What `torch.onnx.register_custom_op_symbolic` has been given, and the static `symbolic` of an `autograd.Function`, takes
a graph and values of TorchScript's classes and writes operators with `g.op`. It gets what it expects, with the node's
arguments as inputs and constants; what it has written is then written again with the emitter, which checks it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from .inexpressible import Inexpressible

if TYPE_CHECKING:
    from ..dialect import Bound, OperatorSchema
    from .emitter import Emitter
    from .registry import Entry

    Symbolic = Callable[..., Any]

FUNCTIONS_DOMAIN = "autograd"
_BUILTIN = "lading.passes.lower.ops."
_DOMAINS = {"aten": "org.pytorch.aten"}

_functions: dict[str, Any] = {}


def has_symbolic(function: type) -> bool:
    """Whether an autograd Function says by itself how it is written in ONNX."""
    return callable(getattr(function, "symbolic", None))


def remember_function(function: type) -> None:
    """Let the calls of an autograd Function that capture has kept whole be lowered by its `symbolic`."""
    _functions[f"{FUNCTIONS_DOMAIN}::{function.__name__}"] = function


def symbolics_for(opset: int) -> dict[str, Symbolic]:
    """Return the symbolic functions of others by operator: those registered, and those of kept autograd Functions."""
    from ..torch_private import registered_symbolics

    own: dict[str, Any] = {name: function.symbolic for name, function in _functions.items()}
    return {**registered_symbolics(opset), **own}


def goes_before(symbolic: Symbolic, name: str, entry: Entry | None) -> bool:
    """Whether a symbolic function goes before the lowering that there is.

    It does before lading's own, since somebody has asked for it; not where the library of the operator itself gave it
    to fill a gap of PyTorch's exporter, and not before a lowering from outside of lading.
    """
    if entry is None:
        return True
    if not entry.function.__module__.startswith(_BUILTIN):
        return False
    return _home(symbolic) != name.partition("::")[0]


def _home(symbolic: Symbolic) -> str:
    return str(getattr(symbolic, "__module__", "")).partition(".")[0]


def call_symbolic(op: Emitter, symbolic: Symbolic, bound: Bound, opset: int) -> list[Any]:
    """Write a node by a symbolic function.

    Raises:
        Inexpressible: the function cannot be called so, or writes what has no place; the reason names it.
    """
    from ..torch_private import SymbolicGraph

    try:
        graph = SymbolicGraph(opset)
        writing = _Writing(op, graph)
        arguments = writing.arguments(bound)
        returned = graph.call(symbolic, arguments)
        return writing.written(returned)
    except Inexpressible as error:
        raise _unserved(symbolic, bound.schema, error.why) from error
    except Exception as error:
        text = (str(error).strip() or "no reason").partition("\n")[0]
        raise _unserved(symbolic, bound.schema, f"{type(error).__name__}: {text}") from error


class _Writing:
    """One call of a symbolic function: its values, and those of the graph that is being lowered."""

    def __init__(self, op: Emitter, graph: Any) -> None:
        self.op = op
        self.graph = graph
        self._values: dict[str, ir.Value | None] = {}

    # ---- in ----------------------------------------------------------------------------------------------------------

    def arguments(self, bound: Bound) -> list[Any]:
        """Return the arguments of a node in the order of its schema."""
        tensors = iter(bound.positional)
        whole = bound.schema.qualified_name.startswith(f"{FUNCTIONS_DOMAIN}::")
        arguments = []
        for parameter in bound.schema.parameters:
            value = next(tensors) if parameter.is_tensor else bound.keywords.get(parameter.name)
            # Of an autograd Function PyTorch passes everything but tensors as it is.
            arguments.append(self._as_it_is(value) if whole else self._value(value))
        return arguments

    def _as_it_is(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._as_it_is(item) for item in value]
        return self._input(value) if isinstance(value, ir.Value) else value

    def _value(self, value: Any) -> Any:
        if isinstance(value, ir.Value):
            return self._input(value)
        if isinstance(value, (list, tuple)):
            if any(isinstance(item, ir.Value) or item is None for item in value) or not value:
                return self.graph.members([self._value(item) for item in value])
            return self.graph.constant(list(value))
        return self.graph.constant(_plain(value))

    def _input(self, value: ir.Value) -> Any:
        from ..dialect import torch_dtype

        if value.dtype is None:
            raise Inexpressible(f"the dtype of {value.name or 'an input'} is not known")
        sizes = None if value.shape is None else [size if isinstance(size, int) else None for size in value.shape]
        made = self.graph.input(torch_dtype(value.dtype), sizes)
        self._values[made.debugName()] = value
        return made

    # ---- out ---------------------------------------------------------------------------------------------------------

    def written(self, returned: Any) -> list[Any]:
        """Write what the function has written with the emitter; returns the results."""
        results = list(returned) if isinstance(returned, (list, tuple)) else [returned]
        if len(results) == 1 and results[0] is not None and results[0].node().kind() == "prim::ListConstruct":
            results = list(results[0].node().inputs())
        positions = {result.debugName(): index for index, result in enumerate(results) if self.graph.is_value(result)}
        needed, nodes = set(positions), []
        for node in reversed(self.graph.nodes()):
            if needed.intersection(output.debugName() for output in node.outputs()):
                needed.update(value.debugName() for value in node.inputs())
                nodes.append(node)
        for node in reversed(nodes):
            self._write(node, positions)
        return [self._values[result.debugName()] if self.graph.is_value(result) else None for result in results]

    def _write(self, node: Any, positions: dict[str, int]) -> None:
        kind: str = node.kind()
        if kind.startswith("prim::"):
            if kind not in ("prim::Constant", "prim::ListConstruct"):
                raise Inexpressible(f"it leaves {kind} in the graph")
            for output in node.outputs():
                self._values[output.debugName()] = None
            return
        if list(node.blocks()):
            raise Inexpressible(f"it writes {kind} with bodies")
        attributes = {name: _attribute(value) for name, value in _attributes(node).items()}
        outputs = list(node.outputs())
        if kind == "onnx::Constant":
            self._values[outputs[0].debugName()] = self._constant(attributes["value"])
            return
        inputs = [self._values[value.debugName()] for value in node.inputs()]
        domain, _, op_type = kind.partition("::")
        if domain == "onnx":
            made = self.op.raw(op_type, *inputs, outputs=len(outputs), **attributes)
        else:
            made = self._custom(_DOMAINS.get(domain, domain), op_type, inputs, attributes, outputs, positions)
        for output, value in zip(outputs, made if isinstance(made, tuple) else (made,), strict=True):
            self._values[output.debugName()] = value

    def _constant(self, value: Any) -> ir.Value | None:
        if isinstance(value, ir.TensorProtocol):
            return self.op.const(value.numpy(), value.dtype)
        # A string among the arguments, which operators take as an attribute.
        return None

    def _custom(
        self,
        domain: str,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: dict[str, Any],
        outputs: Sequence[Any],
        positions: dict[str, int],
    ) -> Any:
        described = [self._described(output, positions) for output in outputs]
        made = self.op.custom(
            f"{domain}::{op_type}",
            *inputs,
            dtypes=[dtype or ir.DataType.UNDEFINED for dtype, _ in described],
            shapes=[shape for _, shape in described],
            **attributes,
        )
        for value, (dtype, _) in zip(made if isinstance(made, tuple) else (made,), described, strict=True):
            if dtype is None:
                value.type = None
        return made

    def _described(self, output: Any, positions: dict[str, int]) -> tuple[ir.DataType | None, Any]:
        """Return dtype and shape of an output: what capture saw of a result, else what the function has set."""
        from ..dialect import onnx_dtype

        index = positions.get(output.debugName())
        if index is not None and index < self.op.result_count:
            seen = self.op.result(index)
            return seen.dtype, seen.shape
        kind = output.type()
        dtype = kind.dtype() if hasattr(kind, "dtype") else None
        sizes = kind.varyingSizes() if hasattr(kind, "varyingSizes") else None
        return None if dtype is None else onnx_dtype(dtype), sizes


def _attributes(node: Any) -> dict[str, Any]:
    found = {}
    for name in node.attributeNames():
        # What a node says of its kinds is shifted behind "f" in PyTorch 2.13: its getters know better.
        for kind in ("i", "f", "s", "t", "is", "fs", "ss", "ts"):
            with contextlib.suppress(RuntimeError):
                found[name] = getattr(node, kind)(name)
                break
        else:
            raise Inexpressible(f"the attribute {name} of {node.kind()} is a graph or a type")
    return found


def _plain(value: Any) -> Any:
    """Return an argument as TorchScript has it: data types by their number."""
    import torch

    if isinstance(value, torch.dtype):
        from ..trace.script.scalar_types import number_of

        return number_of(value)
    return value


def _attribute(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return ir.tensor(value.detach().cpu().contiguous().numpy())
    if isinstance(value, list):
        return [_attribute(item) for item in value]
    return value


def _unserved(symbolic: Symbolic, schema: OperatorSchema, why: str) -> Inexpressible:
    where = f"{getattr(symbolic, '__module__', '?')}:{getattr(symbolic, '__qualname__', symbolic)}"
    tensors = [parameter.name for parameter in schema.parameters if parameter.is_tensor]
    others = [parameter.name for parameter in schema.parameters if not parameter.is_tensor and not parameter.ambient]
    parameters = ", ".join(["op", *tensors, *(["*", *others] if others else [])])
    name = schema.qualified_name.rpartition(":")[2]
    stub = f'@lading.lowers("{schema.qualified_name}") / def {name}({parameters}): return op....'
    return Inexpressible(f"its symbolic function {where} does not serve here ({why}); a lowering would: {stub}")
