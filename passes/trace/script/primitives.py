# SPDX-License-Identifier: Apache-2.0
"""The primitives of TorchScript: constants, attributes, calls, containers, refinement of Optional, questions."""

from __future__ import annotations

import collections
import re
from typing import TYPE_CHECKING, Any

import torch
from lading.passes import torch_private
from lading.passes.trace.script import lists
from lading.passes.trace.script.numbers import SYMBOLIC, as_operand, as_tensor, kind_of
from lading.passes.trace.script.operators import run_named
from lading.passes.trace.script.programs import Step, class_name
from lading.passes.trace.script.scalar_types import number_of
from lading.passes.trace.script.tables import primitive
from lading.passes.trace.script.values import (
    FunctionName,
    List,
    Maybe,
    ModuleObject,
    Number,
    Raised,
    Record,
    Stack,
    Unset,
    plain_number,
)

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter

_NOTHING = object()


# ---- constants, attributes, calls ------------------------------------------------------------------------------------


@primitive("Constant")
def constant(interpreter: Interpreter, step: Step) -> Any:
    """A constant: numbers, strings, tensors, None, containers of those, functions."""
    if step.constant is None:
        step.constant = (_constant(interpreter, step),)
    held = step.constant[0]
    return List(held.members or ()) if isinstance(held, List) else held


def _constant(interpreter: Interpreter, step: Step) -> Any:
    output = step.node.output()
    kind = output.type().kind()
    if kind == "FunctionType":
        return FunctionName(output.type().annotation_str)
    if kind == "NoneType":
        return None
    value = output.toIValue()
    name = output.debugName()
    if isinstance(value, torch.Tensor) and not name.isdigit():
        interpreter.constant_names[id(value)] = name.removeprefix("self.")  # what is left of a frozen attribute's name
    return interpreter.held(value, "")


@primitive("GetAttr")
def get_attribute(interpreter: Interpreter, step: Step, target: Any) -> Any:
    """An attribute of a module, or of an object that the model has made."""
    name = step.node.s("name")
    if isinstance(target, Record):
        return target.written[name]
    if not isinstance(target, ModuleObject):
        return getattr(target, name)
    return interpreter.attribute(target, name)


@primitive("SetAttr")
def set_attribute(interpreter: Interpreter, step: Step, target: Any, value: Any) -> None:
    """Sets an attribute, in the interpreter only."""
    target.written[step.node.s("name")] = value


@primitive("CallMethod")
def call_method(interpreter: Interpreter, step: Step, target: Any, *args: Any) -> Any:
    """A call of a method; that of an interface is one of whatever module is behind it."""
    name = step.node.s("name")
    if isinstance(target, Record):
        graph = torch_private.script_class_method(target.kind, name)
        if graph is None:
            raise interpreter.cannot(f"the method {name} of the TorchScript class {target.kind} cannot be found")
        return interpreter.call_graph(graph, [target, *args], interpreter.frame.module, interpreter.frame.module_class)
    return interpreter.call_method(target, name, args)


@primitive("CallFunction")
def call_function(interpreter: Interpreter, step: Step, function: FunctionName, *args: Any) -> Any:
    """A call of a TorchScript function."""
    return interpreter.call_function(step.node, args)


@primitive("CreateObject")
def create_object(interpreter: Interpreter, step: Step) -> Record:
    """A new object of a TorchScript class, before its `__init__`."""
    return Record(step.node.output().type().annotation_str)


@primitive("RaiseException")
def raise_exception(interpreter: Interpreter, step: Step, message: Any, *kind: Any) -> None:
    """A raise, or an assert that fails."""
    raise Raised(str(message))


@primitive("Print")
def print_nothing(interpreter: Interpreter, step: Step, *values: Any) -> None:
    """A file prints nothing."""
    interpreter.decided("print left out", "a file has no output but its results")


@primitive("Uninitialized")
def uninitialized(interpreter: Interpreter, step: Step) -> Unset:
    """The value of a variable on a path that does not set it."""
    return Unset()


# ---- containers ------------------------------------------------------------------------------------------------------


@primitive("ListConstruct")
def list_construct(interpreter: Interpreter, step: Step, *members: Any) -> List:
    """A new list."""
    return List(members)


@primitive("ListUnpack")
def list_unpack(interpreter: Interpreter, step: Step, subject: Any) -> Any:
    """The members of a list that has as many as there are targets."""
    count = len(step.outputs)
    if isinstance(subject, List) and subject.members is None:
        members = [lists.member(interpreter, subject, index) for index in range(count)]
    else:
        members = lists.members_of(interpreter, subject)
    if len(members) != count:
        raise interpreter.cannot(f"a list of {len(members)} members is unpacked into {count} names")
    return members[0] if count == 1 else members


_NAMED_TUPLES: dict[str, Any] = {}


@primitive("TupleConstruct")
def tuple_construct(interpreter: Interpreter, step: Step, *members: Any) -> Any:
    """A new tuple; one of a NamedTuple class keeps the names of its fields."""
    if step.constant is None:
        step.constant = (_tuple_class(step.node.output().type()),)
    kind = step.constant[0]
    return tuple(members) if kind is tuple else kind(*members)


