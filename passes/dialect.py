# SPDX-License-Identifier: Apache-2.0
"""The ATen dialect: how a PyTorch operator call is written down as an ONNX IR node, and read back.

A node's domain is the operator's namespace, its ``op_type`` the schema's name and its ``overload`` the schema's
overload name.  The arguments of the schema are laid out by three rules:

- an argument of tensor type always takes one input slot, in schema order (``None`` when it is absent); a list of
  tensors is the output of a ``prim::ListConstruct`` node;
- any other argument that is constant is an attribute of the schema's name, left out when it equals the default;
- any other argument that is only known at run time takes an input slot after the tensors; the schema names of those
  slots stand in the attribute ``symbolic_arguments``.  A list that mixes integers with symbols is a
  ``prim::ListConstruct`` node whose attribute ``items`` holds the constants and whose attribute ``slots`` says which
  positions its inputs fill.

Everything that writes or reads such nodes goes through :func:`encode` and :func:`bind`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.tensor_adapters import from_torch_dtype, to_torch_dtype

from ..pipeline.errors import CaptureError

LIST_DOMAIN = "prim"
LIST_OP = "ListConstruct"
SYMBOLIC_ARGUMENTS = "symbolic_arguments"
_LENGTHS = ".lengths"
"""Follows the name of an argument that is a list of lists: they stand in a row, and this says how long each one is."""

_SYMBOLIC_TYPES = (torch.SymInt, torch.SymFloat, torch.SymBool)
_NOT_CONSTANT = (torch.Tensor, *_SYMBOLIC_TYPES)

# Arguments that steer where and how memory is laid out; a file has no such notion.
_AMBIENT_KINDS = frozenset({"Device", "Layout", "MemoryFormat", "Generator", "Stream"})
_AMBIENT_NAMES = frozenset({"pin_memory", "non_blocking"})

DTYPE_NAMES: Mapping[str, torch.dtype] = {
    str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, torch.dtype)
}


@attrs.frozen
class Parameter:
    """One argument of an operator schema, with its type taken apart."""

    name: str
    kind: str
    is_list: bool
    default: Any
    has_default: bool
    ambient: bool
    keyword_only: bool = False

    @property
    def is_tensor(self) -> bool:
        """Whether the argument takes an input slot whatever its value is."""
        return self.kind == "Tensor"


@attrs.frozen
class OperatorSchema:
    """What the dialect needs to know of an operator's schema.

    ``parameters`` are in schema order; ``returns_tensors`` is false for the arithmetic of symbolic sizes.
    """

    qualified_name: str
    overload: str
    parameters: tuple[Parameter, ...]
    returns_tensors: bool

    def split(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return arguments by name, in the order of the schema, as those by position and those by keyword only."""
        keywords = {parameter.name for parameter in self.parameters if parameter.keyword_only}
        return (
            [value for name, value in arguments.items() if name not in keywords],
            {name: value for name, value in arguments.items() if name in keywords},
        )

    @property
    def full_name(self) -> str:
        """``namespace::name.overload``, without the dot where the overload has no name."""
        return f"{self.qualified_name}.{self.overload}" if self.overload else self.qualified_name


@attrs.frozen
class Bound:
    """A dialect node's arguments as ordinary Python values.

    ``positional`` holds the tensor arguments in schema order: a value, ``None`` or a list of those.  ``keywords`` holds
    every other argument by schema name, defaults included; a symbolic one is an ``ir.Value`` (int64, rank 0) and a
    mixed list holds ints and such values.  ``given`` names the keywords that the node states itself.
    """

    schema: OperatorSchema
    positional: list[Any]
    keywords: dict[str, Any]
    given: frozenset[str]


