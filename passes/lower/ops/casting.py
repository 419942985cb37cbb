# SPDX-License-Identifier: Apache-2.0
"""Copies and conversions: what changes the dtype of a tensor, its place in memory, or nothing."""

from __future__ import annotations

import onnx_ir as ir
import torch

from ...dialect import onnx_dtype
from ..emitter import Emitter
from ..registry import lowers


@lowers(
    "aten::_to_copy",
    "aten::to.dtype",
    "aten::to.dtype_layout",
    "aten::to.device",
    "aten::to.prim_dtype",
    "prims::convert_element_type",
)
def to(
    op: Emitter, x: ir.Value, *, dtype: torch.dtype | None = None, copy: bool = False, non_blocking: bool = False
) -> ir.Value:
    """Convert to a dtype; device and layout mean nothing in a file."""
    return x if dtype is None else op.cast(x, onnx_dtype(dtype))


@lowers("aten::to.other", "aten::type_as")
def to_like(op: Emitter, x: ir.Value, other: ir.Value, *, copy: bool = False) -> ir.Value:
    """Convert to the dtype of another tensor."""
    return x if other.dtype is None else op.cast(x, other.dtype)


@lowers(
    "aten::_cast_Byte",
    "aten::_cast_Char",
    "aten::_cast_Double",
    "aten::_cast_Float",
    "aten::_cast_Half",
    "aten::_cast_Int",
    "aten::_cast_Long",
    "aten::_cast_Short",
    "aten::chalf",
)
def to_result(op: Emitter, x: ir.Value, *, non_blocking: bool = False) -> ir.Value:
    """Convert to the dtype that the operator's name says."""
    return op.cast(x, op.result().dtype)


@lowers(
    "aten::clone",
    "aten::alias",
    "aten::alias_copy",
    "aten::detach",
    "aten::detach_copy",
    "aten::contiguous",
    "aten::lift",
    "aten::lift_fresh",
    "aten::lift_fresh_copy",
    "aten::pin_memory",
    "aten::_pin_memory",
    "aten::cpu",
    "aten::_fw_primal",
    "aten::_autocast_to_full_precision",
    "aten::data",
    "prims::view_of",
    "prims::clone",
    "prims::device_put",
)
def same(op: Emitter, x: ir.Value) -> ir.Value:
    """What gives the same numbers back; a symbolic number, kept as a vector, becomes the scalar that it is."""
    shape = op.result().shape if op.result_count else None
    if shape is not None and len(shape) == 0 and x.shape is not None and len(x.shape) == 1:
        return op.scalar(x, x.dtype or op.result().dtype)
    return x


@lowers("aten::dequantize.self")
def dequantize(op: Emitter, x: ir.Value) -> ir.Value:
    """Of a tensor that is not quantized, the numbers as float32."""
    return op.cast(x, ir.DataType.FLOAT)


@lowers("aten::copy", "prims::copy_to")
def copy(op: Emitter, x: ir.Value, source: ir.Value, *, non_blocking: bool = False) -> ir.Value:
    """Overwrite ``x`` with ``source``: its numbers, at the dtype and shape of ``x``."""
    converted = op.cast(source, x.dtype) if x.dtype is not None else source
    if x.shape is not None and source.shape is not None and list(x.shape) == list(source.shape):
        return converted
    return op.Expand(converted, op.sizes(x))


@lowers("aten::view.dtype", "prims::view_of_dtype")
def view_as_dtype(op: Emitter, x: ir.Value, *, dtype: torch.dtype) -> ir.Value:
    """Read the same bytes as another dtype of the same width."""
    wanted = onnx_dtype(dtype)
    if x.dtype == wanted:
        return x
    return op.BitCast(x, to=wanted)