def _tuple_class(kind: Any) -> Any:
    text = kind.str()
    if not text.startswith("NamedTuple("):
        return tuple
    names = _field_names(text[len("NamedTuple(") : -1])
    key = f"{kind.annotation_str}({','.join(names)})"
    if key not in _NAMED_TUPLES:
        # The results of operators such as topk are named tuples of a class without a name.
        name = class_name(kind.annotation_str)
        _NAMED_TUPLES[key] = collections.namedtuple(name if name.isidentifier() else "Results", names)
    return _NAMED_TUPLES[key]


def _field_names(text: str) -> list[str]:
    names, depth, start = [], 0, 0
    for position, letter in enumerate(f"{text},"):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            names.append(text[start:position].partition(" : ")[0].strip())
            start = position + 1
    return names


@primitive("TupleUnpack")
def tuple_unpack(interpreter: Interpreter, step: Step, subject: Any) -> Any:
    """The members of a tuple."""
    return subject[0] if len(step.outputs) == 1 else subject


@primitive("TupleIndex")
def tuple_index(interpreter: Interpreter, step: Step, subject: Any, index: int) -> Any:
    """One member of a tuple."""
    return subject[index]


@primitive("TupleSlice")
def tuple_slice(interpreter: Interpreter, step: Step, subject: Any) -> Any:
    """Some members of a tuple."""
    return tuple(subject[step.node.i("beg") : step.node.i("end")])


@primitive("DictConstruct")
def dict_construct(interpreter: Interpreter, step: Step, *pairs: Any) -> dict[Any, Any]:
    """A new dict; keys are known at capture."""
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


@primitive("rangelist")
def range_list(interpreter: Interpreter, step: Step, stop: Any) -> List:
    """The integers below a bound."""
    if not isinstance(stop, int):
        result = List()
        result.state = Stack(torch.arange(stop), int)
        return result
    return List(range(stop))


# ---- refinement ------------------------------------------------------------------------------------------------------