def onnx_dtype(dtype: torch.dtype) -> ir.DataType:
    """Return the ONNX data type of a torch data type.

    Raises:
        CaptureError: it has none.
    """
    try:
        return from_torch_dtype(dtype)
    except TypeError as error:
        near = "torch.complex64" if dtype is torch.complex32 else "a dtype that ONNX has"
        raise CaptureError(
            f"tensors of {dtype} have no counterpart in ONNX", hint=f"convert to {near} before the export"
        ) from error


def torch_dtype(dtype: ir.DataType) -> torch.dtype:
    """Return the torch data type of an ONNX data type."""
    return to_torch_dtype(dtype)


def _parameter(argument: Any) -> Parameter:
    kind = str(argument.real_type)
    is_list = False
    while True:
        if kind.startswith("Optional["):
            kind = kind[len("Optional[") : -1]
        elif kind.startswith("List["):
            kind, is_list = kind[len("List[") : -1], True
        else:
            break
    if kind == "SymInt":
        kind = "int"
    ambient = kind in _AMBIENT_KINDS or argument.name in _AMBIENT_NAMES
    return Parameter(
        argument.name, kind, is_list, argument.default_value, argument.has_default_value(), ambient, argument.kwarg_only
    )


def schema_from(function_schema: torch.FunctionSchema) -> OperatorSchema:
    """Take a torch function schema apart."""
    return OperatorSchema(
        function_schema.name,
        function_schema.overload_name,
        tuple(_parameter(argument) for argument in function_schema.arguments),
        any("Tensor" in str(result.type) for result in function_schema.returns),
    )


_SCHEMA_OF_OVERLOAD: dict[Any, OperatorSchema] = {}


def schema_of(overload: torch._ops.OpOverload) -> OperatorSchema:
    """Return the (cached) schema of an operator overload."""
    schema = _SCHEMA_OF_OVERLOAD.get(overload)
    if schema is None:
        schema = _SCHEMA_OF_OVERLOAD[overload] = schema_from(overload._schema)
    return schema


def find_overload(domain: str, name: str, overload: str = "") -> torch._ops.OpOverload:
    """Return the operator overload that a node's domain, op_type and overload name.

    Raises:
        LookupError: no operator of that name is registered with PyTorch.
    """
    try:
        packet = getattr(getattr(torch.ops, domain), name)
        return getattr(packet, overload or "default")
    except (AttributeError, RuntimeError) as error:
        dotted = f"{name}.{overload}" if overload else name
        raise LookupError(f"PyTorch has no operator {domain}::{dotted}") from error


@functools.cache
def _schema_named(domain: str, name: str, overload: str) -> OperatorSchema:
    return schema_of(find_overload(domain, name, overload))


def node_schema(node: ir.Node) -> OperatorSchema:
    """Return the schema of the operator that a dialect node calls.

    Raises:
        LookupError: no operator of that name is registered with PyTorch.
    """
    return _schema_named(node.domain, node.op_type, node.overload)


def is_dialect_list(node: ir.Node | None) -> bool:
    """Whether a node builds a list."""
    return node is not None and node.op_type == LIST_OP and node.domain == LIST_DOMAIN


# ---- writing ---------------------------------------------------------------------------------------------------------


class Held:
    """What makes a graph value pass for a symbolic number, as `encode` takes it for tensors and numbers alike."""

    __slots__ = ("value",)

    def __init__(self, value: ir.Value) -> None:
        self.value = value


def held(value: ir.Value) -> torch.SymInt:
    """Return a graph value as an argument of `encode`."""
    return torch.SymInt(Held(value))


def held_value(argument: Any) -> ir.Value:
    """Return the value that `held` has wrapped: what `encode` asks for where all of its arguments are such."""
    return argument.node.value


def _tensor_attribute(name: str, value: bool | complex) -> ir.Attr:
    return ir.AttrTensor(name, ir.tensor(np.asarray(value)))


def _absent(name: str) -> ir.Attr:
    return ir.Attr(name, ir.AttributeType.UNDEFINED, None)


