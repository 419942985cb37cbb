# SPDX-License-Identifier: Apache-2.0
"""The emitter: what a lowering or a spelling writes ONNX with.

``op.Add(x, 1.0)`` writes an operator in its newest form; the spelling for the target opset is chosen inside.  Every
node is checked against the target schema as it is written and its outputs get dtype and shape, so that a lowering can
go on reasoning about what it has just made.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import onnx_ir as ir

from ...pipeline.origin import Origin, set_origin
from ..control_flow import distinct_outputs
from . import shapes
from .inexpressible import Inexpressible
from .promotion import common_dtype
from .schemas import OperatorFacts, facts_of, first_opset_of, newest_opset
from .session import Session

Operand = Any
"""A graph value, a Python number, a (nested) list of numbers, or None for an absent optional input."""

# Where a schema does not admit a dtype, the first of these that it does admit carries the values instead.
_CARRIERS: dict[ir.DataType, tuple[ir.DataType, ...]] = {
    ir.DataType.BOOL: (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.UINT8, ir.DataType.FLOAT),
    ir.DataType.UINT8: (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.FLOAT),
    ir.DataType.INT8: (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.FLOAT),
    ir.DataType.INT16: (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.FLOAT),
    ir.DataType.UINT16: (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.FLOAT),
    ir.DataType.INT32: (ir.DataType.INT64, ir.DataType.DOUBLE, ir.DataType.FLOAT),
    ir.DataType.UINT32: (ir.DataType.INT64, ir.DataType.DOUBLE, ir.DataType.FLOAT),
    ir.DataType.INT64: (ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.FLOAT),
    ir.DataType.UINT64: (ir.DataType.INT64, ir.DataType.DOUBLE, ir.DataType.FLOAT),
    ir.DataType.FLOAT16: (ir.DataType.FLOAT, ir.DataType.DOUBLE),
    ir.DataType.BFLOAT16: (ir.DataType.FLOAT, ir.DataType.DOUBLE),
    ir.DataType.FLOAT: (ir.DataType.DOUBLE,),
    ir.DataType.DOUBLE: (ir.DataType.FLOAT,),
}

_OUTPUT_DTYPE_ATTRIBUTES = {
    "Cast": "to",
    "BitCast": "to",
    "RandomNormal": "dtype",
    "RandomUniform": "dtype",
    "RandomNormalLike": "dtype",
    "RandomUniformLike": "dtype",
    "Multinomial": "dtype",
    "Bernoulli": "dtype",
    "EyeLike": "dtype",
    "HannWindow": "output_datatype",
    "HammingWindow": "output_datatype",
    "BlackmanWindow": "output_datatype",
    "MelWeightMatrix": "output_datatype",
}


@attrs.frozen
class Described:
    """What capture knows of one output of the operator that is being lowered, and whether anything uses it."""

    dtype: ir.DataType
    shape: ir.Shape | None
    used: bool = True


def _is_number(item: Any) -> bool:
    return isinstance(item, (bool, int, float, complex, np.generic))


def _plain(attribute: Any) -> Any:
    return int(attribute) if isinstance(attribute, ir.DataType) else attribute


class Emitter:
    """Writes ONNX nodes for one ATen node, or for the body of a control-flow operator.

    Args:
        session: the target, the constants and the values of the lowering.
        nodes: receives the nodes in order.
        results: the outputs of the ATen node as capture described them.
        origin: where the ATen node came from; every node that is written carries it.
        lower_call: lowers a call of another ATen operator with this emitter.
    """

    def __init__(
        self,
        session: Session,
        nodes: list[ir.Node],
        results: Sequence[Described] = (),
        origin: Origin | None = None,
        lower_call: Callable[..., Any] | None = None,
        inputs: Sequence[ir.Value] = (),
    ) -> None:
        self._session = session
        self._nodes = nodes
        self._results = results
        self._origin = origin
        self._lower_call = lower_call
        self.inputs = tuple(inputs)

    # ---- writing nodes -----------------------------------------------------------------------------------------------

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if not op_type[0].isupper():
            raise AttributeError(f"the emitter has no helper {op_type!r}; ONNX operators start with a capital letter")
        return functools.partial(self._spelled, op_type)

    def _spelled(self, op_type: str, *inputs: Operand, **attributes: Any) -> Any:
        spelling = self._session.spelling(op_type)
        if spelling is not None:
            return spelling.function(self, *inputs, **attributes)
        return self.raw(op_type, *inputs, **attributes)

    def raw(self, op_type: str, *inputs: Operand, outputs: int | None = None, **attributes: Any) -> Any:
        """Write one node of ONNX's default domain exactly as given, checked against the target opset's schema.

        Args:
            op_type: the operator.
            inputs: values, ``None`` for absent ones, or Python numbers and lists, which become constants.
            outputs: how many outputs to take; by default those that are not optional.
            attributes: the attributes; those that are ``None`` are left out.

        Returns:
            The output, or a tuple where there are several.

        Raises:
            Inexpressible: the target opset lacks the operator, or an input or attribute that is used here.
        """
        facts = self._session.facts(op_type)
        if facts is None:
            raise Inexpressible(self._why_missing(op_type))
        given = {name: value for name, value in attributes.items() if value is not None}
        self._check(facts, inputs, given)
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        values = self._operands(facts, inputs)
        values, carried = self._bridged(facts, values, given)
        _check_alike(facts, values)
        node = ir.Node(
            "",
            op_type,
            values,
            [self._attribute(facts, name, value) for name, value in given.items()],
            num_outputs=facts.min_outputs if outputs is None else outputs,
        )
        self._describe(facts, node, values, given)
        self._append(node)
        made: list[ir.Value] = list(node.outputs)
        for type_name, wanted in carried.items():
            for index, output in enumerate(made):
                if facts.output_slot(index).type_name == type_name:
                    made[index] = self.cast(output, wanted)
        return made[0] if len(made) == 1 else tuple(made)

    def custom(
        self,
        qualified_name: str,
        *inputs: ir.Value | None,
        dtypes: Sequence[ir.DataType] | None = None,
        shapes: Sequence[Any] | None = None,
        **attributes: Any,
    ) -> Any:
        """Write a node of a domain of one's own, ``"my.domain::Op"``; its version comes from ``custom_opsets``.

        Args:
            qualified_name: domain and operator.
            inputs: values only, since no schema says what a number would become.
            dtypes: dtype of each output; by default those of the ATen operator that is being lowered.
            shapes: shape of each output; by default those of the ATen operator that is being lowered.
            attributes: numbers, strings, lists of those, or tensors.
        """
        domain, separator, op_type = qualified_name.partition("::")
        if not separator or not domain:
            raise ValueError(f"a custom operator is named domain::Operator, not {qualified_name!r}")
        if dtypes is None:
            dtypes = [result.dtype for result in self._results]
            shapes = [result.shape for result in self._results]
        node = ir.Node(
            domain,
            op_type,
            inputs,
            ir.convenience.convert_attributes({k: _plain(v) for k, v in attributes.items() if v is not None}),
            num_outputs=len(dtypes),
        )
        for index, output in enumerate(node.outputs):
            output.type = ir.TensorType(dtypes[index])
            shape = shapes[index] if shapes is not None else None
            output.shape = ir.Shape(shape) if shape is not None else None
        self._session.custom_opsets.setdefault(domain, 1)
        self._append(node)
        return node.outputs[0] if len(node.outputs) == 1 else tuple(node.outputs)

    @property
    def node_count(self) -> int:
        """How many nodes have been written so far."""
        return len(self._nodes)

    def take_back(self, count: int) -> None:
        """Take back what was written after the first `count` nodes, none of which anything uses."""
        for node in reversed(self._nodes[count:]):
            for index in range(len(node.inputs)):
                node.replace_input_with(index, None)
        del self._nodes[count:]

    def needs(self, domain: str, version: int) -> None:
        """Say which version of a domain of one's own is meant, where ``custom_opsets`` does not."""
        self._session.custom_opsets.setdefault(domain, version)

    def means_the_same(self, op_type: str, opset: int) -> bool:
        """Whether an operator of ONNX's default domain is at the target what it is at another opset."""
        facts, others = self._session.facts(op_type), facts_of(op_type, opset)
        return facts is not None and others is not None and facts.since == others.since

    def body(self, *inputs: tuple[str, ir.DataType, Sequence[Any] | None]) -> Emitter:
        """Open the body of a control-flow operator; its emitter's ``inputs`` are the body's inputs.

        Args:
            inputs: name, dtype and shape (``None`` if unknown) of each input of the body.
        """
        values = [
            ir.Value(name=name, type=ir.TensorType(dtype), shape=None if shape is None else ir.Shape(shape))
            for name, dtype, shape in inputs
        ]
        return Emitter(self._session, [], self._results, self._origin, self._lower_call, values)

    def graph(self, outputs: Sequence[ir.Value], name: str = "body") -> ir.Graph:
        """Close a body that :meth:`body` opened and return it as an attribute value."""
        produced = {output for node in self._nodes for output in node.outputs}
        # A graph output must be made inside the graph: an input or a captured value goes through an Identity.
        return ir.Graph(self.inputs, distinct_outputs(outputs, produced, self.Identity), nodes=self._nodes, name=name)

    def take(self, body: ir.Graph, *inputs: ir.Value) -> list[ir.Value]:
        """Move the nodes of a closed body here, its inputs replaced by values; returns its outputs."""
        for old, new in zip(body.inputs, inputs, strict=True):
            ir.convenience.replace_all_uses_with(old, new)
        results = [
            inputs[list(body.inputs).index(output)] if output.is_graph_input() else output for output in body.outputs
        ]
        body.outputs.clear()
        nodes = list(body)
        body.remove(nodes)
        self._nodes.extend(nodes)
        return results

    def call(self, name: str, *tensors: Operand, **arguments: Any) -> Any:
        """Lower a call of another operator in place: ``"aten::softmax.int"``, or ``"complex/aten::exp"`` for pairs."""
        if self._lower_call is None:
            raise Inexpressible(f"{name} cannot be lowered from here")
        return self._lower_call(self, name, tensors, arguments)

    # ---- constants and dtypes ----------------------------------------------------------------------------------------

    def const(self, value: Any, dtype: ir.DataType) -> ir.Value:
        """Return a constant of a dtype: a number, a nested list or an array."""
        return self._session.constant(np.asarray(value), dtype)

    @property
    def constants_made(self) -> int:
        """How many constants and weights the graph has by now: a number that no two nodes with a new constant share."""
        graph = self._session.graph
        return 0 if graph is None else len(graph.initializers)

    @property
    def may_repeat(self) -> bool:
        """Whether what is written is part of a function, which may be called in several places."""
        return self._session.repeated

    def const_like(self, value: Any, like: ir.Value) -> ir.Value:
        """Return a constant of the dtype of another value.

        Raises:
            Inexpressible: that is a dtype of integers, and the constant has a fraction.
        """
        return self._whole_const(value, _dtype(like))

    def _whole_const(self, value: Any, dtype: ir.DataType) -> ir.Value:
        array = np.asarray(value)
        if array.dtype.kind == "f" and dtype.is_integer() and not np.array_equal(array, np.trunc(array)):
            raise Inexpressible(f"a constant with a fraction, {value}, meets {dtype.name.lower()}")
        return self._session.constant(array, dtype)

    def i64(self, value: Any) -> ir.Value:
        """Return an int64 constant: a scalar for an int, a vector for a list; values pass through."""
        return value if isinstance(value, ir.Value) else self.const(value, ir.DataType.INT64)

    def is_own_constant(self, x: ir.Value) -> bool:
        """Whether a value is a constant that a lowering made, and not a parameter of the model."""
        return self._session.made(x)

    def cast(self, x: Operand, dtype: ir.DataType) -> ir.Value:
        """Convert to a dtype; no node where nothing changes, and a constant stays a constant."""
        if not isinstance(x, ir.Value):
            return self.const(x, dtype)
        if x.dtype == dtype:
            return x
        constant = shapes.constant_of(x)
        if constant is not None and constant.size <= 64:
            return self.const(constant, dtype)
        cast: ir.Value = self.Cast(x, to=dtype)
        return cast

    def promote(self, *operands: Operand) -> list[ir.Value]:
        """Convert operands (values and Python numbers) to the dtype in which PyTorch would combine them."""
        tensors = [(_dtype(x), self.rank(x)) for x in operands if isinstance(x, ir.Value)]
        dtype = common_dtype(tensors, [x for x in operands if not isinstance(x, ir.Value)])
        return [self.cast(x, dtype) for x in operands]

    def promote_float(self, *operands: Operand) -> list[ir.Value]:
        """Like :meth:`promote`, with integers and bools turned into the floating dtype of the operator's result."""
        tensors = [(_dtype(x), self.rank(x)) for x in operands if isinstance(x, ir.Value)]
        dtype = common_dtype(tensors, [x for x in operands if not isinstance(x, ir.Value)])
        if not dtype.is_floating_point():
            dtype = self.result().dtype if self._results else ir.DataType.FLOAT
        return [self.cast(x, dtype) for x in operands]

    # ---- shapes ------------------------------------------------------------------------------------------------------

    def rank(self, x: ir.Value) -> int:
        """Return the number of dimensions.

        Raises:
            Inexpressible: it is not known.
        """
        if x.shape is None:
            raise Inexpressible(f"the number of dimensions of {x.name or 'an input'} is not known")
        return len(x.shape)

    def dim(self, x: ir.Value, axis: int) -> int | None:
        """Return a dimension's size where it is static, else None."""
        self.rank(x)
        size = x.shape[axis]  # type: ignore[index]
        return size if isinstance(size, int) else None

    def size(self, x: ir.Value, axis: int) -> int | ir.Value:
        """Return a dimension's size: an int where it is static, else an int64 vector of one element."""
        size = self.dim(x, axis)
        if size is not None:
            return size
        axis = axis % self.rank(x)
        vector: ir.Value = self.Shape(x, start=axis, end=axis + 1)
        return vector

    def sizes(self, x: ir.Value) -> list[int] | ir.Value:
        """Return the whole shape: a list of ints where it is static, else an int64 vector."""
        static = [dim for dim in x.shape or () if isinstance(dim, int)]
        if x.shape is not None and len(static) == len(x.shape):
            return static
        vector: ir.Value = self.Shape(x)
        return vector

    def int_vector(self, items: Sequence[int | ir.Value] | ir.Value) -> list[int] | ir.Value:
        """Join ints and symbolic sizes to one vector: a list where all are ints, else an int64 vector."""
        if isinstance(items, ir.Value):
            return items
        static = [int(item) for item in items if not isinstance(item, ir.Value)]
        if len(static) == len(items):
            return static
        parts: list[ir.Value] = []
        run: list[int] = []
        for item in items:
            if isinstance(item, ir.Value):
                if run:
                    parts.append(self.i64(run))
                    run = []
                parts.append(self.vector(item))
            else:
                run.append(int(item))
        if run:
            parts.append(self.i64(run))
        return parts[0] if len(parts) == 1 else self.Concat(*parts, axis=0)

    def vector(self, x: int | ir.Value) -> ir.Value:
        """Return an int or a symbolic size as an int64 vector of one element."""
        if not isinstance(x, ir.Value):
            return self.i64([x])
        x = self.cast(x, ir.DataType.INT64)
        return x if self.rank(x) == 1 else self.Reshape(x, [1])

    def scalar(self, x: Operand, dtype: ir.DataType = ir.DataType.INT64) -> ir.Value:
        """Return a number or a symbolic size as a constant or value of no dimensions."""
        if not isinstance(x, ir.Value):
            return self.const(x, dtype)
        return self.cast(x if self.rank(x) == 0 else self.Squeeze(x, [0]), dtype)

    def static_ints(self, value: Any, what: str = "this input") -> list[int]:
        """Return integers that an older opset wants as an attribute.

        Raises:
            Inexpressible: they are only known at run time.
        """
        found = shapes.constant_ints(value)
        if found is None:
            raise Inexpressible(f"{what} is only known at run time, and this opset wants it as an attribute")
        return found

    def static_number(self, value: Any, what: str = "this input") -> Any:
        """Return a number that an older opset wants as an attribute; like :meth:`static_ints` for one number."""
        if not isinstance(value, ir.Value):
            return value
        constant = shapes.constant_of(value)
        if constant is None or constant.size != 1:
            raise Inexpressible(f"{what} is only known at run time, and this opset wants it as an attribute")
        return constant.reshape(()).item()

    def runs(self, op_type: str, dtype: ir.DataType) -> bool:
        """Whether the runtime that is lowered for takes a dtype as an operator's first input, without a cast."""
        facts = self._session.facts(op_type)
        return facts is not None and dtype in self._session.runnable(facts, facts.input_slot(0).type_name, {})

    def whole(self, op_type: str) -> bool:
        """Whether an operator that could also be written by its parts is to be one node.

        The target has it, the runtime that is lowered for has a kernel of its own for it, and the recipe does not want
        its parts.
        """
        return self._session.whole(op_type)

    # ---- the operator being lowered ----------------------------------------------------------------------------------

    def result(self, index: int = 0) -> Described:
        """Return what is known of an output of the operator being lowered: dtype, shape, and whether it is used."""
        return self._results[index]

    @property
    def result_count(self) -> int:
        """How many outputs the operator being lowered has."""
        return len(self._results)

    def cannot(self, why: str) -> Inexpressible:
        """Return the exception to raise where this operator, with these arguments, cannot be written."""
        return Inexpressible(why)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _append(self, node: ir.Node) -> None:
        if self._origin is not None:
            set_origin(node, self._origin)
        self._nodes.append(node)

    def _why_missing(self, op_type: str) -> str:
        first = first_opset_of(op_type)
        if first is None:
            close = difflib.get_close_matches(op_type, _all_operator_names(), 1)
            return f"ONNX has no operator {op_type}" + (f" (did you mean {close[0]}?)" if close else "")
        if first > self._session.opset:
            return f"ONNX has {op_type} only from opset {first} on"
        return f"opset {self._session.opset} no longer has {op_type}"

    def _check(self, facts: OperatorFacts, inputs: Sequence[Operand], given: dict[str, Any]) -> None:
        for name in given:
            if name not in facts.attributes:
                raise Inexpressible(f"{facts.op_type} has no attribute {name!r} at opset {self._session.opset}")
        missing = facts.required_attributes - given.keys()
        if missing:
            raise Inexpressible(f"{facts.op_type} needs the attribute {sorted(missing)[0]!r}")
        count = len(inputs)
        while count and inputs[count - 1] is None:
            count -= 1
        if count > facts.max_inputs or count < facts.min_inputs:
            raise Inexpressible(
                f"{facts.op_type} takes {facts.min_inputs} to {facts.max_inputs} inputs at opset "
                f"{self._session.opset}, not {count}"
            )

    def _operands(self, facts: OperatorFacts, inputs: Sequence[Operand]) -> list[ir.Value | None]:
        known: dict[str, ir.DataType] = {}
        for index, operand in enumerate(inputs):
            if isinstance(operand, ir.Value) and operand.dtype is not None:
                slot = facts.input_slot(index)
                if not slot.variadic or slot.homogeneous:
                    known.setdefault(slot.type_name, operand.dtype)
        values: list[ir.Value | None] = []
        for index, operand in enumerate(inputs):
            if operand is None or isinstance(operand, ir.Value):
                values.append(operand)
                continue
            slot = facts.input_slot(index)
            allowed = facts.allowed(slot.type_name)
            dtype = known.get(slot.type_name)
            if dtype is None:
                dtype = next(iter(allowed)) if len(allowed) == 1 else _natural_dtype(operand, allowed)
                known[slot.type_name] = dtype
            values.append(self._whole_const(operand, dtype))
        return values

    def _bridged(
        self, facts: OperatorFacts, values: list[ir.Value | None], given: Mapping[str, Any]
    ) -> tuple[list[ir.Value | None], dict[str, ir.DataType]]:
        carriers: dict[str, ir.DataType] = {}
        wanted: dict[str, ir.DataType] = {}
        for index, value in enumerate(values):
            if value is None or value.dtype is None:
                continue
            slot = facts.input_slot(index)
            admitted = facts.allowed(slot.type_name)
            runnable = self._session.runnable(facts, slot.type_name, given)
            if not admitted or (value.dtype in admitted and value.dtype in runnable):
                continue
            if facts.op_type == "Cast":
                # A cast is what would bridge the gap.
                if value.dtype in admitted:
                    continue
                raise Inexpressible(f"Cast does not take {value.dtype.name.lower()} at opset {self._session.opset}")
            carriers_known = _CARRIERS.get(value.dtype, ())
            carrier = next((dtype for dtype in carriers_known if dtype in admitted and dtype in runnable), None)
            if carrier is None:
                carrier = next((dtype for dtype in (value.dtype, *carriers_known) if dtype in admitted), None)
            if carrier is None:
                raise Inexpressible(
                    f"{facts.op_type} does not take {value.dtype.name.lower()} at opset {self._session.opset}"
                )
            if carrier != value.dtype:
                carriers[slot.type_name] = carrier
                wanted[slot.type_name] = value.dtype
        if not carriers:
            return values, wanted
        bridged = [
            self.cast(value, carriers[slot.type_name])
            if value is not None and (slot := facts.input_slot(index)).type_name in carriers
            else value
            for index, value in enumerate(values)
        ]
        return bridged, wanted

    def _attribute(self, facts: OperatorFacts, name: str, value: Any) -> ir.Attr:
        kind = facts.attributes[name]
        if kind == ir.AttributeType.INT:
            return ir.Attr(name, kind, int(value))
        if kind == ir.AttributeType.FLOAT:
            return ir.Attr(name, kind, float(value))
        if kind == ir.AttributeType.INTS:
            return ir.Attr(name, kind, tuple(int(item) for item in value))
        if kind == ir.AttributeType.FLOATS:
            return ir.Attr(name, kind, tuple(float(item) for item in value))
        if kind == ir.AttributeType.TENSOR and not isinstance(value, ir.TensorProtocol):
            return ir.Attr(name, kind, ir.tensor(value))
        return ir.Attr(name, kind, value)

    def _describe(
        self, facts: OperatorFacts, node: ir.Node, values: Sequence[ir.Value | None], given: dict[str, Any]
    ) -> None:
        by_type_name: dict[str, ir.DataType] = {}
        for index, value in enumerate(values):
            if value is not None and value.dtype is not None:
                by_type_name.setdefault(facts.input_slot(index).type_name, value.dtype)
        stated = given.get(_OUTPUT_DTYPE_ATTRIBUTES.get(node.op_type, ""))
        for index, output in enumerate(node.outputs):
            type_name = facts.output_slot(index).type_name
            dtype = by_type_name.get(type_name)
            if dtype is None:
                allowed = facts.allowed(type_name)
                dtype = next(iter(allowed)) if len(allowed) == 1 else None
            if stated is not None:
                dtype = ir.DataType(int(stated))
            elif dtype is None:
                dtype = _unstated_dtype(node.op_type, given, values)
            if type_name.startswith("seq("):
                element = by_type_name.get(type_name) or next((v.dtype for v in values if v is not None), None)
                if element is not None:
                    output.type = ir.SequenceType(ir.TensorType(element))
            elif dtype is not None:
                output.type = ir.TensorType(dtype)
        inferred = shapes.infer(node.op_type, values, given, node, self._session.opset)
        for output, dims in zip(node.outputs, inferred, strict=False):
            if dims is not None:
                output.shape = ir.Shape(dims)


