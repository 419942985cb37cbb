# SPDX-License-Identifier: Apache-2.0
"""Tensors made of sizes, and sizes made of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule


@rule(torch.linspace)
def _linspace(rec: Recorder, start: Any, end: Any, steps: Any, *, dtype: Any = None, **other: Any) -> Any:
    """Write a number of steps that is a size as arithmetic on it; PyTorch takes a plain number only."""
    kind = dtype or torch.get_default_dtype()
    if not isinstance(steps, torch.SymInt) or not kind.is_floating_point or other.get("out") is not None:
        return NOT_KEPT
    if not all(isinstance(one, (int, float, torch.SymInt, torch.SymFloat)) for one in (start, end)):
        return NOT_KEPT
    # As PyTorch computes it: the first half counts from the start, the second from the end, a single one is the start.
    index = cast(Any, torch.arange)(0, steps, dtype=kind, **other)
    step = (end - start) / torch.sym_max(steps - 1, 1)
    from_the_start = index < torch.sym_max(steps // 2, 1)
    return torch.where(from_the_start, start + index * step, end - (steps - 1 - index) * step)


@rule(torch.triu_indices)
def _upper_places(rec: Recorder, row: Any, col: Any, offset: int = 0, **other: Any) -> Any:
    return _places(row, col, other, lambda matrix: matrix.triu(offset))


@rule(torch.tril_indices)
def _lower_places(rec: Recorder, row: Any, col: Any, offset: int = 0, **other: Any) -> Any:
    return _places(row, col, other, lambda matrix: matrix.tril(offset))


def _places(row: Any, col: Any, other: dict[str, Any], triangle: Callable[[Any], Any]) -> Any:
    """Find the places of a triangle whose sides are free: PyTorch counts them from plain numbers."""
    if not any(isinstance(size, torch.SymInt) for size in (row, col)):
        return NOT_KEPT
    matrix = torch.ones(row, col, dtype=torch.int32, device=other.get("device"))
    return triangle(matrix).nonzero().t().to(other.get("dtype") or torch.int64)


@rule(torch.tensor, torch.as_tensor)
def _tensor_of_sizes(rec: Recorder, data: Any, *, dtype: Any = None, device: Any = None, **other: Any) -> Any:
    """Join symbolic sizes in a literal to a tensor; PyTorch itself would read them as plain numbers."""
    flat: list[Any] = []
    shape = _flattened(data, flat)
    if shape is None or not any(isinstance(item, _SYMBOLIC) for item in flat):
        return NOT_KEPT
    if dtype is None:
        floating = any(isinstance(item, (float, torch.SymFloat)) for item in flat)
        booleans = all(isinstance(item, (bool, torch.SymBool)) for item in flat)
        dtype = torch.get_default_dtype() if floating else torch.bool if booleans else torch.int64
    scalars = [
        item.to(dtype).reshape(()) if isinstance(item, torch.Tensor) else torch.scalar_tensor(item, dtype=dtype)
        for item in flat
    ]
    made = scalars[0] if not shape else torch.stack(scalars).reshape(shape)
    if len(shape) == 1 and not dtype.is_floating_point:
        rec.know_members(
            made, {index: item for index, item in enumerate(flat) if isinstance(item, (int, torch.SymInt))}
        )
    return made if device is None else made.to(device)


@rule(torch.Tensor.new_tensor)
def _new_tensor(rec: Recorder, input: Any, data: Any, *, dtype: Any = None, device: Any = None, **other: Any) -> Any:
    return _tensor_of_sizes(rec, data, dtype=dtype or input.dtype, device=device, **other)


@rule(torch_private.shape_as_tensor)
def _shape_as_tensor(rec: Recorder, input: Any) -> Any:
    made = _tensor_of_sizes(rec, tuple(input.shape))
    return torch.tensor(tuple(input.shape)) if made is NOT_KEPT else made


@rule(torch_private.reshape_from_tensor)
def _reshape_from_tensor(rec: Recorder, input: Any, shape: Any) -> Any:
    """Reshape to the sizes in a tensor, which PyTorch would read from memory."""
    return input.reshape([shape[index].item() for index in range(shape.shape[0])])


_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


def _flattened(data: Any, flat: list[Any]) -> list[int] | None:
    """Append the members of a nested list to `flat` and return its shape, or None if it is no regular list."""
    if not isinstance(data, (list, tuple)):
        flat.append(data)
        numbers = (bool, int, float, *_SYMBOLIC)
        single = isinstance(data, torch.Tensor) and data.dim() == 0
        return [] if single or isinstance(data, numbers) else None
    shapes = [_flattened(item, flat) for item in data]
    if not shapes or any(shape is None or shape != shapes[0] for shape in shapes):
        return None
    return [len(shapes), *(shapes[0] or [])]


def _numbers_rule(function: Any) -> None:
    def of_numbers(rec: Recorder, input: Any, *args: Any, **kwargs: Any) -> Any:
        """Make a tensor of the first of two numbers, as PyTorch does; it does so too late for a size to stay one."""
        numbers = (bool, int, float, *_SYMBOLIC)
        others = (*args, *(kwargs.get(name, 0) for name in ("other", "exponent")))
        if not all(isinstance(one, numbers) for one in (input, *others)):
            return NOT_KEPT
        if not any(isinstance(one, _SYMBOLIC) for one in (input, *others)):
            return NOT_KEPT
        return function(_tensor_of_sizes(rec, input) if isinstance(input, _SYMBOLIC) else input, *args, **kwargs)

    rule(function)(of_numbers)


for _name in ("add", "sub", "mul", "div", "true_divide", "floor_divide", "remainder", "fmod"):
    _numbers_rule(getattr(torch, _name))


# ---- sizes that are tensors ------------------------------------------------------------------------------------------


def as_size(value: Any) -> Any:
    """Return a size, or a list of some, with integer tensors of no dimensions read as symbolic numbers."""
    if isinstance(value, torch.Tensor) and value.dim() == 0 and not value.is_floating_point():
        return value.item()
    if type(value) in (tuple, list, torch.Size) and any(isinstance(item, torch.Tensor) for item in value):
        return [as_size(item) for item in value]
    return value


def _sized_rule(function: Any, first: int, last: int | None) -> None:
    def sized(rec: Recorder, *args: Any, **kwargs: Any) -> Any:
        """Read the sizes that are tensors as numbers; PyTorch would read them from memory."""
        given = [*args[:first], *(as_size(value) for value in args[first:last]), *(args[last:] if last else ())]
        size = kwargs.get("size")
        if size is not None and as_size(size) is not size:
            kwargs["size"] = as_size(size)
        elif all(one is other for one, other in zip(given, args, strict=True)):
            return NOT_KEPT
        return function(*given, **kwargs)

    rule(function)(sized)


for _function in (torch.zeros, torch.ones, torch.empty, torch.rand, torch.randn):
    _sized_rule(_function, 0, None)
_sized_rule(torch.full, 0, 1)
_sized_rule(torch.reshape, 1, 2)
_sized_rule(torch.Tensor.new_full, 1, 2)
for _name in ("view", "reshape", "expand", "repeat", "new_zeros", "new_ones", "new_empty"):
    _sized_rule(getattr(torch.Tensor, _name), 1, None)
