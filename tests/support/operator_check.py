# SPDX-License-Identifier: Apache-2.0
"""Check the lowering of one operator call against eager PyTorch: values, dtypes and shapes.

The call is written in the ATen dialect with every tensor argument a graph input, lowered to an opset, checked by
onnx's checker and run in onnxruntime (in onnx's reference evaluator where the runtime has no kernel).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from lading.passes import dialect
from lading.passes.lower.graph import WHY_LEFT, lower_model
from lading.pipeline.note import Note
from lading.pipeline.work import Target

NEWEST = onnx.defs.onnx_opset_version()
OPSETS = (7, 9, 11, 13, 18, NEWEST)


class NotLowered(AssertionError):
    """The operator stayed in the ATen dialect."""


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _dims(tensor: torch.Tensor, free: bool) -> list[Any]:
    return [ir.SymbolicDim(f"d{size}") if free else size for size in tensor.shape]


def model_of(
    overload: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, free: bool = False, results: int | None = None
) -> tuple[ir.Model, list[torch.Tensor], list[torch.Tensor]]:
    """Write one call down as a model of the ATen dialect; returns it with its input and expected output tensors."""
    expected = _tensors(overload(*[_cloned(a) for a in args], **kwargs))
    inputs: dict[int, ir.Value] = {}
    feeds: list[torch.Tensor] = []
    for tensor in _tensors([*args, *kwargs.values()]):
        if id(tensor) not in inputs:
            inputs[id(tensor)] = ir.Value(
                name=f"x{len(feeds)}",
                shape=ir.Shape(_dims(tensor, free)),
                type=ir.TensorType(dialect.onnx_dtype(tensor.dtype)),
            )
            feeds.append(tensor)
    outputs = [
        ir.Value(
            name=f"y{index}",
            shape=ir.Shape([ir.SymbolicDim(None)] * tensor.dim() if free else list(tensor.shape)),
            type=ir.TensorType(dialect.onnx_dtype(tensor.dtype)),
        )
        for index, tensor in enumerate(expected)
    ]
    nodes: list[ir.Node] = []
    dialect.encode(overload, args, kwargs, outputs, value_of=lambda t: inputs[id(t)], append=nodes.append)
    graph = ir.Graph(list(inputs.values()), outputs[:results], nodes=nodes, name="operator")
    return ir.Model(graph, ir_version=10), feeds, expected[:results]


def _cloned(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    return type(value)(_cloned(item) for item in value) if isinstance(value, (list, tuple)) else value


def lowered(model: ir.Model, opset: int) -> onnx.ModelProto:
    """Lower a model, give names to what has none, and return it as a proto that the checker accepts.

    Raises:
        NotLowered: a node stayed in the ATen dialect; the message says why.
    """
    result = lower_model(model, Target(opset), Note())
    for node in result.graph:
        if WHY_LEFT in node.meta:
            raise NotLowered(f"{node.domain}::{node.op_type}.{node.overload} at opset {opset}: {node.meta[WHY_LEFT]}")
    _name(result.graph)
    used = {value for graph_node in ir.traversal.RecursiveGraphIterator(result.graph) for value in graph_node.inputs}
    for name, value in list(result.graph.initializers.items()):
        if value not in used:
            del result.graph.initializers[name]
    proto = ir.to_proto(result)
    proto.ir_version = 8 if opset < 19 else 10
    onnx.checker.check_model(proto, full_check=False)
    return proto


def _name(graph: ir.Graph) -> None:
    settled = {*graph.inputs, *graph.outputs}
    taken = {value.name for value in settled} | set(graph.initializers)
    count = 0
    for node in ir.traversal.RecursiveGraphIterator(graph):
        for output in node.outputs:
            if output in settled:
                continue
            if output.name in (None, "") or output.name in taken:
                count += 1
                output.name = f"v{count}"
            taken.add(output.name)


def run(proto: onnx.ModelProto, feeds: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Run a model in onnxruntime, or in the reference evaluator where the runtime lacks a kernel or a type."""
    names = [value.name for value in proto.graph.input]
    types = {tensor.dtype for tensor in feeds}
    if not types & {torch.bfloat16}:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except ort.capi.onnxruntime_pybind11_state.NotImplemented:
            pass
        else:
            return list(session.run(None, {n: t.numpy() for n, t in zip(names, feeds, strict=True)}))
    from onnx.reference import ReferenceEvaluator

    arrays = {n: ir.tensor_adapters.TorchTensor(t).numpy() for n, t in zip(names, feeds, strict=True)}
    return list(ReferenceEvaluator(proto).run(None, arrays))


def compare(expected: torch.Tensor, got: np.ndarray, *, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Assert that dtype, shape and values agree; NaNs equal each other."""
    wanted = ir.tensor_adapters.TorchTensor(expected.detach()).numpy()
    assert wanted.dtype == got.dtype
    assert wanted.shape == got.shape
    if wanted.dtype.kind in "fc" or wanted.dtype.name == "bfloat16":
        if wanted.dtype.itemsize == 2:
            rtol, atol = max(rtol, 2e-2), max(atol, 2e-2)
        wide = np.complex128 if wanted.dtype.kind == "c" else np.float64
        np.testing.assert_allclose(got.astype(wide), wanted.astype(wide), rtol=rtol, atol=atol, equal_nan=True)
    else:
        np.testing.assert_array_equal(got, wanted)


def check(
    overload: Any,
    *args: Any,
    opset: int = NEWEST,
    free: bool = False,
    results: int | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    **kwargs: Any,
) -> onnx.ModelProto:
    """Lower one call (every tensor an input), run it and compare with eager; returns the lowered model.

    Args:
        overload: an operator overload, ``torch.ops.aten.add.Tensor``.
        opset: the target opset.
        free: whether every dimension of every input is a symbol (equal sizes share one) instead of a constant.
        results: how many of the operator's results are used; the rest has no uses.
    """
    model, feeds, expected = model_of(overload, args, kwargs, free=free, results=results)
    proto = lowered(model, opset)
    got = run(proto, feeds)
    assert len(expected) == len(got)
    for tensor, array in zip(expected, got, strict=True):
        compare(tensor, array, rtol=rtol, atol=atol)
    return proto
