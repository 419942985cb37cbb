# SPDX-License-Identifier: Apache-2.0
"""A caller's own table of translations, PyTorch's operators to functions of onnxscript, as `torch.onnx.export` has it.

A function of `onnxscript.script` becomes a call of it, and its body takes the place of the call once the graph is
whole. Any other callable is run, with values of the graph as arguments: what it writes with an opset of onnxscript goes
through the emitter, which checks it. onnxscript itself is needed by nobody but such a table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from .inexpressible import Inexpressible

if TYPE_CHECKING:
    from onnx_ir import Function

    from ...pipeline.note import Note
    from ..dialect import Bound
    from .emitter import Emitter

    Translation = Callable[..., Any]

_DEFAULT = ("", "ai.onnx")
_BY_SIGN = {
    "__add__": "Add",
    "__sub__": "Sub",
    "__mul__": "Mul",
    "__truediv__": "Div",
    "__matmul__": "MatMul",
    "__pow__": "Pow",
    "__and__": "And",
    "__or__": "Or",
    "__eq__": "Equal",
    "__lt__": "Less",
    "__le__": "LessOrEqual",
    "__gt__": "Greater",
    "__ge__": "GreaterOrEqual",
}
_REVERSED = {"__radd__": "Add", "__rsub__": "Sub", "__rmul__": "Mul", "__rtruediv__": "Div", "__rmatmul__": "MatMul"}


class Translations:
    """The table of one export: which function stands for which overload, and what has been called so far.

    Args:
        table: functions, one or several, by the full name of an overload, ``aten::add.Tensor``.
    """

    def __init__(self, table: Mapping[str, Sequence[Translation]]) -> None:
        self._table = table
        self.functions: dict[ir.OperatorIdentifier, Function] = {}
        self.used: set[str] = set()

    def of(self, full_name: str) -> Sequence[Translation]:
        """Return the functions that stand for an overload; none for most."""
        return self._table.get(full_name, ())

    def finish(self, model: ir.Model, note: Note) -> None:
        """Put the bodies of called functions in the place of the calls, and say which overloads were not met."""
        own = set(self.functions)
        if own:
            from onnx_ir.passes.common import InlinePass

            model.functions.update(self.functions)
            InlinePass(criteria=lambda function: function.identifier() in own)(model)
            for domain in {identifier[0] for identifier in own} - {name[0] for name in model.functions}:
                model.graph.opset_imports.pop(domain, None)
        for name in sorted(self._table.keys() - self.used):
            note.decided("translation not used", "the graph does not have the operator", operator=name)

    def call(self, op: Emitter, bound: Bound) -> Sequence[Any]:
        """Write a node by the first of its functions that can.

        Raises:
            Inexpressible: none can; the reason names each.
        """
        name = bound.schema.full_name
        self.used.add(name)
        failures = []
        for function in self._table[name]:
            before = op.node_count
            try:
                return self._called(op, function, bound)
            except Inexpressible as error:
                failures.append(f"{_where(function)}: {error.why}")
            except Exception as error:
                text = (str(error).strip() or "no reason").partition("\n")[0]
                failures.append(f"{_where(function)}: {type(error).__name__}: {text}")
            op.take_back(before)
        raise Inexpressible("; ".join(failures))

    def _called(self, op: Emitter, function: Translation, bound: Bound) -> Sequence[Any]:
        writing = _Writing(op, self)
        given, named = _arguments(bound)
        args, kwargs = [writing.wrapped(value) for value in given], {k: writing.wrapped(v) for k, v in named.items()}
        if hasattr(function, "to_function_proto"):
            returned = writing.eval_function(function, args, kwargs)
        else:
            evaluators = importlib.import_module("onnxscript.evaluator")
            with evaluators.default_as(writing):
                returned = function(*args, **kwargs)
        results = list(returned) if isinstance(returned, (list, tuple)) else [returned]
        return [_unwrapped(result) for result in results]


def _where(function: Any) -> str:
    plain = getattr(function, "function", None) or getattr(function, "func", None) or function
    return f"{getattr(plain, '__module__', '?')}:{getattr(plain, '__qualname__', plain)}"


def _arguments(bound: Bound) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a node as the table's functions take them: in order, up to the last that is stated."""
    tensors = iter(bound.positional)
    found: list[tuple[str, Any, bool]] = []
    for parameter in bound.schema.parameters:
        if parameter.is_tensor:
            value = next(tensors)
            found.append((parameter.name, value, value is not None))
        elif not parameter.ambient:
            found.append((parameter.name, bound.keywords[parameter.name], parameter.name in bound.given))
    last = max((index for index, (_, _, given) in enumerate(found) if given), default=-1)
    return bound.schema.split({name: _number(value) for name, value, _ in found[: last + 1]})


def _number(value: Any) -> Any:
    """Return a dtype as ONNX's number for it, anything else as it is."""
    import torch

    from ..dialect import onnx_dtype

    return int(onnx_dtype(value)) if isinstance(value, torch.dtype) else value


# ---- values of the graph, in a function's hands ----------------------------------------------------------------------