def _scalar_attribute(parameter: Parameter, value: Any) -> ir.Attr:
    name = parameter.name
    if isinstance(value, torch.dtype):
        return ir.AttrString(name, str(value).removeprefix("torch."))
    if isinstance(value, bool):
        return ir.AttrInt64(name, int(value)) if parameter.kind != "number" else _tensor_attribute(name, value)
    if isinstance(value, int):
        return ir.AttrFloat32(name, float(value)) if parameter.kind == "float" else ir.AttrInt64(name, value)
    if isinstance(value, float):
        return ir.AttrFloat32(name, value)
    if isinstance(value, complex):
        return _tensor_attribute(name, value)
    if isinstance(value, str):
        return ir.AttrString(name, value)
    raise TypeError(f"argument {name!r} holds a {type(value).__name__}, which the ATen dialect has no form for")


def _list_attribute(parameter: Parameter, values: Sequence[Any]) -> ir.Attr:
    name = parameter.name
    if parameter.kind == "float" or any(isinstance(value, float) for value in values):
        return ir.AttrFloat32s(name, [float(value) for value in values])
    if any(isinstance(value, str) for value in values):
        return ir.AttrStrings(name, list(values))
    return ir.AttrInt64s(name, [int(value) for value in values])


def _list_node(values: Sequence[Any], value_of: Callable[[Any], ir.Value]) -> ir.Node:
    inputs: list[ir.Value | None] = []
    items: list[int] = []
    slots: list[int] = []
    for position, value in enumerate(values):
        if value is None or isinstance(value, _NOT_CONSTANT):
            inputs.append(None if value is None else value_of(value))
            slots.append(position)
            items.append(0)
        else:
            items.append(int(value))
    attributes = [ir.AttrInt64s("items", items), ir.AttrInt64s("slots", slots)]
    return ir.Node(LIST_DOMAIN, LIST_OP, inputs, attributes, num_outputs=1)


def encode(
    overload: torch._ops.OpOverload,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    outputs: Sequence[ir.Value],
    *,
    value_of: Callable[[Any], ir.Value],
    append: Callable[[ir.Node], None],
) -> ir.Node:
    """Write one operator call down as a dialect node and append it.

    Args:
        overload: the operator that was called.
        args: its positional arguments, tensors and symbolic numbers as torch has them.
        kwargs: its keyword arguments.
        outputs: one value for each tensor or symbolic number that the call returned, flattened; dtype and shape set.  A
            tensor that it left out (``None``) keeps its place, as a value without a type.
        value_of: gives the graph value of a tensor or of a symbolic number.
        append: takes the nodes in order: lists first, the call itself last.

    Returns:
        The node of the call itself.

    Raises:
        TypeError: an argument is neither a tensor, a number, a string, a dtype nor a list of those.
    """
    schema = schema_of(overload)
    inputs: list[ir.Value | None] = []
    symbolic_inputs: list[ir.Value] = []
    symbolic_names: list[str] = []
    attributes: list[ir.Attr] = []
    given = len(args)
    for index, parameter in enumerate(schema.parameters):
        if index < given:
            value = args[index]
        elif parameter.name in kwargs:
            value = kwargs[parameter.name]
        else:
            value = parameter.default
        if parameter.kind == "Tensor":
            if parameter.is_list and value is not None:
                node = _list_node(value, value_of)
                append(node)
                inputs.append(node.outputs[0])
            else:
                inputs.append(None if value is None else value_of(value))
        elif parameter.ambient:
            continue
        elif isinstance(value, _NOT_CONSTANT):
            symbolic_names.append(parameter.name)
            symbolic_inputs.append(value_of(value))
        elif isinstance(value, (list, tuple)):
            if any(isinstance(item, (list, tuple)) for item in value):
                attributes.append(ir.AttrInt64s(parameter.name + _LENGTHS, [len(item) for item in value]))
                value = list(itertools.chain.from_iterable(value))
            if any(isinstance(item, _SYMBOLIC_TYPES) for item in value):
                node = _list_node(value, value_of)
                append(node)
                symbolic_names.append(parameter.name)
                symbolic_inputs.append(node.outputs[0])
            elif not (parameter.has_default and _same(value, parameter.default)):
                attributes.append(_list_attribute(parameter, value))
        elif parameter.has_default and _same(value, parameter.default):
            continue
        elif value is None:
            attributes.append(_absent(parameter.name))
        else:
            attributes.append(_scalar_attribute(parameter, value))
    if symbolic_names:
        attributes.append(ir.AttrStrings(SYMBOLIC_ARGUMENTS, symbolic_names))
        inputs.extend(symbolic_inputs)
    domain, _, name = schema.qualified_name.partition("::")
    node = ir.Node(domain, name, inputs, attributes, overload=schema.overload, outputs=outputs)
    append(node)
    return node


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return isinstance(default, (list, tuple)) and list(value) == list(default)
    # True == 1 in Python, yet full(..., True) and full(..., 1) are different tensors.
    return type(value) is type(default) and value == default


