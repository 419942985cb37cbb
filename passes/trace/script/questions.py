# SPDX-License-Identifier: Apache-2.0
"""Questions on tensors, tensors made of numbers, and the builtins that have no meaning in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lading.passes.trace.quantized.tensors import QuantizedTensor
from lading.passes.trace.script import lists
from lading.passes.trace.script.numbers import (
    as_tensor,
    kind_of,
)
from lading.passes.trace.script.programs import Step
from lading.passes.trace.script.scalar_types import dtype_of
from lading.passes.trace.script.tables import BUILTINS, TENSOR_BUILTINS, builtin, tensor_builtin
from lading.passes.trace.script.values import List, Stack, plain_number

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


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

        if isinstance(subject, (torch.Tensor, QuantizedTensor)):
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
