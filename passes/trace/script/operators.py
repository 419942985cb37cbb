# SPDX-License-Identifier: Apache-2.0
"""ATen operators in TorchScript: arguments put as PyTorch's dispatcher takes them, composites kept whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from lading.passes.dialect import find_overload, schema_of
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.rules import RULES
from lading.passes.trace.script import lists
from lading.passes.trace.script.numbers import as_tensor
from lading.passes.trace.script.programs import Step
from lading.passes.trace.script.scalar_types import dtype_of, layout_of, memory_format_of
from lading.passes.trace.script.values import List, Maybe, Number, Stack, plain_number

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter

_VF: Any = torch._C._VariableFunctions
_NN: Any = torch._C._nn

_KEPT: dict[str, Any] = {
    "linear": F.linear,
    "matmul": torch.matmul,
    "layer_norm": torch.layer_norm,
    "group_norm": torch.group_norm,
    "rms_norm": torch.rms_norm,
    "instance_norm": torch.instance_norm,
    "batch_norm": torch.batch_norm,
    "dropout": torch.dropout,
    "dropout_": torch.dropout_,
    "feature_dropout": torch.feature_dropout,
    "feature_dropout_": torch.feature_dropout_,
    "alpha_dropout": torch.alpha_dropout,
    "alpha_dropout_": torch.alpha_dropout_,
    "lstm": _VF.lstm,
    "gru": _VF.gru,
    "rnn_tanh": _VF.rnn_tanh,
    "rnn_relu": _VF.rnn_relu,
    "_pack_padded_sequence": _VF._pack_padded_sequence,
    "_pad_packed_sequence": _VF._pad_packed_sequence,
    "max_pool1d": F.max_pool1d,
    "max_pool2d": F.max_pool2d,
    "max_pool3d": F.max_pool3d,
    "avg_pool1d": torch.avg_pool1d,
    "adaptive_avg_pool1d": torch.adaptive_avg_pool1d,
    "adaptive_avg_pool2d": _NN.adaptive_avg_pool2d,
    "adaptive_avg_pool3d": _NN.adaptive_avg_pool3d,
    "adaptive_max_pool1d": torch.adaptive_max_pool1d,
    "pad": _NN.pad,
    "one_hot": _NN.one_hot,
    "prelu": torch.prelu,
    "log_sigmoid": _NN.log_sigmoid,
}
"""The public function whose rule stands for an ATen operator with the same arguments, in the same order."""

_KEPT_OVERLOADS: dict[tuple[str, str], Callable[..., Any]] = {
    ("softmax", "int"): lambda rec, x, dim, dtype=None: RULES[torch.softmax](rec, x, dim, dtype=dtype),
    ("log_softmax", "int"): lambda rec, x, dim, dtype=None: RULES[torch.log_softmax](rec, x, dim, dtype=dtype),
    ("einsum", ""): lambda rec, equation, tensors, path=None: RULES[_VF.einsum](rec, equation, tensors),
    ("scaled_dot_product_attention", ""): lambda rec, *args: RULES[F.scaled_dot_product_attention](rec, *args),
    ("stft", ""): lambda rec, *args: RULES[_VF.stft](rec, *args),
}

_UPSAMPLINGS = frozenset(
    {"upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d",
     "upsample_trilinear3d", "upsample_bicubic2d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d",
     "_upsample_nearest_exact3d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"}
)  # fmt: skip


def run_operator(interpreter: Interpreter, step: Step, *args: Any) -> Any:
    """Run an ATen (or custom) operator of a step."""
    domain, _, name = step.kind.partition("::")
    return run_named(interpreter, name, step.overload or "", args, domain)


def run_named(
    interpreter: Interpreter, name: str, overload_name: str, args: Sequence[Any], domain: str = "aten"
) -> Any:
    """Run an operator by name on arguments in schema order."""
    if domain == "aten" and name in ("stack", "cat", "concat", "concatenate") and isinstance(args[0], List):
        dim = args[1] if len(args) > 1 else 0
        if isinstance(dim, int):
            join = lists.as_stacked_tensor if name == "stack" else lists.as_joined_tensor
            joined = join(interpreter, args[0], dim)
            if joined is not None:
                return joined
    try:
        overload = find_overload(domain, name, overload_name)
    except LookupError:
        raise interpreter.cannot(f"lading knows no meaning of the TorchScript operator {domain}::{name}") from None
    overload, given = _arguments(interpreter, overload, args)
    _check_memory(interpreter, overload, given)
    quantization = interpreter.recorder.quantization
    if quantization.concerns(overload, given):

        def on_numbers(*numbers: Any) -> Any:
            return run_named(interpreter, name, overload_name, numbers, domain)

        return _from_torch(quantization.call(overload, tuple(given), {}, on_numbers))
    if domain == "aten":
        result = _kept(interpreter, name, overload_name, given)
        if result is not NOT_KEPT:
            return _from_torch(result)
    schema = overload._schema.arguments
    if name == "slice" and domain == "aten":
        return _sliced(interpreter, given)
    positional = [value for value, argument in zip(given, schema, strict=False) if not argument.kwarg_only]
    keywords = {argument.name: value for value, argument in zip(given, schema, strict=False) if argument.kwarg_only}
    return _from_torch(overload(*positional, **keywords))


def _check_memory(interpreter: Interpreter, overload: Any, given: Sequence[Any]) -> None:
    """See that what an operator reads is up to date, and note what it writes."""
    for value in given:
        interpreter.read(*(value if isinstance(value, (list, tuple)) else (value,)))
    if overload._schema.is_mutable:
        for value, argument in zip(given, overload._schema.arguments, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write and isinstance(value, torch.Tensor):
                interpreter.aliases.written(value, interpreter.places.line())


def _sliced(interpreter: Interpreter, given: Sequence[Any]) -> torch.Tensor:
    """Slice a tensor; `x[i : i + 1]` around a loop index that stays in range is known to have one row."""
    filled: list[Any] = [*given, *(None, 0, None, None, 1)[len(given) :]]
    tensor, dim, start, end, step = filled
    if isinstance(start, torch.SymInt) and end is not None and step == 1 and plain_number(end - start) == 1:
        index = next((symbol for symbol in start.node.expr.free_symbols if symbol in interpreter.last_index), None)
        first = None if index is None else plain_number(start - interpreter.axes.number_of(index))
        if index is not None and isinstance(first, int) and first >= 0:
            room = plain_number(tensor.shape[dim] - interpreter.last_index[index] - first - 1)
            if interpreter.never_negative(room):
                return tensor.select(dim, start).unsqueeze(dim)
    part: torch.Tensor = torch.ops.aten.slice.Tensor(tensor, dim, start, end, step)
    return part


def _kept(interpreter: Interpreter, name: str, overload_name: str, given: Sequence[Any]) -> Any:
    if name in _UPSAMPLINGS and overload_name == "vec":
        return RULES[getattr(_NN, name)](interpreter.recorder, *given)
    special = _KEPT_OVERLOADS.get((name, overload_name))
    if special is not None:
        return special(interpreter.recorder, *given)
    function = _KEPT.get(name)
    if function is None or function not in RULES:
        return NOT_KEPT
    return RULES[function](interpreter.recorder, *given)


def _from_torch(result: Any) -> Any:
    if isinstance(result, list):
        return List(_from_torch(item) for item in result)
    if isinstance(result, tuple):
        return tuple(_from_torch(item) for item in result)
    return plain_number(result)


def _arguments(interpreter: Interpreter, overload: Any, args: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return arguments as PyTorch takes them, and the overload to call with them."""
    parameters = schema_of(overload).parameters
    given: list[Any] = []
    numbers: list[int] = []
    for index, (value, parameter) in enumerate(zip(args, parameters, strict=False)):
        if isinstance(value, Maybe):
            raise interpreter.cannot("an operator is given a value of which only the run knows whether it is None")
        if isinstance(value, List):
            value = _plain_list(interpreter, value, parameter)
        elif isinstance(value, Number):
            if parameter.kind == "Tensor":
                value = value.tensor
            else:
                numbers.append(index)
        elif value is None:
            pass
        elif parameter.kind == "ScalarType":
            value = dtype_of(value)
        elif parameter.kind == "Layout":
            value = layout_of(value)
        elif parameter.kind == "MemoryFormat":
            value = memory_format_of(value)
        elif parameter.kind == "Tensor" and isinstance(value, (bool, int, float)) and parameter.is_list is False:
            value = torch.tensor(value)
        given.append(value)
    if numbers:
        overload, given = _with_tensors(interpreter, overload, given, numbers)
    return overload, given