def _check_alike(facts: OperatorFacts, values: Sequence[ir.Value | None]) -> None:
    """Hold a lowering to the schema: operands of one type variable are of one dtype."""
    met: dict[str, ir.DataType] = {}
    for index, value in enumerate(values):
        if value is None or value.dtype is None:
            continue
        slot = facts.input_slot(index)
        if slot.variadic and not slot.homogeneous:
            break
        if met.setdefault(slot.type_name, value.dtype) != value.dtype:
            names = f"{met[slot.type_name].name.lower()} and {value.dtype.name.lower()}"
            raise TypeError(f"{facts.op_type} was given {names} where it takes one dtype")


def _dtype(x: ir.Value) -> ir.DataType:
    if x.dtype is None:
        raise Inexpressible(f"the dtype of {x.name or 'an input'} is not known")
    return x.dtype


def _unstated_dtype(op_type: str, given: dict[str, Any], values: Sequence[ir.Value | None]) -> ir.DataType | None:
    """Return the dtype of a result that neither an attribute nor a type variable of the inputs says."""
    if op_type.endswith("Like") and values and values[0] is not None:
        return values[0].dtype
    if op_type in ("Constant", "ConstantOfShape"):
        tensor = given.get("value")
        return ir.DataType.FLOAT if tensor is None else ir.DataType.from_numpy(tensor.numpy().dtype)
    if op_type in ("If", "Loop", "Scan"):
        return None
    return ir.DataType.FLOAT if op_type.startswith("Random") else None


def _natural_dtype(operand: Any, allowed: frozenset[ir.DataType]) -> ir.DataType:
    array = np.asarray(operand)
    # No number in an empty list says what it is; where no float may stand it is a list of integers.
    kind = "i" if array.size == 0 and ir.DataType.FLOAT not in allowed else array.dtype.kind
    return {"b": ir.DataType.BOOL, "i": ir.DataType.INT64, "u": ir.DataType.INT64}.get(kind, ir.DataType.FLOAT)


@functools.cache
def _all_operator_names() -> tuple[str, ...]:
    import onnx.defs

    return tuple(sorted({schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}))


__all__ = ["Described", "Emitter", "Inexpressible", "newest_opset"]
