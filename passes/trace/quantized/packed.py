# SPDX-License-Identifier: Apache-2.0
"""The parameters that PyTorch packs for its quantized kernels, taken apart again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import torch
from lading.passes import torch_private
from lading.passes.trace.quantized.tensors import Grid

if TYPE_CHECKING:
    from lading.passes.trace.quantized.calls import Quantization


@attrs.frozen
class Packed:
    """A weight as the numbers that it means, its bias, and what else was packed with them."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    ints: torch.Tensor | None = None
    grid: Grid | None = None
    strides: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1


def unpacked(q: Quantization, packed: Any, axes: int | None = None) -> Packed:
    """Take a packed parameter apart: of a linear layer, a convolution or an embedding.

    Args:
        q: the quantization of the capture.
        packed: the parameter.
        axes: how many spatial axes a convolution has; one axis is packed like two.

    Raises:
        CaptureError: it is packed in a way that is not known.
    """
    kind = torch_private.class_name(packed)
    library = torch.ops.quantized
    with torch_private.unseen():
        if kind == "EmbeddingPackedParamsBase":
            weight, bias = library.embedding_bag_unpack(packed), None
        elif kind == "LinearPackedParamsBase":
            weight, bias = _linear(packed)
        elif kind in _CONVOLUTIONS:
            weight, bias = getattr(library, f"conv{axes}d_unpack")(packed)
        else:
            raise q.cannot(f"parameters packed as {kind or type(packed).__name__} have no form in a graph")
        weight = weight.detach()
        bias = None if bias is None else bias.detach().clone()
    found = attrs.evolve(integers_of(q, weight), bias=None if bias is None else q.named(bias, "bias"))
    if kind not in _CONVOLUTIONS:
        return found

    def asked(what: str) -> Any:
        return getattr(library, f"conv{_CONVOLUTIONS[kind]}_{what}")(packed)

    with torch_private.unseen():
        return attrs.evolve(
            found,
            strides=tuple(asked("stride")),
            padding=tuple(asked("padding")),
            output_padding=tuple(asked("output_padding")),
            dilation=tuple(asked("dilation")),
            groups=asked("groups"),
        )


_CONVOLUTIONS = {"Conv2dPackedParamsBase": "2d", "Conv3dPackedParamsBase": "3d"}
"""What is packed for convolutions; those of one axis are packed as of two."""


def _linear(packed: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return weight and bias of a linear layer, whose weight is of integers or of halves."""
    try:
        return torch.ops.quantized.linear_unpack(packed)
    except RuntimeError:
        return torch.ops.quantized.linear_unpack_fp16(packed)


def integers_of(q: Quantization, weight: torch.Tensor) -> Packed:
    """Write a weight down as its integers with their grid; one of halves or floats as it is."""
    if not weight.is_quantized:
        with torch_private.unseen():
            plain = weight.clone()
        return Packed(q.named(plain, "weight"), None)
    with torch_private.unseen():
        scheme = weight.qscheme()
        if weight.dtype == torch.quint4x2 or scheme == torch.per_channel_affine_float_qparams:
            # Two numbers share a byte, or zero points lie between integers: a scale and an offset for each row.
            return _by_rows(q, weight)
        ints = weight.int_repr()
        if scheme in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            grid = Grid(weight.dtype, weight.q_scale(), weight.q_zero_point())
        else:
            scales = weight.q_per_channel_scales().to(torch.float32)
            grid = Grid(weight.dtype, scales, weight.q_per_channel_zero_points(), weight.q_per_channel_axis())
    if isinstance(grid.scale, torch.Tensor):
        q.named(grid.scale, "weight_scale")
        q.named(grid.zero_point, "weight_zero_point")
    ints = q.named(ints, "weight")
    return Packed(q.dequantized(ints, grid), None, ints, grid)


def _by_rows(q: Quantization, weight: torch.Tensor) -> Packed:
    scales = weight.q_per_channel_scales().to(torch.float32)
    offsets = weight.q_per_channel_zero_points().to(torch.float32)
    ints = torch.round(weight.dequantize() / scales[:, None] + offsets[:, None]).to(torch.uint8)
    names = ("weight", "weight_scale", "weight_zero_point")
    ints, scales, offsets = (q.named(item, name) for item, name in zip((ints, scales, offsets), names, strict=True))
    grid = Grid(weight.dtype, scales, offsets, 0)
    return Packed(weight, None, ints, grid)
