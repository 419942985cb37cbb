# SPDX-License-Identifier: Apache-2.0
"""The operators of PyTorch's ``quantized`` library, in terms of ordinary ones on the numbers that tensors mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from lading.passes.trace.quantized.packed import Packed
from lading.passes.trace.quantized.tensors import QuantizedTensor

if TYPE_CHECKING:
    from lading.passes.trace.quantized.calls import Quantization

Operator = Callable[..., Any]

OPERATORS: dict[str, Operator] = {}
"""The operators by name; each takes the quantization of the capture first, then the operator's own arguments."""


def _operator(*names: str) -> Callable[[Operator], Operator]:
    def register(function: Operator) -> Operator:
        for name in names:
            OPERATORS[name] = function
        return function

    return register


def _numbers(x: Any) -> Any:
    return x.values if isinstance(x, QuantizedTensor) else x


# ---- convolutions and linear layers ----------------------------------------------------------------------------------

_FORWARD = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def _convolved(q: Quantization, x: torch.Tensor, packed: Any, axes: int, transposed: bool) -> torch.Tensor:
    found = q.weight(packed, axes)
    # What is packed for one axis says the numbers of two.
    stride, padding, dilation = (list(item)[-axes:] for item in (found.strides, found.padding, found.dilation))
    if not transposed:
        return _FORWARD[axes](x, found.weight, found.bias, stride, padding, dilation, found.groups)
    extra = list(found.output_padding)[-axes:]
    return _TRANSPOSED[axes](x, found.weight, found.bias, stride, padding, extra, found.groups, dilation)


def _convolved_on_the_fly(
    q: Quantization, x: torch.Tensor, packed: Any, axes: int, transposed: bool, reduce_range: bool
) -> torch.Tensor:
    """Convolve what is quantized by its own range.

    PyTorch (aten/src/ATen/native/quantized/cpu/qconv_dynamic.cpp) puts the result on the grid of the input, whose ends
    cut it off.
    """
    numbers, grid = q.on_the_fly(x, reduce_range)
    result: torch.Tensor = q.quantized(_convolved(q, numbers, packed, axes, transposed), grid).values
    return result


def _register_convolutions(axes: int) -> None:
    @_operator(f"conv{axes}d")
    def convolution(q: Quantization, x: Any, packed: Any, *numbers: Any) -> Any:
        return q.requantized(_convolved(q, x.values, packed, axes, False), x, *numbers[-2:])

    @_operator(f"conv{axes}d_relu")
    def convolution_relu(q: Quantization, x: Any, packed: Any, *numbers: Any) -> Any:
        return q.requantized(F.relu(_convolved(q, x.values, packed, axes, False)), x, *numbers[-2:])

    @_operator(f"conv_transpose{axes}d")
    def transposed(q: Quantization, x: Any, packed: Any, *numbers: Any) -> Any:
        return q.requantized(_convolved(q, x.values, packed, axes, True), x, *numbers[-2:])

    @_operator(f"conv{axes}d_dynamic")
    def dynamic(q: Quantization, x: torch.Tensor, packed: Any, reduce_range: bool = False) -> torch.Tensor:
        return _convolved_on_the_fly(q, x, packed, axes, False, reduce_range)

    @_operator(f"conv_transpose{axes}d_dynamic")
    def dynamic_transposed(q: Quantization, x: torch.Tensor, packed: Any, reduce_range: bool = False) -> torch.Tensor:
        return _convolved_on_the_fly(q, x, packed, axes, True, reduce_range)


for _axes in (1, 2, 3):
    _register_convolutions(_axes)


@_operator("conv2d_add")
def _convolution_add(q: Quantization, x: Any, other: Any, packed: Any, scale: float, zero_point: int) -> Any:
    return q.requantized(_convolved(q, x.values, packed, 2, False) + other.values, x, scale, zero_point)


@_operator("conv2d_add_relu")
def _convolution_add_relu(q: Quantization, x: Any, other: Any, packed: Any, scale: float, zero_point: int) -> Any:
    return q.requantized(F.relu(_convolved(q, x.values, packed, 2, False) + other.values), x, scale, zero_point)


def _linear(q: Quantization, x: torch.Tensor, packed: Any) -> torch.Tensor:
    found = q.weight(packed)
    return F.linear(x, found.weight, found.bias)


