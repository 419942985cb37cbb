# SPDX-License-Identifier: Apache-2.0
"""Shapes of emitted values as onnx's own inference tells them, node by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

Dims = list[Any]

_WINDOWED = frozenset({"Conv", "ConvTranspose"})


def infer_by_onnx(node: ir.Node, opset: int, constant_of: Callable[[ir.Value], np.ndarray | None]) -> list[Dims | None]:
    """Return the shapes of a node's outputs as onnx infers them, ``None`` for one that it cannot tell.

    Args:
        node: the node, with its outputs' dtypes set.
        opset: the opset that the node is written for.
        constant_of: gives the constant that an input holds, where it is a small one.
    """
    unknown: list[Dims | None] = [None] * len(node.outputs)
    if node.domain or any(value is not None and (value.shape is None or value.dtype is None) for value in node.inputs):
        return unknown
    kinds = {attribute.type for attribute in node.attributes.values()}
    if kinds & {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}:
        return unknown
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    names = {id(value): f"i{index}" for index, value in enumerate(node.inputs) if value is not None}
    for value in node.inputs:
        if value is None:
            continue
        name = names[id(value)]
        sizes = [dim if isinstance(dim, int) else dim.value for dim in value.shape or ()]
        types[name] = onnx.helper.make_tensor_type_proto(int(value.dtype or 0), sizes)
        constant = constant_of(value)
        if constant is not None:
            data[name] = ir.to_proto(ir.tensor(constant, name=name))
    proto = onnx.NodeProto(op_type=node.op_type)
    proto.input.extend("" if value is None else names[id(value)] for value in node.inputs)
    proto.output.extend(f"o{index}" for index in range(len(node.outputs)))
    proto.attribute.extend(ir.to_proto(attribute) for attribute in node.attributes.values())
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema, proto, types, data, opset_imports=[onnx.helper.make_opsetid("", opset)]
        )
    except onnx.shape_inference.InferenceError:
        return unknown
    dims = [_dims_from_proto(found.get(name)) for name in proto.output]
    if node.op_type in _WINDOWED and dims[0] is None and node.inputs[0] is not None:
        # onnx wants the kernel's sizes before it says anything; how many axes there are does not hang on them.
        dims[0] = [ir.SymbolicDim(None) for _ in node.inputs[0].shape or ()]
    return dims


def _dims_from_proto(proto: onnx.TypeProto | None) -> Dims | None:
    if proto is None or not proto.tensor_type.HasField("shape"):
        return None
    return [
        dim.dim_value if dim.HasField("dim_value") else ir.SymbolicDim(dim.dim_param or None)
        for dim in proto.tensor_type.shape.dim
    ]