def _plain_list(interpreter: Interpreter, value: List, parameter: Any) -> list[Any]:
    if isinstance(value.state, Stack) and parameter.kind == "Tensor":
        tensor = value.state.tensor
        if isinstance(tensor.shape[0], int):
            return list(tensor.unbind(0))
    members = lists.members_of(interpreter, value, "this operator")
    if parameter.kind == "float":
        return [item.tensor.item() if isinstance(item, Number) else item for item in members]
    return [item.tensor if isinstance(item, Number) else item for item in members]


_TENSOR_FORMS = {
    "Scalar": "Tensor",
    "Tensor_Scalar": "Tensor_Tensor",
    "Scalar_mode": "Tensor_mode",
    "Scalar_Tensor": "Tensor_Tensor",
}
_CLAMPS = frozenset({"clamp", "clamp_min", "clamp_max", "clamp_", "clamp_min_", "clamp_max_"})
_FACTOR = 2
"""Where the factor of the second operand stands among the arguments of add, sub and rsub."""


def _with_tensors(
    interpreter: Interpreter, overload: Any, given: list[Any], numbers: Sequence[int]
) -> tuple[Any, list[Any]]:
    """Put numbers of the run in as tensors, in the overload that takes them, with the promotion that numbers have.

    Where no overload does, a number goes in as a symbolic one.
    """
    packet = overload.overloadpacket
    name = packet.__name__
    tensor = next((item for item in given if isinstance(item, torch.Tensor)), None)
    if tensor is not None and not (name in ("add", "sub", "add_", "sub_", "rsub") and _FACTOR in numbers):
        if name == "rsub":
            return torch.ops.aten.sub.Tensor, [_promoted(given[1], tensor), tensor, *given[_FACTOR:]]
        if name in _CLAMPS:
            return packet.Tensor, [item if item is None else _promoted(item, tensor) for item in given]
        form = "Tensor_Tensor" if name == "pow" else _TENSOR_FORMS.get(overload._overloadname)
        if form is not None and form in packet.overloads():
            filled = [_promoted(item, tensor) if index in numbers else item for index, item in enumerate(given)]
            return getattr(packet, form), filled
    return overload, [item.tensor.item() if isinstance(item, Number) else item for item in given]


def _promoted(number: Any, beside: torch.Tensor) -> torch.Tensor:
    """Return a number as a tensor of the dtype in which PyTorch combines it with a tensor."""
    if isinstance(number, torch.Tensor):
        return number
    kind = number.kind if isinstance(number, Number) else type(number)
    sample: bool | int | float = True if kind is bool else 1.5 if kind is float else 2
    return as_tensor(number, torch.result_type(beside, sample))