@primitive("unchecked_cast", "unchecked_unwrap_optional")
def same_value(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """A value that TorchScript now knows more of; an Optional that is known to be there."""
    return value.value if isinstance(value, Maybe) else value


_PYTHON_KINDS: dict[str, Any] = {
    "Tensor": torch.Tensor,
    "int": (int, torch.SymInt),
    "float": (float, torch.SymFloat),
    "str": str,
}


@primitive("isinstance")
def is_instance(interpreter: Interpreter, step: Step, value: Any) -> bool:
    """Whether a value is of one of the types that the node states."""
    return any(_is_of(value, kind.annotation_str) for kind in step.node.tys("types"))


def _is_of(value: Any, kind: str) -> bool:
    if kind == "NoneType":
        return value is None
    if kind == "bool":
        return isinstance(value, (bool, torch.SymBool)) or (isinstance(value, Number) and value.kind is bool)
    if kind in ("int", "float"):
        if isinstance(value, Number):
            return value.kind.__name__ == kind
        return not isinstance(value, bool) and isinstance(value, _PYTHON_KINDS[kind])
    if kind in _PYTHON_KINDS:
        return isinstance(value, _PYTHON_KINDS[kind])
    optional = re.fullmatch(r"Optional\[(.*)\]", kind)
    if optional is not None:
        return value is None or _is_of(value, optional.group(1))
    if kind.startswith("List["):
        return isinstance(value, List) and all(_is_of(item, kind[5:-1]) for item in value.members or ())
    if kind.startswith("Dict["):
        return isinstance(value, dict)
    if kind.startswith("Tuple["):
        return isinstance(value, tuple)
    return isinstance(value, (ModuleObject, Record)) and class_name(kind) == class_name(value.kind)


# ---- questions about tensors -----------------------------------------------------------------------------------------


@primitive("dtype")
def dtype(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> int:
    """The dtype as TorchScript's integer."""
    return number_of(tensor.dtype)


@primitive("device")
def device(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> torch.device:
    """The device."""
    return tensor.device


@primitive("layout")
def layout(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> int:
    """The layout; all tensors of a graph are strided."""
    return 0


@primitive("shape")
def shape(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> List:
    """All sizes."""
    return List([plain_number(size) for size in tensor.shape])


@primitive("requires_grad", "is_quantized", "is_sparse", "is_mkldnn", "is_nested", "is_cuda", "is_xla", "is_mps",
           "is_ipu", "is_vulkan", "is_meta", "is_xpu", "is_maia", "is_mtia", "is_ort")  # fmt: skip
def never(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> bool:
    """Kinds of tensors that a file has none of."""
    return False


@primitive("is_cpu")
def always(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> bool:
    """Capture is on the CPU."""
    return True


@primitive("data")
def data(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, without gradient."""
    return tensor.detach()


@primitive("grad")
def grad(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> None:
    """There are no gradients."""


@primitive("T", "mT", "H", "mH")
def transposed(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """The transposed tensor."""
    return getattr(tensor, step.kind.partition("::")[2])


@primitive("real", "imag")
def part(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """The real or the imaginary part."""
    return getattr(tensor, step.kind.partition("::")[2])


@primitive("itemsize", "nbytes")
def bytes_of(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """How many bytes an element, or all of them, take."""
    return tensor.element_size() * (tensor.numel() if step.kind.endswith("nbytes") else 1)


@primitive("name")
def no_name(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> None:
    """Tensors have no names."""


@primitive("type", "index")
def of_device(interpreter: Interpreter, step: Step, subject: torch.device) -> Any:
    """Type or index of a device."""
    return getattr(subject, step.kind.partition("::")[2])


@primitive("NumToTensor")
def number_to_tensor(interpreter: Interpreter, step: Step, value: Any) -> torch.Tensor:
    """A number as a tensor: the form in which traced code keeps sizes."""
    return as_tensor(value, torch.get_default_dtype() if kind_of(value) is float else None)


@primitive("tolist")
def to_list(interpreter: Interpreter, step: Step, tensor: torch.Tensor, rank: int, kind: int) -> Any:
    """A tensor as (nested) lists of numbers."""
    from lading.passes.trace.script.numbers import number_from

    def taken(part: torch.Tensor, depth: int) -> Any:
        if depth == 0:
            return number_from(interpreter, part)
        rows: Any = part.shape[0]
        if isinstance(rows, int):
            return List([taken(part[index], depth - 1) for index in range(rows)])
        if depth > 1:
            raise interpreter.cannot("tolist of a tensor with two sizes or more that only the run knows")
        whole = List()
        python = float if part.is_floating_point() else bool if part.dtype is torch.bool else int
        wide = {float: torch.float64, int: torch.int64, bool: torch.bool}[python]
        whole.state = Stack(part.to(wide), python)
        return whole

    return taken(tensor, rank)


# ---- arithmetic that is a primitive ----------------------------------------------------------------------------------


@primitive("min", "max")
def extreme(interpreter: Interpreter, step: Step, *args: Any) -> Any:
    """The smaller or larger of numbers, given singly or as one or two lists."""
    larger = step.kind.endswith("max")
    values = list(args)
    if isinstance(values[0], List):
        if len(values) == 2 and isinstance(values[1], List):
            both = [tuple(lists.members_of(interpreter, value)) for value in values]
            return List(max(both) if larger else min(both))
        state = values[0].state
        if isinstance(state, Stack):
            from lading.passes.trace.script.numbers import number_from

            return number_from(interpreter, state.tensor.max() if larger else state.tensor.min(), state.kind)
        values = lists.members_of(interpreter, values[0])
    result = values[0]
    for value in values[1:]:
        result = _larger(result, value) if larger else _smaller(result, value)
    return plain_number(result)


def _larger(left: Any, right: Any) -> Any:
    if isinstance(left, Number) or isinstance(right, Number):
        return Number(torch.maximum(as_tensor(left, torch.float64), as_tensor(right, torch.float64)), float)
    if isinstance(left, SYMBOLIC) or isinstance(right, SYMBOLIC):
        return torch.sym_max(left, right)
    return max(left, right)


def _smaller(left: Any, right: Any) -> Any:
    if isinstance(left, Number) or isinstance(right, Number):
        return Number(torch.minimum(as_tensor(left, torch.float64), as_tensor(right, torch.float64)), float)
    if isinstance(left, SYMBOLIC) or isinstance(right, SYMBOLIC):
        return torch.sym_min(left, right)
    return min(left, right)


@primitive("abs")
def absolute(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """The absolute value of a number or a tensor."""
    if isinstance(value, Number):
        return Number(value.tensor.abs(), value.kind)
    if isinstance(value, torch.SymInt):
        return plain_number(torch.sym_max(value, -value))
    return abs(value)


@primitive("StringIndex")
def string_index(interpreter: Interpreter, step: Step, text: str, index: int) -> str:
    """One letter."""
    return text[index]


@primitive("EnumName", "EnumValue")
def enum_part(interpreter: Interpreter, step: Step, member: Any) -> Any:
    """Name or value of a member of an enumeration."""
    return member.name if step.kind.endswith("Name") else member.value


@primitive("VarConcat", "VarStack")
def joined(interpreter: Interpreter, step: Step, *args: Any) -> Any:
    """A cat or stack that PyTorch's optimizer has taken out of a list."""
    return run_named(interpreter, "cat" if step.kind.endswith("Concat") else "stack", "", [list(args[:-1]), args[-1]])


@primitive("fork")
def fork(interpreter: Interpreter, step: Step, *args: Any) -> Any:
    """A call that may run beside the caller; in a graph, what it computes is simply a value."""
    graph = step.node.g("Subgraph")
    return interpreter.call_graph(graph, args, interpreter.frame.module, interpreter.frame.module_class)


__all__ = ["as_operand"]
