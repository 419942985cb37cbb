# SPDX-License-Identifier: Apache-2.0
"""A quantized tensor as the user's code sees it during capture."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import torch
from lading.pipeline.errors import CaptureError

if TYPE_CHECKING:
    from lading.passes.trace.quantized.calls import Quantization


@attrs.frozen
class Storage:
    """How the integers of a quantized type are stored, and their range."""

    dtype: torch.dtype
    low: int
    high: int


STORAGE = {
    torch.quint8: Storage(torch.uint8, 0, 255),
    torch.qint8: Storage(torch.int8, -128, 127),
    torch.qint32: Storage(torch.int32, -(2**31), 2**31 - 1),
}


@attrs.frozen
class Grid:
    """Which numbers a quantized tensor can hold: type, scale and zero point, of all or one for each channel.

    `scale` and `zero_point` are plain numbers, tensors of one dimension where `axis` is a number, and tensors of no
    dimensions where only the run knows them.
    """

    dtype: torch.dtype
    scale: Any
    zero_point: Any
    axis: int | None = None

    @property
    def storage(self) -> Storage:
        """How the integers are stored."""
        try:
            return STORAGE[self.dtype]
        except KeyError:
            raise CaptureError(
                f"tensors of {self.dtype} have no form in a graph", hint="dequantize them first"
            ) from None


# What is asked of the numbers' tensor and answered by it.
_ASKED_OF_VALUES = frozenset(
    {
        "size",
        "dim",
        "ndimension",
        "numel",
        "nelement",
        "stride",
        "is_contiguous",
        "__len__",
        "element_size",
        "get_device",
    }
)


class QuantizedTensor:
    """Stands for a quantized tensor: the integers, the numbers that they mean, and the grid.

    Functions of PyTorch accept it by ``__torch_function__`` and hand it on to the quantization of the capture.
    """

    def __init__(self, owner: Quantization, ints: torch.Tensor, values: torch.Tensor, grid: Grid) -> None:
        self.owner = owner
        self.ints = ints
        self.values = values
        self.grid = grid

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Hand a call on to the quantization that one of the arguments belongs to."""
        owner = next(item.owner for item in members((args, kwargs or {})))
        return owner.call(func, args, kwargs or {})

    @property
    def dtype(self) -> torch.dtype:
        """The quantized type."""
        return self.grid.dtype

    @property
    def is_quantized(self) -> bool:
        """It is."""
        return True

    def __getattr__(self, name: str) -> Any:
        if name in _ASKED_OF_VALUES:
            return getattr(self.values, name)
        found = getattr(torch.Tensor, name, None)
        if found is None or name.startswith("__"):
            raise AttributeError(f"a quantized tensor has no attribute {name!r}")
        if callable(found):
            return functools.partial(self.owner.method, found, self)
        return getattr(self.values, name)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        return self.owner.method(torch.Tensor.__getitem__, self, index)


def members(value: Any) -> list[QuantizedTensor]:
    """Return the quantized tensors in arguments, however they are nested in tuples, lists and dicts."""
    if isinstance(value, QuantizedTensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [found for item in value for found in members(item)]
    if isinstance(value, dict):
        return [found for item in value.values() for found in members(item)]
    return []


def replaced(value: Any, function: Callable[[Any], Any]) -> Any:
    """Return arguments with a function applied to each member, however they are nested in tuples, lists and dicts."""
    if isinstance(value, (tuple, list)):
        items = [replaced(item, function) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: replaced(item, function) for key, item in value.items()}
    return function(value)
