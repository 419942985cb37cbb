# SPDX-License-Identifier: Apache-2.0
"""Facts of ONNX operator schemas, read from ``onnx.defs`` once per operator and opset."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import attrs
import onnx.defs
import onnx_ir as ir

_TYPE_NAMES = {
    "tensor(float)": ir.DataType.FLOAT,
    "tensor(double)": ir.DataType.DOUBLE,
    **{
        f"tensor({dtype.name.lower()})": dtype
        for dtype in ir.DataType
        if dtype not in (ir.DataType.UNDEFINED, ir.DataType.FLOAT, ir.DataType.DOUBLE)
    },
}


@attrs.frozen
class Slot:
    """One formal input or output: its type variable (or concrete type) and how often it may occur."""

    name: str
    type_name: str
    optional: bool
    variadic: bool
    homogeneous: bool


@attrs.frozen
class OperatorFacts:
    """What the emitter needs to know of an ONNX operator at one opset."""

    op_type: str
    since: int
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    attributes: dict[str, ir.AttributeType]
    required_attributes: frozenset[str]
    types: dict[str, frozenset[ir.DataType]]
    min_inputs: int
    max_inputs: int
    min_outputs: int

    def input_slot(self, index: int) -> Slot:
        """Return the formal input of a position, the variadic one beyond the end."""
        return self.inputs[index] if index < len(self.inputs) else self.inputs[-1]

    def output_slot(self, index: int) -> Slot:
        """Return the formal output of a position, the variadic one beyond the end."""
        return self.outputs[index] if index < len(self.outputs) else self.outputs[-1]

    def allowed(self, type_name: str) -> frozenset[ir.DataType]:
        """Return the tensor element types that a type variable (or concrete type) admits; empty if not a tensor."""
        known = self.types.get(type_name)
        if known is not None:
            return known
        concrete = _TYPE_NAMES.get(type_name)
        return frozenset() if concrete is None else frozenset({concrete})


_OPTION = onnx.defs.OpSchema.FormalParameterOption


def _slots(parameters: Sequence[onnx.defs.OpSchema.FormalParameter]) -> tuple[Slot, ...]:
    return tuple(
        Slot(
            parameter.name,
            parameter.type_str,
            parameter.option == _OPTION.Optional,
            parameter.option == _OPTION.Variadic,
            parameter.is_homogeneous,
        )
        for parameter in parameters
    )


def _attribute_type(attribute: Any) -> ir.AttributeType:
    return ir.AttributeType(attribute.type.value)


@functools.cache
def facts_of(op_type: str, opset: int, domain: str = "") -> OperatorFacts | None:
    """Return the facts of an operator at an opset, or None where the opset does not have it."""
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None
    if schema.deprecated:
        return None
    outputs = _slots(schema.outputs)
    return OperatorFacts(
        op_type,
        schema.since_version,
        _slots(schema.inputs),
        outputs,
        {name: _attribute_type(attribute) for name, attribute in schema.attributes.items()},
        frozenset(name for name, attribute in schema.attributes.items() if attribute.required),
        {
            constraint.type_param_str: frozenset(
                _TYPE_NAMES[name] for name in constraint.allowed_type_strs if name in _TYPE_NAMES
            )
            for constraint in schema.type_constraints
        },
        schema.min_input,
        schema.max_input,
        sum(1 for slot in outputs if not slot.optional and not slot.variadic),
    )


@functools.cache
def first_opset_of(op_type: str, domain: str = "") -> int | None:
    """Return the first opset that has an operator, or None where no opset has it."""
    versions = [
        schema.since_version
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == op_type and schema.domain == domain and not schema.deprecated
    ]
    return min(versions, default=None)


@functools.cache
def newer_than(opset: int) -> frozenset[str]:
    """Return the names of the operators of ONNX's default domain that an opset does not have yet."""
    schemas = onnx.defs.get_all_schemas_with_history()
    since: dict[str, int] = {}
    for schema in schemas:
        if schema.domain == "":
            since[schema.name] = min(schema.since_version, since.get(schema.name, schema.since_version))
    return frozenset(name for name, first in since.items() if first > opset)


def newest_opset() -> int:
    """Return the newest opset of ONNX's default domain that the installed onnx knows."""
    return onnx.defs.onnx_opset_version()
