# SPDX-License-Identifier: Apache-2.0
"""The integers by which TorchScript names data types, layouts and memory formats.

Source of the numbers: PyTorch's `c10/core/ScalarType.h`, `Layout.h` and `MemoryFormat.h`, whose order is part of the
serialization format of TorchScript.
"""

from __future__ import annotations

from typing import Any

import torch

_NAMES = [
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex32",
    "complex64",
    "complex128",
    "bool",
    "qint8",
    "quint8",
    "qint32",
    "bfloat16",
    "quint4x2",
    "quint2x4",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "bits8",
    "bits16",
    "float8_e5m2",
    "float8_e4m3fn",
    "float8_e5m2fnuz",
    "float8_e4m3fnuz",
    "uint16",
    "uint32",
    "uint64",
]

_DTYPES: dict[int, torch.dtype] = {
    number: getattr(torch, name) for number, name in enumerate(_NAMES) if hasattr(torch, name)
}
_NUMBERS: dict[torch.dtype, int] = {dtype: number for number, dtype in _DTYPES.items()}
_LAYOUTS = {0: torch.strided, 1: torch.sparse_coo}
_MEMORY_FORMATS = {
    0: torch.contiguous_format,
    1: torch.preserve_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
}


def dtype_of(number: Any) -> torch.dtype:
    """Return the data type that an integer of TorchScript names; a data type passes through."""
    return number if isinstance(number, torch.dtype) else _DTYPES[number]


def number_of(dtype: torch.dtype) -> int:
    """Return the integer by which TorchScript names a data type."""
    return _NUMBERS[dtype]


def layout_of(number: Any) -> Any:
    """Return the layout that an integer of TorchScript names; a layout passes through."""
    return _LAYOUTS[number] if isinstance(number, int) else number


def memory_format_of(number: Any) -> Any:
    """Return the memory format that an integer of TorchScript names; a memory format passes through."""
    return _MEMORY_FORMATS[number] if isinstance(number, int) else number