class _Value:
    """A value of the graph that knows its shape and dtype, and computes with Python's signs."""

    __hash__ = object.__hash__

    def __init__(self, op: Emitter, value: ir.Value) -> None:
        self.op = op
        self.value = value

    @property
    def name(self) -> str | None:
        return self.value.name

    @property
    def dtype(self) -> ir.DataType | None:
        return self.value.dtype

    @property
    def shape(self) -> ir.Shape | None:
        return self.value.shape

    @property
    def rank(self) -> int | None:
        return None if self.value.shape is None else len(self.value.shape)

    @property
    def const_value(self) -> ir.TensorProtocol | None:
        return self.value.const_value

    def __neg__(self) -> _Value:
        return _Value(self.op, self.op.Neg(self.value))

    def __bool__(self) -> bool:
        raise Inexpressible("its Python asks for the value of a tensor")


def _sign(op_type: str, *, reverse: bool) -> Callable[[_Value, Any], _Value]:
    def compute(self: _Value, other: Any) -> _Value:
        operands = (self.value, _unwrapped(other))
        return _Value(self.op, getattr(self.op, op_type)(*(reversed(operands) if reverse else operands)))

    return compute


for _method, _op_type in _BY_SIGN.items():
    setattr(_Value, _method, _sign(_op_type, reverse=False))
for _method, _op_type in _REVERSED.items():
    setattr(_Value, _method, _sign(_op_type, reverse=True))


def _unwrapped(item: Any) -> Any:
    if isinstance(item, _Value):
        return item.value
    if isinstance(item, (list, tuple)):
        return [_unwrapped(member) for member in item]
    return item


class _Writing:
    """What evaluates the operators of onnxscript while a function of the table runs: it writes them."""

    def __init__(self, op: Emitter, translations: Translations) -> None:
        self._op = op
        self._translations = translations

    def wrapped(self, item: Any) -> Any:
        """Return an argument of a node with its values as functions have them."""
        if isinstance(item, list):
            return [self.wrapped(member) for member in item]
        return _Value(self._op, item) if isinstance(item, ir.Value) else item

    def eval_op(self, op: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Write one operator of an opset."""
        inputs = [_unwrapped(item) for item in args]
        attributes = {name: _unwrapped(value) for name, value in kwargs.items() if value is not None}
        if op.domain not in _DEFAULT:
            self._op.needs(op.domain, op.opset.version)
            return self._handed(self._op.custom(f"{op.domain}::{op.name}", *inputs, **attributes))
        if op.name == "Constant":
            return self._handed(self._constant(attributes))
        self._check(op.name, op.opset.version)
        counted = attributes.get("num_outputs") if op.name == "Split" else None
        return self._handed(self._op.raw(op.name, *inputs, outputs=counted, **attributes))

    def eval_function(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Write a call of a function of `onnxscript.script`."""
        for proto in _protos(function):
            called = ir.serde.deserialize_function(proto)
            for node in ir.traversal.RecursiveGraphIterator(called.graph):
                if node.domain in _DEFAULT:
                    self._check(node.op_type, called.opset_imports.get("", 0))
            self._translations.functions.setdefault(called.identifier(), called)
        inputs: list[Any] = []
        attributes: dict[str, Any] = {}
        left = dict(kwargs)
        for index, parameter in enumerate(function.op_signature.params):
            if index >= len(args) and parameter.name not in left:
                continue
            value = args[index] if index < len(args) else left.pop(parameter.name)
            if hasattr(parameter, "type_constraint"):
                inputs += [None] * (index - len(inputs) - len(attributes)) + [self._input(_unwrapped(value), inputs)]
            elif value is not None:
                attributes[parameter.name] = _unwrapped(value)
        if left or len(args) > len(function.op_signature.params):
            raise Inexpressible(f"it does not take {', '.join(left) or f'{len(args)} arguments'}")
        return self._handed(self._op.custom(f"{function.opset.domain}::{function.name}", *inputs, **attributes))

    def _input(self, value: Any, before: Sequence[Any]) -> ir.Value | None:
        if value is None or isinstance(value, ir.Value):
            return value
        if isinstance(value, list):
            sizes = self._op.int_vector(value)
            return self._op.i64(sizes)
        like = next((item for item in before if isinstance(item, ir.Value)), None)
        return self._op.const(value, like.dtype) if like is not None and like.dtype else self._op.i64(value)

    def _check(self, op_type: str, opset: int) -> None:
        if not self._op.means_the_same(op_type, opset):
            raise Inexpressible(f"it writes {op_type} as it is at opset {opset}")

    def _constant(self, attributes: Mapping[str, Any]) -> ir.Value:
        ((kind, value),) = attributes.items()
        if kind in ("value_int", "value_ints"):
            return self._op.i64(value)
        if kind in ("value_float", "value_floats"):
            return self._op.const(value, ir.DataType.FLOAT)
        tensor = value if isinstance(value, ir.TensorProtocol) else ir.tensor(value)
        return self._op.const(tensor.numpy(), tensor.dtype)

    def _handed(self, made: Any) -> Any:
        if isinstance(made, tuple):
            return tuple(_Value(self._op, value) for value in made)
        return _Value(self._op, made)


def _protos(function: Any) -> Iterator[Any]:
    """Yield a function and those that it calls."""
    yield function.to_function_proto()
    for called in function.function_ir.get_called_functions().values():
        yield from _protos(called) if hasattr(called, "function_ir") else (called,)
