# SPDX-License-Identifier: Apache-2.0
"""Numbers in the interpreter: Python's where known, symbolic integers, and tensors for floats and bools of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch
from lading.passes import torch_private
from lading.passes.trace.script.values import Number, plain_number

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter

SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
DTYPES = {bool: torch.bool, int: torch.int64, float: torch.float64}


def is_number(value: Any) -> bool:
    """Whether a value is a number: known, symbolic or of the run."""
    return isinstance(value, (bool, int, float, Number, *SYMBOLIC))


def kind_of(value: Any) -> type:
    """Return bool, int or float for a number."""
    if isinstance(value, Number):
        return value.kind
    if isinstance(value, (bool, torch.SymBool)):
        return bool
    return int if isinstance(value, (int, torch.SymInt)) else float


def as_operand(value: Any) -> Any:
    """Return a number as what a tensor operator takes: a tensor in the place of `Number`."""
    if isinstance(value, Number):
        return value.tensor
    if isinstance(value, torch.SymBool):
        return torch.scalar_tensor(value, dtype=torch.bool)  # type: ignore[arg-type]
    return value


def as_tensor(value: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return a number as a tensor of no dimensions."""
    if isinstance(value, Number):
        return value.tensor if dtype is None else value.tensor.to(dtype)
    kind = dtype or DTYPES[kind_of(value)]
    return torch.scalar_tensor(value, dtype=kind)


def number_from(interpreter: Interpreter, tensor: torch.Tensor, kind: type | None = None) -> Any:
    """Return the one element of a tensor as a number of a kind, by default that of its dtype.

    A value that capture knows (of a literal, a small buffer) is read, and noted as baked in; an integer becomes
    symbolic; a float or a bool stays a tensor.
    """
    recorder = interpreter.recorder
    if kind is None:
        kind = float if tensor.is_floating_point() else bool if tensor.dtype is torch.bool else int
    known = recorder.known(tensor)
    if known is not None:
        with torch_private.beneath_modes():
            value = kind(known.item())
        if isinstance(recorder.known(tensor), torch.nn.Parameter) or known.numel() == 1:
            recorder.note_value(value)
        return value
    flat = tensor.reshape(()) if tensor.dim() else tensor
    if kind is int:
        return plain_number(flat.to(torch.int64).item())
    return Number(flat.to(DTYPES[kind], copy=True), kind)


def value_of(interpreter: Interpreter, number: Any) -> ir.Value:
    """Return the graph value of a number: int64, float64 or bool, of no dimensions."""
    recorder = interpreter.recorder
    if isinstance(number, Number):
        return recorder.value_of(torch_private.unwrap_functional(number.tensor))
    if isinstance(number, SYMBOLIC):
        recorder.note_place()
        return recorder.value_of(number)
    return interpreter.constant(number)


def new_integer(interpreter: Interpreter, value: ir.Value, *, size: bool = False) -> torch.SymInt:
    """Return a symbolic integer that stands for a graph value; `size` says that it is never negative."""
    symbol = torch_private.unbacked_integer(interpreter.axes, size=size)
    interpreter.recorder.arithmetic.is_value(symbol.node.expr, value)
    return symbol