def _register_linear(name: str, after: Callable[[torch.Tensor], torch.Tensor]) -> None:
    @_operator(f"linear{name}")
    def linear(q: Quantization, x: Any, packed: Any, scale: float, zero_point: int) -> Any:
        return q.requantized(after(_linear(q, x.values, packed)), x, scale, zero_point)

    @_operator(f"linear{name}_dynamic")
    def dynamic(q: Quantization, x: torch.Tensor, packed: Any, reduce_range: bool = False) -> torch.Tensor:
        return after(_linear(q, q.on_the_fly(x, reduce_range)[0], packed))

    @_operator(f"linear{name}_dynamic_fp16")
    def halves(q: Quantization, x: torch.Tensor, packed: Any) -> torch.Tensor:
        return after(_linear(q, x, packed))


_register_linear("", lambda y: y)
_register_linear("_relu", F.relu)
_register_linear("_tanh", torch.tanh)


@_operator("linear_leaky_relu")
def _linear_leaky_relu(q: Quantization, x: Any, packed: Any, scale: float, zero_point: int, slope: float) -> Any:
    return q.requantized(F.leaky_relu(_linear(q, x.values, packed), slope), x, scale, zero_point)


# ---- packing while the model runs ------------------------------------------------------------------------------------


def _packed(q: Quantization, weight: Any, bias: Any, *geometry: Any) -> Packed:
    if not isinstance(weight, QuantizedTensor):
        raise q.cannot("a weight is packed that is not quantized")
    return Packed(weight.values, bias, weight.ints, weight.grid, *geometry)


@_operator("linear_prepack")
def _packed_linear(q: Quantization, weight: Any, bias: Any = None) -> Packed:
    return _packed(q, weight, bias)


@_operator("linear_prepack_fp16")
def _packed_halves(q: Quantization, weight: Any, bias: Any = None) -> Packed:
    return Packed(weight.half().float(), bias)


