# SPDX-License-Identifier: Apache-2.0
"""PyTorch's type promotion: the one place where the common dtype of several operands is decided.

The rules are those of the PyTorch documentation, "Tensor Attributes: torch.dtype".  Operands fall into three ranks:
tensors with dimensions, zero-dimensional tensors and Python numbers.  Within a rank the types are promoted pairwise.
Between ranks, the lower one matters only where its category (bool < integer < floating < complex) is the higher.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import onnx_ir as ir
import torch

from ..dialect import onnx_dtype, torch_dtype


def _category(dtype: torch.dtype) -> int:
    if dtype.is_complex:
        return 3
    if dtype.is_floating_point:
        return 2
    return 0 if dtype == torch.bool else 1


def _promoted(dtypes: Iterable[torch.dtype]) -> torch.dtype | None:
    found = list(dtypes)
    return functools.reduce(torch.promote_types, found) if found else None


def _number_dtype(number: bool | int | float | complex) -> torch.dtype:
    if isinstance(number, bool):
        return torch.bool
    if isinstance(number, int):
        return torch.int64
    if isinstance(number, float):
        return torch.get_default_dtype()
    return torch.complex128 if torch.get_default_dtype() == torch.float64 else torch.complex64


def _combined(higher: torch.dtype | None, lower: torch.dtype | None, *, lower_is_number: bool) -> torch.dtype | None:
    if higher is None or lower is None:
        return higher if lower is None else lower
    if _category(lower) <= _category(higher):
        return higher
    if lower_is_number and lower.is_complex and higher.is_floating_point:
        return torch.complex128 if higher == torch.float64 else torch.complex64
    return lower


def common_dtype(
    tensors: Sequence[tuple[ir.DataType, int]], numbers: Sequence[bool | int | float | complex] = ()
) -> ir.DataType:
    """Return the dtype that PyTorch computes an operator of these operands in.

    Args:
        tensors: dtype and number of dimensions of each tensor operand.
        numbers: the Python numbers among the operands.

    Source: https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    """
    with_dimensions = _promoted(torch_dtype(dtype) for dtype, rank in tensors if rank > 0)
    zero_dimensional = _promoted(torch_dtype(dtype) for dtype, rank in tensors if rank == 0)
    number = _promoted(_number_dtype(value) for value in numbers)
    result = _combined(with_dimensions, zero_dimensional, lower_is_number=False)
    result = _combined(result, number, lower_is_number=True)
    if result is None:
        raise ValueError("no operand to take a dtype from")
    return onnx_dtype(result)
