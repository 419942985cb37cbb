# SPDX-License-Identifier: Apache-2.0
"""Half precision where it does no harm: ``passes=[ConvertPrecision(keep=("Softmax", "encoder.0.*"))]``."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir

import lading
from lading import Fact, Note, Work, origin_of

FLOAT = ir.DataType.FLOAT
TYPES = {"float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16}


@lading.a_pass("convert-precision", requires=(Fact.ONNX, Fact.INITIALIZERS))
class ConvertPrecision:
    """Compute in half precision, except where a node is to be kept in float32.

    Why: half the bytes, and more speed where the hardware has the type. Inputs and outputs stay float32.
    Declines when: the schema of an operator does not admit the type, a node has a subgraph, or a constant of it does
    not fit the range of the type. Such a node stays in float32, with casts around it.
    """

    to: str = lading.option("float16", choices=tuple(TYPES), help="The type to compute in.")
    keep: tuple[str, ...] = lading.option(
        ("Softmax", "LayerNormalization"), help="What stays in float32: operators, or paths of modules, as patterns."
    )

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        half = TYPES[self.to]
        casts = _Casts(graph)
        outputs = [(place, value) for place, value in enumerate(graph.outputs) if value.dtype == FLOAT]
        for node in list(graph):
            if not any(value is not None and value.dtype in (FLOAT, half) for _, _, value in _inputs(node)):
                continue
            why = self._why_kept(node, half, work.target.opset)
            admitted = set() if why else _admitted(node, half, work.target.opset)
            if why and not self._is_asked_for(node):
                note.declined(node, why)
            for user, index, value in list(_inputs(node)):
                if value is not None and value.dtype in (FLOAT, half):
                    wanted = half if ("input", index) in admitted else FLOAT
                    user.replace_input_with(index, casts.of(value, wanted))
            for index, value in enumerate(node.outputs):
                if ("output", index) in admitted and value.dtype == FLOAT:
                    value.dtype = half
            note.count("kept" if why else "converted")
        for place, value in outputs:
            if value.dtype == half:
                result = casts.of(value, FLOAT)
                result.name, value.name = value.name, result.name
                graph.outputs[place] = result
        casts.finish()

    def _is_asked_for(self, node: ir.Node) -> bool:
        origin = origin_of(node)
        names = [node.op_type, origin.module if origin else ""]
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.keep)

    def _why_kept(self, node: ir.Node, half: ir.DataType, opset: int) -> str | None:
        if self._is_asked_for(node):
            return "asked for"
        if any(
            attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
            for attribute in node.attributes.values()
        ):
            return "it has a subgraph"
        if not _admitted(node, half, opset):
            return f"its schema does not admit {self.to}"
        largest = float(ml_dtypes.finfo(half.numpy()).max)
        for value in node.inputs:
            if value is not None and _is_constant(value) and value.dtype == FLOAT:
                numbers = value.const_value.numpy()
                if np.abs(numbers[np.isfinite(numbers)], dtype=np.float64).max(initial=0) > largest:
                    return f"a constant does not fit {self.to}"
        return None


class _Casts:
    """One cast, or one converted constant, for each value and type that anyone asks for."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._made: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def of(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        if value.dtype == dtype:
            return value
        if (value, dtype) not in self._made:
            self._made[value, dtype] = self._constant(value, dtype) if _is_constant(value) else self._cast(value, dtype)
        return self._made[value, dtype]

    def _constant(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        numbers = value.const_value.numpy().astype(dtype.numpy())
        made = ir.Value(name=f"{value.name}_{dtype.name.lower()}", type=ir.TensorType(dtype), shape=value.shape)
        made.const_value = ir.tensor(numbers, name=made.name)
        self._graph.register_initializer(made)
        return made

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        cast = ir.node("Cast", [value], {"to": int(dtype)})
        cast.outputs[0].dtype, cast.outputs[0].shape = dtype, value.shape
        cast.name = cast.outputs[0].name = f"{value.name}_{dtype.name.lower()}"
        maker = value.producer()
        if maker is None:
            self._graph.insert_before(self._graph[0], cast)
        else:
            self._graph.insert_after(maker, cast)
        # The other way round, the value itself will do.
        self._made[cast.outputs[0], value.dtype] = value
        return cast.outputs[0]

    def finish(self) -> None:
        """Let a constant that took the place of another one have its name."""
        for (old, _), new in self._made.items():
            if _is_constant(old) and not old.uses():
                name = old.name
                del self._graph.initializers[name]
                new.name = name


def _is_constant(value: ir.Value) -> bool:
    # One that is an input as well may be given by the caller.
    return value.is_initializer() and not value.is_graph_input()


def _inputs(node: ir.Node) -> Iterator[tuple[ir.Node, int, ir.Value | None]]:
    """The inputs of a node, and what the nodes of its subgraphs take from outside."""
    inner = [node]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            inner += ir.traversal.RecursiveGraphIterator(attribute.as_graph())
    for user in inner:
        for index, value in enumerate(user.inputs):
            if user is node or (value is not None and value.graph is node.graph):
                yield user, index, value


def _admitted(node: ir.Node, half: ir.DataType, opset: int) -> set[tuple[str, int]]:
    """The inputs and outputs that are float32 and may be of the type, by the operator's schema."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return set()
    name = f"tensor({half.name.lower()})"
    variables = {each.type_param_str for each in schema.type_constraints if name in each.allowed_type_strs}
    found = set()
    for kind, formals, values in (("input", schema.inputs, node.inputs), ("output", schema.outputs, node.outputs)):
        for index, value in enumerate(values):
            variable = formals[min(index, len(formals) - 1)].type_str
            if value is not None and value.dtype in (FLOAT, half) and variable in variables:
                found.add((kind, index))
        if kind == "input":
            # An output follows the inputs of its type; without one, an attribute sets it.
            variables &= {schema.inputs[min(index, len(formals) - 1)].type_str for _, index in found}
    return found