@_operator("conv1d_prepack", "conv2d_prepack", "conv3d_prepack", "conv_prepack")
def _packed_convolution(
    q: Quantization, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Packed:
    return _packed(q, weight, bias, tuple(stride), tuple(padding), (), tuple(dilation), groups)


@_operator("conv_transpose1d_prepack", "conv_transpose2d_prepack", "conv_transpose3d_prepack")
def _packed_transposed(
    q: Quantization,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
) -> Packed:
    return _packed(q, weight, bias, tuple(stride), tuple(padding), tuple(output_padding), tuple(dilation), groups)


# ---- pointwise -------------------------------------------------------------------------------------------------------


def _register_pointwise(name: str, combine: Callable[[Any, Any], torch.Tensor]) -> None:
    @_operator(name)
    def plain(q: Quantization, a: Any, b: Any, scale: Any = None, zero_point: Any = None) -> Any:
        if scale is None:
            return _with_number(q, name, a, b, False)
        return q.requantized(combine(_numbers(a), _numbers(b)), a, scale, zero_point)

    @_operator(f"{name}_relu")
    def rectified(q: Quantization, a: Any, b: Any, scale: Any = None, zero_point: Any = None) -> Any:
        if scale is None:
            return _with_number(q, name, a, b, True)
        return q.requantized(F.relu(combine(_numbers(a), _numbers(b))), a, scale, zero_point)

    @_operator(f"{name}_scalar")
    def with_number(q: Quantization, a: Any, b: Any) -> Any:
        return _with_number(q, name, a, b, False)

    @_operator(f"{name}_scalar_relu")
    def with_number_rectified(q: Quantization, a: Any, b: Any) -> Any:
        return _with_number(q, name, a, b, True)


def _with_number(q: Quantization, name: str, a: Any, b: Any, rectify: bool) -> Any:
    """Add or multiply by a number, which moves the grid instead of the integers as far as it can.

    The rules are those of aten/src/ATen/native/quantized/cpu/qadd.cpp and qmul.cpp.
    """
    if not isinstance(a, QuantizedTensor):
        a, b = b, a
    number, grid = q.number(b), a.grid
    if not isinstance(number, (int, float)) or isinstance(grid.scale, torch.Tensor):
        raise q.cannot("a quantized tensor is combined with a number that only the run knows")
    storage, scale, zero = grid.storage, float(grid.scale), int(grid.zero_point)
    values = a.values + number if name == "add" else a.values * number
    if name == "add":
        moved = zero - round(number / scale)
        if moved < storage.low:
            scale, moved = (storage.high - moved) / (storage.high - storage.low) * scale, storage.low
        elif moved > storage.high:
            scale, moved = (moved - storage.low) / (storage.high - storage.low) * scale, storage.high
        zero = moved
    elif number > 0:
        scale *= number
    elif number == 0:
        scale, zero = 1.0, 0
    else:
        scale, zero = scale * -number, storage.high - (zero - storage.low)
    return q.requantized(F.relu(values) if rectify else values, a, scale, zero)


_register_pointwise("add", lambda a, b: a + b)
_register_pointwise("mul", lambda a, b: a * b)


@_operator("matmul")
def _matmul(q: Quantization, a: Any, b: Any, scale: float, zero_point: int) -> Any:
    return q.requantized(torch.matmul(a.values, b.values), a, scale, zero_point)


def _joined(q: Quantization, parts: Any, dim: int, scale: Any, zero_point: Any, rectify: bool) -> Any:
    values = torch.cat([part.values for part in parts], dim)
    grid = parts[0].grid
    scale = grid.scale if scale is None else scale
    zero_point = grid.zero_point if zero_point is None else zero_point
    return q.requantized(F.relu(values) if rectify else values, parts[0], scale, zero_point)


@_operator("cat")
def _cat(q: Quantization, parts: Any, dim: int, scale: Any = None, zero_point: Any = None) -> Any:
    return _joined(q, parts, dim, scale, zero_point, False)


@_operator("cat_relu")
def _cat_relu(q: Quantization, parts: Any, dim: int, scale: Any = None, zero_point: Any = None) -> Any:
    return _joined(q, parts, dim, scale, zero_point, True)


# ---- activations -----------------------------------------------------------------------------------------------------


@_operator("hardswish")
def _hardswish(q: Quantization, x: Any, scale: float, zero_point: int) -> Any:
    return q.requantized(F.hardswish(x.values), x, scale, zero_point)


@_operator("elu")
def _elu(
    q: Quantization, x: Any, scale: float, zero_point: int, alpha: Any = 1, factor: Any = 1, input_scale: Any = 1
) -> Any:
    if factor != 1 or input_scale != 1:
        raise q.cannot("quantized::elu with factors has no form in a graph")
    return q.requantized(F.elu(x.values, alpha), x, scale, zero_point)


@_operator("celu")
def _celu(q: Quantization, x: Any, scale: float, zero_point: int, alpha: Any = 1) -> Any:
    return q.requantized(F.celu(x.values, alpha), x, scale, zero_point)


@_operator("leaky_relu")
def _leaky_relu(q: Quantization, x: Any, negative_slope: Any, inplace: bool, scale: float, zero_point: int) -> Any:
    return q.requantized(F.leaky_relu(x.values, negative_slope), x, scale, zero_point)


@_operator("prelu")
def _prelu(q: Quantization, x: Any, weight: Any, scale: float, zero_point: int) -> Any:
    return q.requantized(F.prelu(x.values, _numbers(weight)), x, scale, zero_point)


@_operator("sigmoid")
def _sigmoid(q: Quantization, x: Any, scale: float, zero_point: int) -> Any:
    return q.requantized(torch.sigmoid(x.values), x, scale, zero_point)


@_operator("softmax")
def _softmax(q: Quantization, x: Any, dim: int, scale: float, zero_point: int) -> Any:
    return q.requantized(torch.softmax(x.values, dim), x, scale, zero_point)


@_operator("dropout")
def _dropout(q: Quantization, x: Any, scale: float, zero_point: int, p: Any = 0.5, training: bool = False) -> Any:
    return x


@_operator("relu6")
def _relu6(q: Quantization, x: Any, inplace: bool = False) -> Any:
    return q.quantized(F.relu6(x.values), x.grid)


@_operator("clamp")
def _clamp(q: Quantization, x: Any, min: Any = None, max: Any = None) -> Any:
    return q.quantized(torch.clamp(x.values, min, max), x.grid)


@_operator("threshold")
def _threshold(q: Quantization, x: Any, threshold: Any, value: Any) -> Any:
    return q.quantized(F.threshold(x.values, threshold, value), x.grid)


@_operator("max_pool1d")
def _max_pool1d(q: Quantization, x: Any, *windows: Any) -> Any:
    return q.quantized(F.max_pool1d(x.values, *windows), x.grid)


@_operator("max_pool2d")
def _max_pool2d(q: Quantization, x: Any, *windows: Any) -> Any:
    return q.quantized(F.max_pool2d(x.values, *windows), x.grid)


# ---- normalizations --------------------------------------------------------------------------------------------------


def _register_batch_norm(name: str, after: Callable[[torch.Tensor], torch.Tensor]) -> None:
    @_operator(*(f"batch_norm{axes}{name}" for axes in ("", "1d", "2d", "3d")))
    def batch_norm(
        q: Quantization, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float, scale: float, zero_point: int
    ) -> Any:
        return q.requantized(
            after(F.batch_norm(x.values, mean, var, weight, bias, False, 0.0, eps)), x, scale, zero_point
        )


_register_batch_norm("", lambda y: y)
_register_batch_norm("_relu", F.relu)


@_operator("layer_norm")
def _layer_norm(
    q: Quantization, x: Any, shape: Any, weight: Any, bias: Any, eps: float, scale: float, zero_point: int
) -> Any:
    return q.requantized(F.layer_norm(x.values, shape, weight, bias, eps), x, scale, zero_point)


@_operator("group_norm")
def _group_norm(
    q: Quantization, x: Any, groups: int, weight: Any, bias: Any, eps: float, scale: float, zero_point: int
) -> Any:
    return q.requantized(F.group_norm(x.values, groups, weight, bias, eps), x, scale, zero_point)


@_operator("instance_norm")
def _instance_norm(q: Quantization, x: Any, weight: Any, bias: Any, eps: float, scale: float, zero_point: int) -> Any:
    y = F.instance_norm(x.values, weight=weight, bias=bias, eps=eps)
    return q.requantized(y, x, scale, zero_point)


# ---- embeddings ------------------------------------------------------------------------------------------------------


def _rows(q: Quantization, packed: Any, indices: torch.Tensor | None) -> torch.Tensor:
    """Return rows of a packed table as numbers: integers less an offset, times a scale."""
    found = q.weight(packed)
    assert found.ints is not None
    assert found.grid is not None
    parts: tuple[Any, ...] = (found.ints, found.grid.scale, found.grid.zero_point)
    if indices is not None:
        parts = tuple(torch.index_select(part, 0, indices.reshape(-1)) for part in parts)
    ints, scales, offsets = parts
    rows = (ints.to(torch.float32) - offsets.unsqueeze(-1)) * scales.unsqueeze(-1)
    return rows if indices is None else rows.reshape([*indices.shape, rows.shape[-1]])


@_operator("embedding_byte", "embedding_4bit")
def _embedding(q: Quantization, packed: Any, indices: torch.Tensor, pruned_weights: bool = False) -> torch.Tensor:
    return _rows(q, packed, indices)


@_operator("embedding_bag_byte", "embedding_bag_4bit")
def _embedding_bag(
    q: Quantization,
    packed: Any,
    indices: torch.Tensor,
    offsets: Any = None,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    pruned_weights: bool = False,
    per_sample_weights: Any = None,
    compressed_indices_mapping: Any = None,
    include_last_offset: bool = False,
) -> torch.Tensor:
    if pruned_weights or compressed_indices_mapping is not None:
        raise q.cannot("a pruned quantized table has no form in a graph")
    return F.embedding_bag(
        indices,
        _rows(q, packed, None),
        offsets,
        mode="sum",
        per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset,
    )


# ---- cells of recurrent layers ---------------------------------------------------------------------------------------


def _gates(q: Quantization, x: Any, h: Any, w_ih: Any, w_hh: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return _linear(q, q.on_the_fly(x, True)[0], w_ih), _linear(q, q.on_the_fly(h, True)[0], w_hh)


@_operator("quantized_lstm_cell_dynamic")
def _lstm_cell(q: Quantization, x: Any, hx: Any, w_ih: Any, w_hh: Any, *biases: Any) -> Any:
    of_input, of_hidden = _gates(q, x, hx[0], w_ih, w_hh)
    i, f, g, o = (of_input + of_hidden).chunk(4, 1)
    c = torch.sigmoid(f) * hx[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@_operator("quantized_gru_cell_dynamic")
def _gru_cell(q: Quantization, x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any) -> Any:
    of_input, of_hidden = _gates(q, x, h, w_ih, w_hh)
    (ri, zi, ni), (rh, zh, nh) = of_input.chunk(3, 1), of_hidden.chunk(3, 1)
    z = torch.sigmoid(zi + zh)
    n = torch.tanh(ni + torch.sigmoid(ri + rh) * nh)
    return n + z * (h - n)


@_operator("quantized_rnn_tanh_cell_dynamic")
def _rnn_tanh_cell(q: Quantization, x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any) -> Any:
    of_input, of_hidden = _gates(q, x, h, w_ih, w_hh)
    return torch.tanh(of_input + of_hidden)


@_operator("quantized_rnn_relu_cell_dynamic")
def _rnn_relu_cell(q: Quantization, x: Any, h: Any, w_ih: Any, w_hh: Any, *biases: Any) -> Any:
    of_input, of_hidden = _gates(q, x, h, w_ih, w_hh)
    return torch.relu(of_input + of_hidden)
