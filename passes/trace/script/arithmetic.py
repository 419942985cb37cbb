# SPDX-License-Identifier: Apache-2.0
"""The builtins of TorchScript on numbers: arithmetic, comparisons, logic, conversions, identity."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
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
from lading.passes.trace.script.tables import BUILTINS, TENSOR_BUILTINS, builtin, tensor_builtin
from lading.passes.trace.script.values import List, Maybe, Number, plain_number

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


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
            same = _same_members(interpreter, left, right)
            return same if name == "eq" else negated(interpreter, same)
        raise interpreter.cannot(f"lists cannot be combined by {name}")
    if isinstance(left, dict) and name in ("eq", "ne"):
        raise interpreter.cannot("dicts cannot be compared")
    return known(left, right)


def _same_members(interpreter: Interpreter, left: List, right: List) -> Any:
    first, second = lists.members_of(interpreter, left), lists.members_of(interpreter, right)
    if len(first) != len(second):
        return False
    return all_of(interpreter, [same_number(a, b) for a, b in zip(first, second, strict=True)])


def same_number(left: Any, right: Any) -> Any:
    """Whether two values are equal: a bool, or one of the run."""
    if isinstance(left, Number) or isinstance(right, Number):
        return Number(torch.eq(as_tensor(left), as_tensor(right)), bool)
    return plain_number(left == right)


def all_of(interpreter: Interpreter, answers: Sequence[Any]) -> Any:
    """Whether each of some bools is true: a bool, or one of the run."""
    result: Any = True
    for answer in answers:
        settled = interpreter.decide(answer)
        if settled is False:
            return False
        if settled is None:
            result = answer if result is True else Number(torch.logical_and(as_tensor(result), as_tensor(answer)), bool)
    return result


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
