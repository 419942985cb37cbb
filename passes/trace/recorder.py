# SPDX-License-Identifier: Apache-2.0
"""Writes each operator that runs on fake tensors straight into an ATen-dialect graph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import onnx_ir as ir
import torch
from lading.passes import dialect, torch_private
from lading.passes.torch_private import (
    DataDependentOutputException,
    FakeTensor,
    FakeTensorMode,
    UntracedMode,
)
from lading.passes.trace.arithmetic import Arithmetic
from lading.passes.trace.bounds import certain
from lading.passes.trace.capture import Baked
from lading.passes.trace.fake_results import FakeResults
from lading.passes.trace.known_scalars import size_computed
from lading.passes.trace.quantized import Quantization
from lading.passes.trace.shadow import Shadow
from lading.passes.trace.sides.paddings import Amounts
from lading.passes.trace.sources import Places
from lading.passes.trace.storage import RESIZES, STRIDED, as_asked, resized_by_strides, strided_call
from lading.passes.trace.symbols import Axes
from lading.passes.weights import Weight
from lading.pipeline.errors import CaptureError
from lading.pipeline.origin import META_KEY, NOWHERE

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_NUMBERS = (bool, int, float, complex, *_SYMBOLIC)
_TYPES: dict[torch.dtype, ir.TensorType] = {}
_SCALAR_TYPES = {
    torch.SymInt: ir.TensorType(ir.DataType.INT64),
    torch.SymFloat: ir.TensorType(ir.DataType.DOUBLE),
    torch.SymBool: ir.TensorType(ir.DataType.BOOL),
}
_SCALAR = ir.Shape((), frozen=True)
SMALL = 16
"""Elements up to which the values of a buffer are followed through what the model computes from them."""

_aten = torch.ops.aten
_DEVICE = torch.ops.prim.device.default

# What the graph does not need to know: the result is the argument.
_TRANSPARENT = frozenset(
    {
        _aten.alias.default,
        _aten.detach.default,
        _aten.lift_fresh.default,
        _aten.lift_fresh_copy.default,
    }
)


def _queries() -> frozenset[Any]:
    names = (
        "is_contiguous",
        "is_strides_like_format",
        "is_non_overlapping_and_dense",
        "size",
        "sym_size",
        "stride",
        "sym_stride",
        "storage_offset",
        "sym_storage_offset",
        "numel",
        "sym_numel",
        "dim",
        "is_pinned",
        "_has_compatible_shallow_copy_type",
    )
    found: list[Any] = []
    for name in names:
        packet = getattr(_aten, name, None)
        if packet is not None:
            found.extend(getattr(packet, overload) for overload in packet.overloads())
    return frozenset(found)


_QUERIES = _queries()
"""Questions about a tensor that dispatch like operators and compute nothing."""

_READS_VALUE = _aten._local_scalar_dense.default
_MAKES_SCALAR = _aten.scalar_tensor.default
_VIEW = _aten.view.default


def _unwrapped(argument: Any) -> Any:
    if isinstance(argument, torch.Tensor):
        return torch_private.unwrap_functional(argument) if torch_private.is_functional(argument) else argument
    if isinstance(argument, (list, tuple)):
        return [_unwrapped(item) for item in argument]
    return argument


def _device(arguments: Sequence[Any]) -> torch.device:
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            return argument.device
        if isinstance(argument, (list, tuple)) and argument and isinstance(argument[0], torch.Tensor):
            return argument[0].device
    return torch.device("cpu")


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    return (tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()))


_NUMBER_FORMS: dict[Any, Any] = {}
_NUMBER_NAMES = {"Tensor": "Scalar", "Tensor_mode": "Scalar_mode", "Tensor_Tensor": "Tensor_Scalar"}


def _number_form(overload: Any) -> Any:
    """Return the overload that takes a number where this one takes its second tensor, or None."""
    if overload not in _NUMBER_FORMS:
        wanted = _NUMBER_NAMES.get(overload._overloadname, "")
        packet = overload.overloadpacket
        _NUMBER_FORMS[overload] = getattr(packet, wanted) if wanted in packet.overloads() else None
    return _NUMBER_FORMS[overload]


def type_of(dtype: torch.dtype) -> ir.TensorType:
    """Return the (shared) IR type of tensors of a torch dtype."""
    known = _TYPES.get(dtype)
    if known is None:
        known = _TYPES[dtype] = ir.TensorType(dialect.onnx_dtype(dtype))
    return known


class Body:
    """The nodes of the body of a control-flow operator, and the symbolic numbers that it sees."""

    def __init__(self, nodes: list[ir.Node], tables: tuple[dict[Any, Any], dict[Any, Any]]) -> None:
        self.nodes = nodes
        self.tables = tables


class Recorder(UntracedMode):
    """The dispatch mode that records, and the graph values of the tensors that it has seen.

    Args:
        fake: the mode that computes shapes.
        axes: the symbols of dynamic axes.
        places: tells module and source line.
        name_constant: gives a name for a tensor that is no parameter, buffer or attribute.
    """

    def __init__(
        self, fake: FakeTensorMode, axes: Axes, places: Places, name_constant: Callable[[torch.Tensor], str]
    ) -> None:
        super().__init__()
        self.fake = fake
        self.axes = axes
        self.results = FakeResults(fake, axes)
        self.places = places
        self.nodes: list[ir.Node] = []
        self._outermost = self.nodes
        self.paddings: list[Amounts] = []
        self.baked: list[Baked] = []
        self.quantization = Quantization(self)
        self.shadow: Shadow | None = None
        self._members: dict[int, dict[int, Any]] = {}
        self.graph_inputs: list[ir.Value] = []
        self.arithmetic = Arithmetic(self._append, places.line)
        axes.divided = self.arithmetic.is_part
        self.initializers: dict[str, ir.Value] = {}
        self._name_constant = name_constant
        self._values: dict[int, tuple[torch.Tensor, ir.Value | None]] = {}
        self._origin = NOWHERE
        self._quiet = 0
        self._pending: dict[int, tuple[str | None, torch.Tensor]] = {}
        self._literals: dict[int, torch.Tensor] = {}
        self._out_of_reach: dict[ir.Value, CaptureError] = {}
        self.rows: Callable[[torch.Tensor, FrameType], Iterator[torch.Tensor]] | None = None

    # ---- values ------------------------------------------------------------------------------------------------------

    def bind(self, tensor: torch.Tensor, value: ir.Value) -> None:
        """Let `tensor` stand for `value`."""
        # The tensor is kept alive with it: a freed tensor's id is used again.
        self._values[id(tensor)] = (tensor, value)

    def out_of_reach(self, values: Collection[ir.Value], error: CaptureError) -> None:
        """Let an error be raised where one of these values is read from now on."""
        self._out_of_reach.update(dict.fromkeys(values, error))

    def bind_weight(self, fake: torch.Tensor, name: str | None, real: torch.Tensor) -> None:
        """Let `fake` (and `real` itself) stand for an initializer, made when first used; no name: named then."""
        self._pending[id(fake)] = (name, real)
        self._pending[id(real)] = (name, real)
        self._values[id(fake)] = (fake, None)
        self._values[id(real)] = (real, None)

    def literal(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return what stands for a tensor that is written in code; it is named when it is first used."""
        known = self._literals.get(id(tensor))
        if known is None:
            with torch_private.beneath_modes():
                meta = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
                fake = FakeTensor(self.fake, meta, tensor.device)
                if tensor.numel() <= SMALL:
                    fake.constant = tensor.detach()
            self.bind_weight(fake, None, tensor)
            known = self._literals[id(tensor)] = torch_private.wrap_functional(fake)
        return known

    def value_of(self, item: Any) -> ir.Value:
        """Return the graph value of a tensor or a symbolic number, writing down what it needs."""
        held = self._values.get(id(item))
        if held is not None and held[1] is not None:
            if held[1] in self._out_of_reach:
                raise self._out_of_reach[held[1]]
            return held[1]
        if isinstance(item, _SYMBOLIC):
            expression = self.axes.replace(item.node.expr)
            if expression.is_number:  # a size that has turned out to be fixed
                return self.number(int(expression) if expression.is_integer else float(expression))
            return self.arithmetic.value(expression)
        if held is not None:
            return self._make_weight(item)
        if isinstance(item, _NUMBERS):
            return self.number(item)
        return self._constant(item)

    def _make_weight(self, item: torch.Tensor) -> ir.Value:
        name, real = self._pending[id(item)]
        if name is None:
            held = self._values[id(real)][1]
            value = self._initializer(self._name_constant(real), real) if held is None else held
            self._values[id(real)] = (real, value)
        else:
            known = self.initializers.get(name)
            value = self._initializer(name, real) if known is None else known
        self._values[id(item)] = (item, value)
        return value

    def _initializer(self, name: str, tensor: torch.Tensor) -> ir.Value:
        shape = ir.Shape([int(size) for size in tensor.shape])
        value = ir.Value(name=name, type=type_of(tensor.dtype), shape=shape, const_value=Weight(tensor, name))
        self.initializers[name] = value
        return value

    def _constant(self, tensor: torch.Tensor) -> ir.Value:
        if isinstance(tensor, FakeTensor):
            constant = tensor.constant
            if constant is None:
                known = self._same_memory(tensor)
                if known is not None:
                    self._values[id(tensor)] = (tensor, known)
                    return known
                raise CaptureError(
                    "a tensor is used that was made neither by this call nor before the export",
                    where=self.places.line() or None,
                    hint="do not keep tensors of one capture for another (a cache in a global, say)",
                )
            tensor = constant
        if torch_private.is_functional(tensor):
            return self.value_of(torch_private.unwrap_functional(tensor))
        value = self._initializer(self._name_constant(tensor), tensor)
        self._values[id(tensor)] = (tensor, value)
        return value

    def _same_memory(self, tensor: torch.Tensor) -> ir.Value | None:
        """Return the value of a tensor that this one is another object for, made behind the back of every mode.

        `torch.nn.Parameter(x)` and `x.as_subclass(...)` make such objects. What functionalization hands on is never
        written to, so that equal memory is an equal value.
        """
        memory, place = tensor.untyped_storage()._cdata, _place(tensor)
        for known, value in self._values.values():
            if isinstance(known, FakeTensor) and known.untyped_storage()._cdata == memory and _place(known) == place:
                return value if value is not None else self._make_weight(known)
        return None

    def number(self, number: Any) -> ir.Value:
        """Return a scalar initializer for a plain number that the model returns."""
        with torch_private.beneath_modes():
            tensor = torch.tensor(number)
        return self._constant(tensor)

    def known(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the real tensor behind a literal, or behind a weight or buffer that has not been written to."""
        inner = _unwrapped(tensor)
        pending = self._pending.get(id(inner))
        if pending is not None:
            return pending[1]
        return inner.constant if isinstance(inner, FakeTensor) else inner

    def is_one(self, left: torch.Tensor, right: torch.Tensor) -> bool:
        """Whether two tensors are one value of the graph, or computed alike from such."""
        from lading.passes.trace.sides.numbering import computed_alike

        return computed_alike(self.value_of(_unwrapped(left)), self.value_of(_unwrapped(right)))

    def know_members(self, tensor: torch.Tensor, members: Mapping[int, Any]) -> None:
        """Keep in mind which sizes are the members of a tensor of one dimension, by their indices."""
        self._members[id(_unwrapped(tensor))] = dict(members)

    def known_member(self, tensor: torch.Tensor, index: int) -> Any:
        """Return the size that is a member of a tensor, as far as `know_members` has told it; otherwise None."""
        known = self._members.get(id(_unwrapped(tensor))) if self._members else None
        return None if known is None else known.get(index)

    def amounts(self, given: Sequence[Any]) -> list[Any]:
        """Return by how much a call is to pad: what the model says, or what is chosen in its place.

        Raises:
            OtherAmount: the model says something else than what would be chosen.
        """
        call = len(self.paddings)
        found = [self.axes.chosen(call, place, amount) for place, amount in enumerate(given)]
        for amount in found:
            if type(amount) is not int and (choice := self.axes.choice_of(amount)) is not None:
                self.arithmetic.is_choice(amount.node.expr, choice)
        self.paddings.append(tuple(self.axes.over_names(amount) for amount in found))
        return found

    def note_value(self, value: Any) -> None:
        """Keep in mind that the graph relies on a value that the model's Python has read from a tensor."""
        self.baked.append(Baked(value, self.places.line()))

    def symbolic_scalar(self, number: Any) -> ir.Value:
        """Return a symbolic number as a tensor without dimensions."""
        self._origin = self.places.origin()
        dtype = {torch.SymInt: torch.int64, torch.SymFloat: torch.get_default_dtype(), torch.SymBool: torch.bool}
        kind = dtype[type(number)]
        output = ir.Value(type=type_of(kind), shape=_SCALAR)
        dialect.encode(
            _aten.scalar_tensor.default,
            (number,),
            {"dtype": kind},
            [output],
            value_of=self.value_of,
            append=self._append,
        )
        return output

    def alias(self, value: ir.Value) -> ir.Value:
        """Return another value that equals `value`, for an output that is an input, a constant or there twice."""
        self._origin = self.places.origin()
        output = ir.Value(type=value.type, shape=value.shape)
        held = (dialect.held(value),)
        dialect.encode(_aten.alias.default, held, {}, [output], value_of=dialect.held_value, append=self._append)
        return output

    # ---- nodes -------------------------------------------------------------------------------------------------------

    def _append(self, node: ir.Node) -> None:
        node.meta[META_KEY] = self._origin
        self.nodes.append(node)

    def write(self, overload: Any, args: Sequence[Any], kwargs: Mapping[str, Any], results: Any) -> None:
        """Write one call with its results (tensors and symbolic numbers, possibly nested in a list) down."""
        self._origin = self.places.origin()
        outputs: list[ir.Value] = []
        made: list[torch.Tensor | None] = []
        flat = results if isinstance(results, (tuple, list)) else (results,)
        for result in flat:
            if isinstance(result, (torch.Tensor, tuple, list)):
                tensors = [result] if isinstance(result, torch.Tensor) else result
                outputs.extend(self._result(item) for item in tensors)
                made.extend(tensors)
            elif isinstance(result, _SYMBOLIC):
                outputs.append(self._number(result))
                made.append(None)
            elif result is None:
                outputs.append(ir.Value())  # a tensor left out keeps its place
                made.append(None)
        if all(output.type is None for output in outputs):
            return
        if len(args) > 1 and isinstance(args[1], _NUMBERS):
            # PyTorch passes a number where the schema says tensor; the number form keeps its promotion rules.
            overload = _number_form(overload) or overload
        if overload in RESIZES and (by_strides := resized_by_strides(args)) is not None:
            overload, args, kwargs = _aten.as_strided.default, by_strides, {}
        if overload in STRIDED:
            args, kwargs = self._by_place_in_memory(overload, args, kwargs), {}
        dialect.encode(overload, args, kwargs, outputs, value_of=self.value_of, append=self._append)
        # Only now: a result may be the very tensor of an argument, which until here is what went in.
        for tensor, value in zip(made, outputs, strict=True):
            if tensor is not None:
                self.bind(tensor, value)
        if self.shadow is not None:
            self.shadow.follow(self, overload, args, kwargs, results)

    def _by_place_in_memory(self, overload: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        call = strided_call(overload, args[0], args, kwargs, self.places.line)
        if call.order is None:
            return call.args
        permuted = self.fake.dispatch(_aten.permute.default, (), (args[0], call.order), {})
        self.write(_aten.permute.default, (args[0], list(call.order)), {}, permuted)
        return (permuted, *call.args[1:])

    def _result(self, tensor: torch.Tensor) -> ir.Value:
        dims: list[Any] = list(tensor.shape)
        unbound: list[Any] | None = None
        for axis, size in enumerate(dims):
            if type(size) is not int:
                expression = size.node.expr
                if expression.is_number:
                    dims[axis] = int(expression)
                    continue
                dims[axis] = self.axes.text(expression)
                if expression.is_Symbol and not self.arithmetic.knows(expression):
                    unbound = [*(unbound or ()), (expression, axis)]
        try:
            kind = type_of(tensor.dtype)
        except CaptureError as error:
            error.where = error.where or self.places.line() or None
            raise
        value = ir.Value(type=kind, shape=ir.Shape(dims))
        if unbound:
            for symbol, axis in unbound:
                self.arithmetic.read_from(symbol, value, axis)
        return value

    def _number(self, number: Any) -> ir.Value:
        value = ir.Value(type=_SCALAR_TYPES[type(number)], shape=_SCALAR)
        self.arithmetic.is_value(number.node.expr, value)
        return value

    def keep(self, overload: Any, args: Sequence[Any], *results: tuple[Sequence[Any], torch.dtype]) -> Any:
        """Write a composite down whole, from outside of dispatch.

        Args:
            overload: the ATen operator.
            args: its arguments in schema order, with tensors as the user's code sees them.
            results: shape and dtype of each result.

        Returns:
            A tensor as the user's code is to see it, or a tuple of those.
        """
        inner = [_unwrapped(argument) for argument in args]
        device = _device(args)
        made = [self.results.empty(shape, dtype, device) for shape, dtype in results]
        self.write(overload, inner, {}, made)
        wrapped = tuple(torch_private.wrap_functional(tensor) for tensor in made)
        return wrapped[0] if len(wrapped) == 1 else wrapped

    def keep_run(self, overload: Any, args: Sequence[Any], run: Callable[[], Any]) -> Any:
        """Write a composite down whole whose result shapes come from running it, unrecorded."""
        inner = [_unwrapped(argument) for argument in args]
        self._quiet += 1
        try:
            results = run()
        finally:
            self._quiet -= 1
        self.write(overload, inner, {}, _unwrapped(results))
        return results

    def fake_results(self, overload: Any, args: Sequence[Any]) -> list[torch.Tensor]:
        """Return what an operator returns for tensors without data, writing nothing down."""
        result = self.results.of(overload, (), [_unwrapped(argument) for argument in args], {})
        flat = result if isinstance(result, (tuple, list)) else (result,)
        return [item for item in flat if isinstance(item, torch.Tensor)]

    # ---- bodies of control flow --------------------------------------------------------------------------------------

    def open_body(self) -> Body:
        """Return an empty body, which sees what the graph around it has made so far."""
        return Body([], self.arithmetic.tables())

    @property
    def is_in_body(self) -> bool:
        """Whether what is written now goes into the body of a control-flow operator."""
        return self.nodes is not self._outermost

    @contextlib.contextmanager
    def inside(self, body: Body) -> Iterator[None]:
        """Write into a body while the context is open; a body may be opened again to go on."""
        around = Body(self.nodes, self.arithmetic.tables())
        self.nodes = body.nodes
        self.arithmetic.go_back(body.tables)
        try:
            yield
        finally:
            body.tables = self.arithmetic.tables()
            self.nodes = around.nodes
            self.arithmetic.go_back(around.tables)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Write nothing down while the context is open."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    def new_tensor(self, shape: Sequence[Any], dtype: torch.dtype) -> torch.Tensor:
        """Return a tensor that no operator has made, as the user's code is to see it."""
        return torch_private.wrap_functional(self.results.empty(shape, dtype, torch.device("cpu")))

    def unknown_size(self) -> torch.SymInt:
        """Return a new size that only the run knows; the node that makes a tensor of it lets it be read."""
        return torch_private.unbacked_integer(self.axes, size=True)

    def new_result(self, tensor: torch.Tensor) -> ir.Value:
        """Return a new value for a fake tensor that a node which is not an operator's gives."""
        value = self._result(tensor)
        self.bind(tensor, value)
        return value

    def note_place(self) -> None:
        """Take the place that runs now as the origin of what symbolic numbers need."""
        self._origin = self.places.origin()

    def append(self, node: ir.Node) -> None:
        """Append a node that is not an operator's, with the place that runs now as its origin."""
        self._origin = self.places.origin()
        self._append(node)

    # ---- dispatch ----------------------------------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute the result's shape, write the call down, and hand the fake result on."""
        if func is _DEVICE:
            tensor = args[0]
            return tensor.fake_device if isinstance(tensor, FakeTensor) else tensor.device
        kwargs = kwargs or {}
        if func in _QUERIES:
            return self.fake.dispatch(func, types, args, kwargs)
        if func._schema.is_mutable:
            self._refuse_write(func, args)
        if func is _READS_VALUE and not self._quiet:
            if (settled := certain(self.value_of(args[0]))) is not None:
                return settled
            if isinstance(args[0], FakeTensor) and (known := args[0].item_memo) is not None:
                return known  # a number that is read again, or a size: it is written down where it is used
        self.axes.operator = func
        try:
            result = self.results.of(func, types, args, kwargs)
        except DataDependentOutputException:
            if self.shadow is None:
                raise
            return self.shadow.run(self, func, args, kwargs)
        self.axes.operator = None
        if func is _VIEW and (asked := as_asked(result, args[1])) is not None:
            result = self.fake.dispatch(_aten.as_strided.default, (), (args[0], *asked, args[0].storage_offset()), {})
        if self._quiet:
            return result
        if func is _READS_VALUE and not isinstance(result, _SYMBOLIC):
            self.note_value(result)
            return result
        if func in _TRANSPARENT:
            self.bind(result, self.value_of(args[0]))
            if self.shadow is not None:
                self.shadow.follow(self, func, args, kwargs, result)
            return result
        self.write(func, args, kwargs, result)
        if func is _MAKES_SCALAR and type(args[0]) in (int, torch.SymInt) and not result.is_floating_point():
            result.item_memo = args[0]  # so that the number can be had back from it
        elif (size := size_computed(func, args, kwargs, self.axes)) is not None:
            result.item_memo = size
        return result

    def _refuse_write(self, func: Any, args: Sequence[Any]) -> None:
        shape = next((tuple(arg.shape) for arg in args if isinstance(arg, torch.Tensor)), ())
        raise CaptureError(
            f"{func.name()} writes into a tensor of shape {shape} that the model does not own",
            where=self.places.line() or None,
            hint="register the tensor as a buffer of the module, or write to a copy",
        )