# ---- reading ---------------------------------------------------------------------------------------------------------


def list_items(value: ir.Value) -> list[Any]:
    """Return the members of the list that a ``prim::ListConstruct`` node builds: values, ``None`` and ints.

    Raises:
        TypeError: the value is not the output of such a node.
    """
    node = value.producer()
    if node is None or not is_dialect_list(node):
        raise TypeError(f"{value.name or 'a value'} is not the output of a {LIST_DOMAIN}::{LIST_OP} node")
    members: list[Any] = list(node.attributes["items"].as_ints())
    for slot, member in zip(node.attributes["slots"].as_ints(), node.inputs, strict=True):
        members[slot] = member
    return members


def _decode(parameter: Parameter, attribute: ir.Attr) -> Any:
    kind = attribute.type
    value = attribute.value
    if kind == ir.AttributeType.UNDEFINED:
        return None
    if kind == ir.AttributeType.TENSOR:
        return attribute.as_tensor().numpy().item()
    if kind == ir.AttributeType.STRING:
        return DTYPE_NAMES[value] if parameter.kind == "ScalarType" else value
    if kind in (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS):
        return [bool(item) for item in value] if parameter.kind == "bool" else list(value)
    return bool(value) if parameter.kind == "bool" else value


def bind(node: ir.Node) -> Bound:
    """Read a dialect node back as ordinary Python arguments.

    Raises:
        LookupError: the node's operator is not registered with PyTorch.
    """
    schema = node_schema(node)
    symbolic_attribute = node.attributes.get(SYMBOLIC_ARGUMENTS)
    symbolic = symbolic_attribute.as_strings() if symbolic_attribute is not None else ()
    tensor_slots = len(node.inputs) - len(symbolic)
    symbolic_values = dict(zip(symbolic, node.inputs[tensor_slots:], strict=True))
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    given = set(symbolic)
    slot = 0
    for parameter in schema.parameters:
        lengths = node.attributes.get(parameter.name + _LENGTHS)
        if parameter.kind == "Tensor":
            value = node.inputs[slot] if slot < tensor_slots else None
            slot += 1
            positional.append(list_items(value) if parameter.is_list and value is not None else value)
        elif parameter.ambient:
            continue
        elif parameter.name in symbolic_values:
            value = symbolic_values[parameter.name]
            is_list = value is not None and is_dialect_list(value.producer())
            keywords[parameter.name] = list_items(value) if value is not None and is_list else value
        elif parameter.name in node.attributes:
            keywords[parameter.name] = _decode(parameter, node.attributes[parameter.name])
            given.add(parameter.name)
        else:
            keywords[parameter.name] = parameter.default
        if lengths is not None:
            members = iter(keywords[parameter.name])
            keywords[parameter.name] = [list(itertools.islice(members, length)) for length in lengths.as_ints()]
    return Bound(schema, positional, keywords, frozenset(given))
