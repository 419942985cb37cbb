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
_PLAIN = frozenset(getattr(ir.AttributeType, name) for name in ("INT", "INTS", "FLOAT", "FLOATS", "STRING", "STRINGS"))
"""Kinds of attributes of which the value says all."""

_KNOWN: dict[Any, list[tuple[Any, ...] | None]] = {}
_LIMIT = 10_000


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
    names = {id(value): f"i{index}" for index, value in enumerate(node.inputs) if value is not None}
    given: dict[str, tuple[int, tuple[Any, ...]]] = {}
    constants: dict[str, np.ndarray] = {}
    for value in node.inputs:
        if value is None:
            continue
        name = names[id(value)]
        given[name] = (
            int(value.dtype or 0),
            tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape or ()),
        )
        constant = constant_of(value)
        if constant is not None:
            constants[name] = constant
    order = tuple("" if value is None else names[id(value)] for value in node.inputs)
    # The layers of a model are alike, and so are the questions.
    key: Any = None
    if not constants and kinds <= _PLAIN:
        attributes = tuple((attribute.name, attribute.value) for attribute in node.attributes.values())
        key = (node.op_type, opset, len(node.outputs), attributes, order, tuple(given.items()))
        if key in _KNOWN:
            return [None if dims is None else list(dims) for dims in _KNOWN[key]]
    dims = _asked(node, opset, order, given, constants)
    if key is not None:
        if len(_KNOWN) >= _LIMIT:
            _KNOWN.clear()
        _KNOWN[key] = [None if each is None else tuple(each) for each in dims]
    return dims


def _asked(
    node: ir.Node,
    opset: int,
    order: tuple[str, ...],
    given: dict[str, tuple[int, tuple[Any, ...]]],
    constants: dict[str, np.ndarray],
) -> list[Dims | None]:
    unknown: list[Dims | None] = [None] * len(node.outputs)
    types = {name: onnx.helper.make_tensor_type_proto(dtype, sizes) for name, (dtype, sizes) in given.items()}
    data = {name: ir.serde.serialize_tensor(ir.tensor(array, name=name)) for name, array in constants.items()}
    proto = onnx.NodeProto(op_type=node.op_type)
    proto.input.extend(order)
    proto.output.extend(f"o{index}" for index in range(len(node.outputs)))
    for attribute in node.attributes.values():
        ir.serde.serialize_attribute_into(proto.attribute.add(), attribute)
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
