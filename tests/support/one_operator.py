# SPDX-License-Identifier: Apache-2.0
"""Write one ONNX operator in its newest form for a target opset, through the emitter, and run what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import onnx
import onnx_ir as ir
from lading.passes.lower.emitter import Emitter
from lading.passes.lower.session import Manner, Session

NEWEST = onnx.defs.onnx_opset_version()


@attrs.frozen(eq=False)
class Fed:
    """An operand that is a graph input."""

    array: np.ndarray
    free: bool = False
    """Whether every dimension is a symbol, equal sizes one symbol."""


def fed(value: Any, dtype: Any = np.float32, *, free: bool = False) -> Fed:
    """Make an operand that is a graph input."""
    return Fed(np.asarray(value, dtype=dtype), free)


def written(
    op_type: str, *operands: Any, opset: int, kernels: str | None = "onnxruntime-cpu", **attributes: Any
) -> onnx.ModelProto:
    """Write one operator as a model that the checker accepts.

    Args:
        op_type: the operator, in its newest form.
        operands: ``Fed`` ones become graph inputs, arrays constants; anything else is handed to the emitter as it is.
        opset: the target.
        kernels: the runtime whose missing kernels are bridged.
        attributes: the attributes, and ``outputs``.

    Raises:
        Inexpressible: the target cannot say it.
    """
    graph = ir.Graph([], [], nodes=[], name="one", opset_imports={"": opset})
    nodes: list[ir.Node] = []
    op = Emitter(Session(opset, {}, graph, Manner(kernels)), nodes)
    values = [_operand(op, graph, operand) for operand in operands]
    made = getattr(op, op_type)(*values, **attributes)
    results = list(made) if isinstance(made, tuple) else [made]
    produced = {output for node in nodes for output in node.outputs}
    results = [value if value in produced else op.Identity(value) for value in results]
    graph.extend(nodes)
    for index, value in enumerate(results):
        value.name = f"y{index}"
        graph.outputs.append(value)
    _name(graph)
    model = ir.Model(graph, ir_version=8 if opset < 19 else 10)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=False)
    return proto


def _operand(op: Emitter, graph: ir.Graph, operand: Any) -> Any:
    if isinstance(operand, np.ndarray):
        return op.const(operand, ir.DataType.from_numpy(operand.dtype))
    if not isinstance(operand, Fed):
        return operand
    shape = [ir.SymbolicDim(f"d{size}") if operand.free else size for size in operand.array.shape]
    value = ir.Value(
        name=f"x{len(graph.inputs)}",
        shape=ir.Shape(shape),
        type=ir.TensorType(ir.DataType.from_numpy(operand.array.dtype)),
    )
    graph.inputs.append(value)
    return value


def _name(graph: ir.Graph) -> None:
    kept = {id(value) for value in graph.outputs}
    for count, node in enumerate(ir.traversal.RecursiveGraphIterator(graph)):
        node.name = f"n{count}"
        for index, output in enumerate(node.outputs):
            if id(output) not in kept:
                output.name = f"v{count}_{index}"


def run(proto: onnx.ModelProto, operands: Sequence[Any]) -> list[np.ndarray]:
    """Run a model in onnxruntime without its optimisations, or in the reference evaluator where a kernel is missing."""
    import onnxruntime as ort

    feeds = {f"x{index}": operand.array for index, operand in enumerate(o for o in operands if isinstance(o, Fed))}
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except ort.capi.onnxruntime_pybind11_state.NotImplemented:
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(proto).run(None, feeds))
    return list(session.run(None, feeds))


def outcome(op_type: str, *operands: Any, opset: int = NEWEST, **attributes: Any) -> list[np.ndarray]:
    """Write one operator for an opset and return what it computes."""
    return run(written(op_type, *operands, opset=opset, **attributes), operands)


def assert_same(
    expected: Sequence[np.ndarray], got: Sequence[np.ndarray], *, rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    """Assert that outputs agree in number, dtype, shape and values; NaNs equal each other."""
    assert len(expected) == len(got)
    for wanted, array in zip(expected, got, strict=True):
        assert wanted.dtype == array.dtype
        assert wanted.shape == array.shape
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(array, wanted, rtol=rtol, atol=atol, equal_nan=True)
        else:
            np.testing.assert_array_equal(array, wanted)
