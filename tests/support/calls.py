# SPDX-License-Identifier: Apache-2.0
"""Tables of operator calls: one line a case, spread over opsets and over fixed and free shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import onnx
import onnx_ir as ir
import pytest
import torch
from lading.passes import dialect
from support.operator_check import NEWEST, check, lowered

TABLE_OPSETS = (7, 9, 11, 13, 18, NEWEST)


@attrs.frozen
class Call:
    """One operator call; ``floor`` is the oldest opset that can say it, ``free`` whether its shapes may be free."""

    overload: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    floor: int
    free: bool


def call(overload: Any, *args: Any, floor: int = 7, free: bool = True, **kwargs: Any) -> Call:
    return Call(overload, args, kwargs, floor, free)


def _sketch(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"{dtype}{list(value.shape)}".replace(" ", "")
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_sketch(item) for item in value) + "]"
    return str(value)


def spread(calls: Iterable[Call], opsets: Sequence[int] = TABLE_OPSETS) -> list[Any]:
    """Return a parameter set for each call, opset from its floor on, and kind of shape."""
    made = []
    for item in calls:
        name = f"{item.overload}({', '.join(_sketch(a) for a in (*item.args, *item.kwargs.values()))})"
        for opset in sorted({item.floor, *(o for o in opsets if o > item.floor)}):
            for free in (False, True) if item.free else (False,):
                made.append(pytest.param(item, opset, free, id=f"{name}-{opset}{'-free' if free else ''}"))
    return made


def agrees(item: Call, opset: int, free: bool, **tolerance: float) -> onnx.ModelProto:
    return check(item.overload, *item.args, opset=opset, free=free, **tolerance, **item.kwargs)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def tensor(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    """Random numbers: normal floats, integers from -9 to 9, fair bools; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) > 0.5
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.randint(-9 if dtype.is_signed else 0, 10, shape, generator=generator).to(dtype)


def symbolic_model(
    overload: Any,
    shapes: Sequence[Sequence[int | str]],
    arguments: Sequence[Any],
    result: Sequence[int | str],
    opset: int = NEWEST,
) -> onnx.ModelProto:
    """Lower one call whose sizes are symbols; returns the model.

    Args:
        overload: the operator.
        shapes: the shape of each float input, free axes by name.
        arguments: the call's other arguments in schema order; a string in a list is a symbolic size, which becomes an
            int64 input of that name.
        result: the shape that capture saw.
        opset: the target.
    """

    def dims(shape: Sequence[int | str]) -> ir.Shape:
        return ir.Shape([ir.SymbolicDim(size) if isinstance(size, str) else size for size in shape])

    float32 = ir.TensorType(ir.DataType.FLOAT)
    inputs = [ir.Value(name=f"x{i}", shape=dims(shape), type=float32) for i, shape in enumerate(shapes)]
    output = ir.Value(name="y0", shape=dims(result), type=float32)
    sizes: dict[str, ir.Value] = {}

    def size_value(name: str) -> ir.Value:
        if name not in sizes:
            sizes[name] = ir.Value(name=name, shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT64))
        return sizes[name]

    nodes: list[ir.Node] = []
    attributes: list[ir.Attr] = []
    slots: list[ir.Value] = []
    names: list[str] = []
    parameters = [p for p in dialect.schema_of(overload).parameters if not p.is_tensor]
    for parameter, argument in zip(parameters, arguments, strict=False):
        if isinstance(argument, list) and any(isinstance(item, str) for item in argument):
            positions = [i for i, item in enumerate(argument) if isinstance(item, str)]
            items = [0 if isinstance(item, str) else item for item in argument]
            made = ir.Node(
                dialect.LIST_DOMAIN,
                dialect.LIST_OP,
                [size_value(argument[i]) for i in positions],
                [ir.AttrInt64s("items", items), ir.AttrInt64s("slots", positions)],
            )
            nodes.append(made)
            slots.append(made.outputs[0])
            names.append(parameter.name)
        elif isinstance(argument, str):
            slots.append(size_value(argument))
            names.append(parameter.name)
        elif isinstance(argument, list):
            attributes.append(ir.AttrInt64s(parameter.name, argument))
        else:
            attributes.append(ir.AttrInt64(parameter.name, argument))
    if names:
        attributes.append(ir.AttrStrings(dialect.SYMBOLIC_ARGUMENTS, names))
    domain, _, name = overload._schema.name.partition("::")
    overload_name = overload._schema.overload_name
    nodes.append(ir.Node(domain, name, [*inputs, *slots], attributes, overload=overload_name, outputs=[output]))
    graph = ir.Graph([*inputs, *sizes.values()], [output], nodes=nodes, name="operator")
    return lowered(ir.Model(graph, ir_version=10), opset)
