# SPDX-License-Identifier: Apache-2.0
"""The builtins of TorchScript on numbers, lists, dicts and strings, and questions on tensors."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from lading.passes.trace.script import lists
from lading.passes.trace.script.numbers import (
    SYMBOLIC,
    as_operand,
    as_tensor,
    is_number,
    kind_of,
    number_from,
)
from lading.passes.trace.script.programs import Step
from lading.passes.trace.script.scalar_types import dtype_of
from lading.passes.trace.script.tables import BUILTINS, TENSOR_BUILTINS, builtin, tensor_builtin
from lading.passes.trace.script.values import Items, List, ListRead, Maybe, Number, Stack, plain_number

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


# ---- arithmetic of numbers -------------------------------------------------------------------------------------------


def _float(value: Any) -> Any:
    if isinstance(value, torch.SymBool):
        value = plain_number(value)
    return torch.sym_float(value) if isinstance(value, (torch.SymInt, torch.SymFloat)) else float(value)


def _arithmetic(name: str, known: Callable[[Any, Any], Any], tensor: Callable[[Any, Any], Any], kind: Any) -> None:
    """Register a binary operator: on what is known, on symbols, and on tensors that stand for numbers of the run."""

    def run(interpreter: Interpreter, step: Step, left: Any, right: Any, *rest: Any) -> Any:
        if isinstance(left, (List, str, tuple, dict)) or not is_number(left):
            return _on_containers(interpreter, name, known, left, right)
        of = kind or (float if float in (kind_of(left), kind_of(right)) else int)
        if isinstance(left, Number) or isinstance(right, Number):
            if not isinstance(left, Number):
                left = as_tensor(left, torch.float64 if kind_of(right) is float else None)
            result = tensor(as_operand(left), as_operand(right))
            if of is int:
                return number_from(interpreter, result, int)
            return Number(result.to(torch.bool if of is bool else torch.float64), of)
        try:
            return plain_number(known(left, right))
        except ZeroDivisionError:
            raise interpreter.cannot("a division by zero") from None

    BUILTINS[f"aten::{name}"] = run


def _on_containers(interpreter: Interpreter, name: str, known: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if isinstance(left, List):
        if name == "add":
            return lists.joined(interpreter, left, right)
        if name == "mul":
            return List(tuple(lists.members_of(interpreter, left)) * right)
        if name in ("eq", "ne"):
            return _same_members(interpreter, left, right) == (name == "eq")
        raise interpreter.cannot(f"lists cannot be combined by {name}")
    if isinstance(left, dict) and name in ("eq", "ne"):
        raise interpreter.cannot("dicts cannot be compared")
    return known(left, right)


def _same_members(interpreter: Interpreter, left: List, right: List) -> bool:
    first, second = lists.members_of(interpreter, left), lists.members_of(interpreter, right)
    if len(first) != len(second):
        return False
    answers = [interpreter.decide(a == b) for a, b in zip(first, second, strict=True)]
    if None in answers:
        raise interpreter.cannot("two lists are compared whose members only the run knows")
    return all(answers)


def _true_division(left: Any, right: Any) -> Any:
    if isinstance(left, SYMBOLIC) or isinstance(right, SYMBOLIC):
        return _float(left) / _float(right)
    return left / right


def _power(left: Any, right: Any) -> Any:
    return left**right


_arithmetic("add", operator.add, torch.add, None)
_arithmetic("sub", operator.sub, torch.sub, None)
_arithmetic("mul", operator.mul, torch.mul, None)
_arithmetic("div", _true_division, torch.true_divide, float)
_arithmetic("truediv", _true_division, torch.true_divide, float)
_arithmetic("floordiv", operator.floordiv, torch.floor_divide, None)
_arithmetic("remainder", operator.mod, torch.remainder, None)
_arithmetic("fmod", math.fmod, torch.fmod, float)
_arithmetic("pow", _power, torch.pow, None)
_arithmetic("eq", operator.eq, torch.eq, bool)
_arithmetic("ne", operator.ne, torch.ne, bool)
_arithmetic("lt", operator.lt, torch.lt, bool)
_arithmetic("le", operator.le, torch.le, bool)
_arithmetic("gt", operator.gt, torch.gt, bool)
_arithmetic("ge", operator.ge, torch.ge, bool)


@builtin("__and__", "__or__", "__xor__")
def logic(interpreter: Interpreter, step: Step, left: Any, right: Any) -> Any:
    """And, or, exclusive or of bools or of integers."""
    which = step.kind[len("aten::__") : -2]
    if kind_of(left) is bool:
        for one, other in ((left, right), (right, left)):
            settled = interpreter.decide(one)
            if settled is not None and which != "xor":
                short = settled if which == "or" else not settled
                return settled if short else other
    python = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}[which]
    if isinstance(left, (bool, int)) and isinstance(right, (bool, int)):
        return python(left, right)
    function = {"and": torch.bitwise_and, "or": torch.bitwise_or, "xor": torch.bitwise_xor}[which]
    if kind_of(left) is bool:
        return Number(function(as_tensor(left), as_tensor(right)), bool)
    return number_from(interpreter, function(as_tensor(left), as_tensor(right)), int)


@builtin("__lshift__", "__rshift__")
def shifted(interpreter: Interpreter, step: Step, left: Any, right: Any) -> Any:
    """A shift of bits."""
    return plain_number(left * 2**right if "lshift" in step.kind else left // 2**right)


@builtin("__not__")
def negation(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """Not."""
    return negated(interpreter, value)


def negated(interpreter: Interpreter, value: Any) -> Any:
    """Return the opposite of a bool."""
    settled = interpreter.decide(value)
    if settled is not None:
        return not settled
    if isinstance(value, Number):
        return Number(torch.logical_not(value.tensor), bool)
    return plain_number(torch.sym_not(value))


def _unary(names: str, known: Callable[[Any], Any], tensor: Callable[[Any], Any], kind: Any = None) -> None:
    def run(interpreter: Interpreter, step: Step, value: Any) -> Any:
        if isinstance(value, Number):
            result = tensor(value.tensor)
            return number_from(interpreter, result, int) if kind is int else Number(result, kind or value.kind)
        if isinstance(value, (torch.SymInt, torch.SymFloat)) and kind is float:
            return Number(tensor(as_tensor(value, torch.float64)), float)
        return plain_number(known(value))

    for name in names.split():
        BUILTINS[f"aten::{name}"] = run


_unary("neg", operator.neg, torch.neg)
_unary("floor", math.floor, torch.floor, int)
_unary("ceil", math.ceil, torch.ceil, int)
_unary("sqrt", math.sqrt, torch.sqrt, float)
_unary("exp", math.exp, torch.exp, float)
_unary("log", math.log, torch.log, float)
_unary("log2", math.log2, torch.log2, float)
_unary("log10", math.log10, torch.log10, float)
_unary("log1p", math.log1p, torch.log1p, float)
_unary("sin", math.sin, torch.sin, float)
_unary("cos", math.cos, torch.cos, float)
_unary("tan", math.tan, torch.tan, float)
_unary("tanh", math.tanh, torch.tanh, float)
_unary("atan", math.atan, torch.atan, float)
_unary("asin", math.asin, torch.asin, float)
_unary("acos", math.acos, torch.acos, float)
_unary("isnan", math.isnan, torch.isnan, bool)
_unary("isinf", math.isinf, torch.isinf, bool)
_unary("isfinite", math.isfinite, torch.isfinite, bool)


@builtin("round")
def rounded(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """The nearest integer, as a float."""
    if isinstance(value, Number):
        return Number(torch.round(value.tensor), float)
    if isinstance(value, SYMBOLIC):
        return Number(torch.round(as_tensor(value, torch.float64)), float)
    return float(round(value))


# ---- conversions -----------------------------------------------------------------------------------------------------


@builtin("Int", "IntImplicit")
def to_int(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """A number, or a string, as an integer."""
    if isinstance(value, Number):
        return number_from(interpreter, value.tensor, int)
    if isinstance(value, torch.SymFloat):
        return plain_number(torch.sym_int(value))
    if isinstance(value, torch.SymBool):
        return number_from(interpreter, as_tensor(value), int)
    return value if isinstance(value, torch.SymInt) else int(value)


@builtin("Float", "FloatImplicit")
def to_float(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """A number, or a string, as a float."""
    if isinstance(value, Number):
        return Number(value.tensor.to(torch.float64), float)
    return _float(value)


@builtin("Bool")
def to_bool(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """Whether a number is not zero."""
    if isinstance(value, Number):
        return value if value.kind is bool else Number(value.tensor != 0, bool)
    if isinstance(value, torch.SymBool):
        return value
    return plain_number(value != 0) if isinstance(value, SYMBOLIC) else bool(value)


@builtin("ScalarImplicit")
def to_scalar(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """A number."""
    return value


@tensor_builtin("Int", "IntImplicit")
def int_of_tensor(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """The one element of a tensor as an integer."""
    return number_from(interpreter, tensor, int)


@tensor_builtin("Float", "FloatImplicit")
def float_of_tensor(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """The one element of a tensor as a float."""
    return number_from(interpreter, tensor, float)


@tensor_builtin("Bool")
def bool_of_tensor(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """Whether the one element of a tensor is not zero."""
    return number_from(interpreter, tensor, bool)


@tensor_builtin("item", "ScalarImplicit")
def item(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """The one element of a tensor as a number of its own kind."""
    return number_from(interpreter, tensor)


@tensor_builtin("is_nonzero")
def is_nonzero(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """Whether the one element of a tensor is not zero."""
    return number_from(interpreter, tensor, bool)


# ---- identity --------------------------------------------------------------------------------------------------------


@builtin("__is__", "__isnot__")
def identity(interpreter: Interpreter, step: Step, left: Any, right: Any) -> Any:
    """Whether two values are the same: asked of None."""
    if isinstance(left, Maybe) and right is None:
        return negated(interpreter, left.present) if step.kind == "aten::__is__" else left.present
    return (left is right) == (step.kind == "aten::__is__")


TENSOR_BUILTINS["aten::__is__"] = TENSOR_BUILTINS["aten::__isnot__"] = identity


# ---- lists, dicts, strings -------------------------------------------------------------------------------------------


@builtin("len")
def length(interpreter: Interpreter, step: Step, subject: Any) -> Any:
    """How many members."""
    return lists.length(interpreter, subject)


@builtin("__getitem__")
def get_item(interpreter: Interpreter, step: Step, subject: Any, index: Any) -> Any:
    """One member."""
    if isinstance(subject, dict):
        if index not in subject:
            raise interpreter.cannot(f"the key {index!r} is not in the dict")
        return subject[index]
    return lists.member(interpreter, subject, index)


@builtin("_set_item")
def set_item(interpreter: Interpreter, step: Step, subject: Any, index: Any, value: Any) -> Any:
    """Puts a member in the place of another."""
    if isinstance(subject, dict):
        subject[index] = value
    else:
        lists.store(interpreter, subject, index, value)
    return subject


@builtin("append")
def append(interpreter: Interpreter, step: Step, subject: List, value: Any) -> List:
    """Adds a member."""
    return lists.append(interpreter, subject, value)


@builtin("extend", "add_")
def extend(interpreter: Interpreter, step: Step, subject: List, other: List) -> List:
    """Adds the members of another list."""
    if isinstance(other.state, Items):
        for value in other.state.members:
            lists.append(interpreter, subject, value)
    else:
        subject.state = lists.joined(interpreter, subject, other).state
    return subject


@builtin("mul_")
def repeat(interpreter: Interpreter, step: Step, subject: List, count: int) -> List:
    """Repeats a list in place."""
    subject.state = Items(tuple(lists.members_of(interpreter, subject)) * count)
    return subject


@builtin("insert")
def insert(interpreter: Interpreter, step: Step, subject: List, index: Any, value: Any) -> None:
    """Adds a member before an index."""
    lists.insert(interpreter, subject, index, value)


@builtin("pop")
def pop(interpreter: Interpreter, step: Step, subject: Any, *index: Any) -> Any:
    """Takes a member out."""
    if isinstance(subject, dict):
        return subject.pop(*index)
    return lists.pop(interpreter, subject, *index)


@builtin("popitem")
def pop_item(interpreter: Interpreter, step: Step, subject: dict[Any, Any]) -> Any:
    """Takes the last pair out."""
    return subject.popitem()


@builtin("Delete")
def delete(interpreter: Interpreter, step: Step, subject: Any, index: Any) -> None:
    """Takes a member out."""
    pop(interpreter, step, subject, index)


@builtin("remove")
def remove(interpreter: Interpreter, step: Step, subject: List, value: Any) -> None:
    """Takes the first equal member out."""
    members = lists.members_of(interpreter, subject)
    del members[_position(interpreter, members, value)]
    subject.state = Items(tuple(members))


@builtin("index")
def position(interpreter: Interpreter, step: Step, subject: List, value: Any) -> int:
    """Where the first equal member stands."""
    return _position(interpreter, lists.members_of(interpreter, subject), value)


def _position(interpreter: Interpreter, members: list[Any], value: Any) -> int:
    for index, candidate in enumerate(members):
        answer = interpreter.decide(candidate == value)
        if answer is None:
            raise interpreter.cannot("a list is searched whose members only the run knows")
        if answer:
            return index
    raise interpreter.cannot(f"{value!r} is not in the list")


@builtin("count")
def count(interpreter: Interpreter, step: Step, subject: List, value: Any) -> int:
    """How many members equal a value."""
    if isinstance(subject, str):
        return subject.count(value)
    return sum(bool(interpreter.decide(member == value)) for member in lists.members_of(interpreter, subject))


@builtin("clear")
def clear(interpreter: Interpreter, step: Step, subject: Any) -> None:
    """Empties a list or a dict."""
    if isinstance(subject, dict):
        subject.clear()
    else:
        subject.state = Items(())


@builtin("reverse")
def reverse(interpreter: Interpreter, step: Step, subject: List) -> None:
    """Reverses a list in place."""
    state = subject.state
    if isinstance(state, Items):
        subject.state = Items(state.members[::-1])
    else:
        whole = lists.stacked(interpreter, subject)
        subject.state = Stack(whole.tensor.flip(0), whole.kind)


@builtin("sort")
def sort(interpreter: Interpreter, step: Step, subject: List, backwards: bool = False) -> None:
    """Sorts a list of known numbers in place."""
    subject.state = Items(tuple(_sorted(interpreter, subject, backwards)))


@builtin("sorted")
def sorted_list(interpreter: Interpreter, step: Step, subject: List, backwards: bool = False) -> List:
    """A sorted copy."""
    return List(_sorted(interpreter, subject, backwards))


def _sorted(interpreter: Interpreter, subject: List, backwards: bool) -> list[Any]:
    members = lists.members_of(interpreter, subject)
    if not all(isinstance(member, (bool, int, float, str)) for member in members):
        raise interpreter.cannot("a list is sorted whose members only the run knows")
    return sorted(members, reverse=backwards)


@builtin("slice")
def cut(interpreter: Interpreter, step: Step, subject: Any, start: Any, stop: Any, by: Any) -> Any:
    """Some members."""
    if isinstance(subject, str):
        return subject[start:stop:by]
    return lists.cut(interpreter, subject, start, stop, by)


@builtin("copy", "list")
def copy(interpreter: Interpreter, step: Step, subject: Any) -> Any:
    """A copy of a list, or the letters of a string."""
    if isinstance(subject, dict):
        return dict(subject)
    if isinstance(subject, str):
        return List(subject)
    if isinstance(subject, List):
        if not isinstance(subject.state, (Items, Stack, lists.Chain)):
            raise ListRead(subject)
        result = List()
        result.state = subject.state
        return result
    return List(subject)


@builtin("__contains__")
def contains(interpreter: Interpreter, step: Step, subject: Any, value: Any) -> Any:
    """Whether a member is there."""
    if isinstance(subject, (dict, str)):
        return value in subject
    answer: Any = False
    for member in lists.members_of(interpreter, subject):
        same = plain_number(member == value) if not isinstance(member, Number) else Number(member.tensor == value, bool)
        settled = interpreter.decide(same)
        if settled:
            return True
        if settled is None:
            answer = Number(as_tensor(answer) | as_tensor(same), bool)
    return answer


@builtin("any", "all")
def any_or_all(interpreter: Interpreter, step: Step, subject: List) -> Any:
    """Whether one member, or each of them, is true."""
    members = lists.members_of(interpreter, subject)
    result: Any = step.kind == "aten::all"
    for member in members:
        settled = interpreter.decide(member)
        if settled is None:
            join = torch.logical_and if step.kind == "aten::all" else torch.logical_or
            result = Number(join(as_tensor(result), as_tensor(member)), bool)
        elif settled != (step.kind == "aten::all"):
            return settled
    return result


@builtin("sum")
def total(interpreter: Interpreter, step: Step, subject: List) -> Any:
    """The sum of a list of numbers."""
    if isinstance(subject.state, Stack):
        return number_from(interpreter, subject.state.tensor.sum(), subject.state.kind)
    result: Any = 0
    for member in lists.members_of(interpreter, subject):
        result = BUILTINS["aten::add"](interpreter, step, result, member)
    return result


@builtin("keys")
def keys(interpreter: Interpreter, step: Step, subject: dict[Any, Any]) -> List:
    """The keys of a dict."""
    return List(subject.keys())


@builtin("values")
def values(interpreter: Interpreter, step: Step, subject: dict[Any, Any]) -> List:
    """The values of a dict."""
    return List(subject.values())


@builtin("items")
def items(interpreter: Interpreter, step: Step, subject: dict[Any, Any]) -> List:
    """The pairs of a dict."""
    return List(tuple(pair) for pair in subject.items())


@builtin("get")
def get(interpreter: Interpreter, step: Step, subject: dict[Any, Any], key: Any, default: Any = None) -> Any:
    """The value of a key, or a default."""
    return subject.get(key, default)


@builtin("setdefault")
def set_default(interpreter: Interpreter, step: Step, subject: dict[Any, Any], key: Any, default: Any) -> Any:
    """The value of a key, set to a default where it is missing."""
    return subject.setdefault(key, default)


@builtin("update")
def update(interpreter: Interpreter, step: Step, subject: dict[Any, Any], other: dict[Any, Any]) -> None:
    """Takes over the pairs of another dict."""
    subject.update(other)


@builtin("dict")
def make_dict(interpreter: Interpreter, step: Step, *pairs: Any) -> dict[Any, Any]:
    """A dict of pairs."""
    if not pairs:
        return {}
    subject = pairs[0]
    return dict(subject) if isinstance(subject, dict) else dict(lists.members_of(interpreter, subject))


@builtin("format")
def text_format(interpreter: Interpreter, step: Step, text: str, *arguments: Any) -> str:
    """A formatted string, which guides nothing but an error message."""
    try:
        return str(text).format(*arguments)
    except (ValueError, IndexError, TypeError, KeyError):
        return str(text)


@builtin("percentFormat")
def percent_format(interpreter: Interpreter, step: Step, text: str, *arguments: Any) -> str:
    """A string formatted by `%`, which guides nothing but an error message."""
    try:
        return str(text % arguments)
    except (ValueError, TypeError):
        return str(text)


@builtin("str")
def to_text(interpreter: Interpreter, step: Step, value: Any) -> str:
    """A value as text."""
    return str(value)


TENSOR_BUILTINS["aten::format"] = text_format
TENSOR_BUILTINS["aten::str"] = to_text


def _string_method(name: str) -> None:
    def run(interpreter: Interpreter, step: Step, text: str, *arguments: Any) -> Any:
        plain = [list(lists.members_of(interpreter, one)) if isinstance(one, List) else one for one in arguments]
        result = getattr(text, name)(*plain)
        return List(result) if isinstance(result, list) else result

    BUILTINS[f"aten::{name}"] = run


for _name in [
    "lower",
    "upper",
    "strip",
    "lstrip",
    "rstrip",
    "startswith",
    "endswith",
    "replace",
    "find",
    "rfind",
    "join",
    "splitlines",
    "capitalize",
    "title",
    "isdigit",
    "isalpha",
    "isupper",
    "islower",
    "isspace",
    "isalnum",
    "zfill",
    "center",
    "ljust",
    "rjust",
    "swapcase",
]:
    _string_method(_name)


@builtin("split")
def split_text(interpreter: Interpreter, step: Step, text: str, separator: Any = None, most: int = -1) -> List:
    """The parts of a string."""
    return List(text.split(separator, most))


@builtin("ord")
def order(interpreter: Interpreter, step: Step, letter: str) -> int:
    """The number of a letter."""
    return ord(letter)


@builtin("chr")
def letter_of(interpreter: Interpreter, step: Step, number: int) -> str:
    """The letter of a number."""
    return chr(number)


@builtin("__range_length")
def range_length(interpreter: Interpreter, step: Step, low: Any, high: Any, by: Any) -> Any:
    """How many integers a range has."""
    if isinstance(low, int) and isinstance(high, int) and isinstance(by, int):
        return len(range(low, high, by))
    if isinstance(by, int):
        span = high - low if by > 0 else low - high
        return plain_number(torch.sym_max(0, (span + abs(by) - 1) // abs(by)))
    raise interpreter.cannot("a range whose step only the run knows")


@builtin("__derive_index")
def derive_index(interpreter: Interpreter, step: Step, index: Any, start: Any, by: Any) -> Any:
    """The integer at a position of a range."""
    return plain_number(start + index * by)


@builtin("device")
def make_device(interpreter: Interpreter, step: Step, *arguments: Any) -> torch.device:
    """A device."""
    return torch.device(*arguments)


@builtin("warn")
def warn(interpreter: Interpreter, step: Step, *arguments: Any) -> None:
    """A file warns of nothing."""
    interpreter.decided("warning left out", "a file has no output but its results")


@builtin("is_scripting")
def is_scripting(interpreter: Interpreter, step: Step) -> bool:
    """Yes: this is TorchScript."""
    return True


@builtin("is_autocast_enabled", "is_autocast_cpu_enabled", "is_grad_enabled")
def not_enabled(interpreter: Interpreter, step: Step, *arguments: Any) -> bool:
    """Neither autocast nor gradients during capture."""
    return False


@builtin("manual_seed", "set_grad_enabled", "_profiler_enabled")
def nothing(interpreter: Interpreter, step: Step, *arguments: Any) -> None:
    """What has no meaning in a file."""


@builtin("wait")
def wait(interpreter: Interpreter, step: Step, value: Any) -> Any:
    """The value of a forked call."""
    return value


# ---- questions on tensors --------------------------------------------------------------------------------------------


@tensor_builtin("len")
def tensor_length(interpreter: Interpreter, step: Step, tensor: Any) -> Any:
    """How many rows a tensor, or how many members a list of tensors, has."""
    if not isinstance(tensor, torch.Tensor):
        return lists.length(interpreter, tensor)
    return plain_number(tensor.shape[0])


@tensor_builtin("size")
def size(interpreter: Interpreter, step: Step, tensor: torch.Tensor, *dim: int) -> Any:
    """One size, or all."""
    if dim:
        return plain_number(tensor.shape[dim[0]])
    return List([plain_number(one) for one in tensor.shape])


@tensor_builtin("numel")
def numel(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> Any:
    """How many elements."""
    return plain_number(tensor.numel())


@tensor_builtin("dim", "ndimension")
def rank(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> int:
    """How many dimensions."""
    return tensor.dim()


@tensor_builtin("is_floating_point")
def is_floating_point(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> bool:
    """Whether the dtype is a floating one."""
    return tensor.is_floating_point()


@tensor_builtin("is_complex")
def is_complex(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> bool:
    """Whether the dtype is a complex one."""
    return tensor.is_complex()


@tensor_builtin("is_contiguous")
def is_contiguous(interpreter: Interpreter, step: Step, *arguments: Any) -> bool:
    """Yes: a file knows no strides."""
    return True


@tensor_builtin("to")
def to(interpreter: Interpreter, step: Step, tensor: torch.Tensor, *arguments: Any) -> Any:
    """A tensor in another dtype."""
    from lading.passes.trace.script.operators import run_operator

    if step.overload == "prim_dtype":
        return tensor if arguments[0] is None else tensor.to(dtype_of(arguments[0]))
    if step.overload == "prim_device":
        return tensor if arguments[1] is None else tensor.to(dtype_of(arguments[1]))
    if step.overload == "prim_other":
        return tensor
    return run_operator(interpreter, step, tensor, *arguments)


@tensor_builtin("type_as", "cpu", "cuda", "requires_grad_", "pin_memory")
def small_conversions(interpreter: Interpreter, step: Step, tensor: torch.Tensor, *arguments: Any) -> Any:
    """Conversions that change the dtype at most."""
    return tensor.to(arguments[0].dtype) if step.kind == "aten::type_as" else tensor


# ---- containers of tensors -------------------------------------------------------------------------------------------


for _name in [
    "append",
    "extend",
    "insert",
    "pop",
    "popitem",
    "Delete",
    "clear",
    "reverse",
    "__getitem__",
    "_set_item",
    "copy",
    "list",
    "keys",
    "values",
    "items",
    "get",
    "setdefault",
    "update",
    "dict",
    "slice",
]:
    if f"aten::{_name}" in BUILTINS:
        TENSOR_BUILTINS[f"aten::{_name}"] = BUILTINS[f"aten::{_name}"]


def _list_or_tensor(name: str) -> None:
    """Let a builtin serve lists, and the operator of the same name tensors."""
    on_lists = BUILTINS[f"aten::{name}"]

    def run(interpreter: Interpreter, step: Step, subject: Any, *arguments: Any) -> Any:
        from lading.passes.trace.script.operators import run_operator

        if isinstance(subject, torch.Tensor):
            return run_operator(interpreter, step, subject, *arguments)
        return on_lists(interpreter, step, subject, *arguments)

    TENSOR_BUILTINS[f"aten::{name}"] = run


for _name in ("add", "add_", "slice", "sort", "index", "eq", "ne", "mul", "__contains__", "count", "remove"):
    _list_or_tensor(_name)


# ---- making tensors --------------------------------------------------------------------------------------------------


@builtin("tensor", "as_tensor")
def make_tensor(interpreter: Interpreter, step: Step, data: Any, dtype: Any = None, *others: Any) -> torch.Tensor:
    """A tensor of numbers, known or not."""
    wanted = None if dtype is None else dtype_of(dtype)
    if isinstance(data, List) and isinstance(data.state, Stack):
        tensor = data.state.tensor
        kind = torch.get_default_dtype() if data.state.kind is float else tensor.dtype
        return tensor.to(wanted or kind, copy=True)
    flat: list[Any] = []
    shape = _flattened(interpreter, data, flat)
    if all(isinstance(one, (bool, int, float)) for one in flat):
        return torch.tensor(_nested(interpreter, data), dtype=wanted)
    if wanted is None:
        kinds = {torch.Tensor if isinstance(one, torch.Tensor) else kind_of(one) for one in flat}
        wanted = torch.get_default_dtype() if float in kinds else torch.int64 if int in kinds else torch.bool
    parts = [one.to(wanted).reshape(()) if isinstance(one, torch.Tensor) else as_tensor(one, wanted) for one in flat]
    return parts[0] if not shape else torch.stack(parts).reshape(shape)


TENSOR_BUILTINS["aten::as_tensor"] = lambda interpreter, step, data, dtype=None, *others: (
    data if dtype is None else data.to(dtype_of(dtype))
)


def _nested(interpreter: Interpreter, data: Any) -> Any:
    if isinstance(data, List):
        return [_nested(interpreter, member) for member in lists.members_of(interpreter, data)]
    return data


def _flattened(interpreter: Interpreter, data: Any, flat: list[Any]) -> list[int]:
    if not isinstance(data, (List, tuple, list)):
        flat.append(data)
        return []
    members = lists.members_of(interpreter, data)
    shapes = [_flattened(interpreter, member, flat) for member in members]
    return [len(members), *(shapes[0] if shapes else [])]


@tensor_builtin("unbind", "unsafe_chunk", "chunk", "split")
def pieces(interpreter: Interpreter, step: Step, tensor: torch.Tensor, *arguments: Any) -> Any:
    """The pieces of a tensor as a list; rows whose number only the run knows stay one tensor."""
    from lading.passes.trace.script.operators import run_operator

    if step.kind == "aten::unbind":
        dim = arguments[0] if arguments else 0
        if not isinstance(plain_number(tensor.shape[dim]), int):
            result = List()
            result.state = Stack(tensor.movedim(dim, 0), torch.Tensor)
            return result
    return run_operator(interpreter, step, tensor, *arguments)
