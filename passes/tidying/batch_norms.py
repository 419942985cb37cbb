# SPDX-License-Identifier: Apache-2.0
"""The arithmetic and the edits of folding a BatchNormalization into the linear operator before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import onnx_ir as ir
import torch
from lading.passes.tidying.graph_edits import (
    Names,
    constant_tensor,
    dims_of,
    float_of,
    int_of,
    remove_node,
    take_place,
    unused,
)
from lading.passes.weights import ComputedWeight, Weight

if TYPE_CHECKING:
    from lading.pipeline.note import Note

_EPSILON = 1e-5  # the default of the ONNX operator


@attrs.frozen
class _Affine:
    """y = x * factor + shift for each channel, in double precision; computed when asked for."""

    scale: ir.TensorProtocol
    offset: ir.TensorProtocol
    mean: ir.TensorProtocol
    variance: ir.TensorProtocol
    epsilon: float

    @property
    def sources(self) -> tuple[ir.TensorProtocol, ...]:
        return (self.scale, self.offset, self.mean, self.variance)

    @property
    def channels(self) -> int:
        return dims_of(self.scale)[0]

    def factor(self) -> torch.Tensor:
        return _doubles(self.scale) / torch.sqrt(_doubles(self.variance) + self.epsilon)

    def shift(self, bias: torch.Tensor | None) -> torch.Tensor:
        centred = -_doubles(self.mean) if bias is None else bias - _doubles(self.mean)
        return centred * self.factor() + _doubles(self.offset)


def fold(model: ir.Model, norm: ir.Node, note: Note) -> str | None:
    """Fold one normalisation; return why not, if it cannot be."""
    if int_of(norm, "training_mode", 0) or not unused(norm.outputs[1:]):
        return "it is in training form"
    if not int_of(norm, "spatial", 1):
        return "it has statistics for each element (spatial = 0)"
    source = norm.inputs[0]
    scale, offset, mean, variance = (constant_tensor(value) for value in norm.inputs[1:5])
    if scale is None or offset is None or mean is None or variance is None:
        return "its scale, shift or statistics are not constant"
    linear = None if source is None else source.producer()
    if source is None or linear is None or linear.domain not in ("", "ai.onnx") or linear.op_type not in _ROWS:
        return "no linear operator is before it"
    if len(source.uses()) > 1 or source.is_graph_output() or linear.graph is not norm.graph:
        return "its input is used elsewhere too"
    weight_value = linear.inputs[1]
    weight = constant_tensor(weight_value)
    if weight is None or weight_value is None or not weight_value.is_initializer():
        return "the weight before it is not a constant"
    if len(weight_value.uses()) > 1 or weight_value.is_graph_output():
        return "the weight before it is used elsewhere too"
    if weight.dtype not in (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
        return "the weight before it is not of a floating-point type"
    affine = _Affine(scale, offset, mean, variance, float_of(norm, "epsilon", _EPSILON))
    rows = _ROWS[linear.op_type](linear, weight, affine)
    if rows is None:
        return "its channels are not those of the operator before it"
    bias_value = linear.inputs[2] if len(linear.inputs) > 2 else None
    bias = constant_tensor(bias_value)
    if bias_value is not None and (bias is None or not _fits(bias, affine)):
        return "the bias before it is not a constant for each channel"
    _set_bias(model, linear, norm, bias_value, bias, affine, weight.dtype)
    weight_value.const_value = ComputedWeight(
        rows,
        weight.dtype,
        dims_of(weight),
        what=f"{linear.op_type} weight with BatchNormalization folded, epsilon {affine.epsilon!r}",
        sources=(weight, *affine.sources),
        name=weight_value.name,
        parameter=_parameter(weight) or weight_value.name,
    )
    if linear.op_type == "MatMul":
        linear.op_type = "Gemm"
    take_place(norm.outputs[0], source)
    remove_node(norm)
    note.count(f"folded into {linear.op_type}")
    return None


def _set_bias(
    model: ir.Model,
    linear: ir.Node,
    norm: ir.Node,
    bias_value: ir.Value | None,
    bias: ir.TensorProtocol | None,
    affine: _Affine,
    dtype: ir.DataType,
) -> None:
    """Give the operator the folded bias, under the name of its own, else of the normalisation's."""
    beta = float_of(linear, "beta", 1.0) if linear.op_type == "Gemm" else 1.0

    def rows(start: int, stop: int) -> torch.Tensor:
        old = None if bias is None else _doubles(bias).reshape(-1) * beta
        return affine.shift(old).to(_torch(dtype))[start:stop]

    sources = (*affine.sources, *(() if bias is None else (bias,)))
    what = f"bias with BatchNormalization folded, epsilon {affine.epsilon!r}, beta {beta!r}"
    home = bias_value or norm.inputs[2]
    assert home is not None
    computed = ComputedWeight(
        rows,
        dtype,
        (affine.channels,),
        what=what,
        sources=sources,
        parameter=_parameter(affine.offset if bias is None else bias) or home.name,
    )
    if home.is_initializer() and len(home.uses()) == 1 and not home.is_graph_output():
        home.const_value, home.shape, home.type = computed, ir.Shape([affine.channels]), ir.TensorType(dtype)
        computed.name = home.name
    else:
        name = Names(model).fresh(f"{home.name}_folded")
        home = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape([affine.channels]), const_value=computed)
        model.graph.register_initializer(home)
    if len(linear.inputs) < 3:
        linear.resize_inputs(3)
    linear.replace_input_with(2, home)
    if norm.inputs[2] is home:
        norm.replace_input_with(2, None)
    if "beta" in linear.attributes:
        del linear.attributes["beta"]


Rows = Callable[[int, int], torch.Tensor]


def _conv(linear: ir.Node, weight: ir.TensorProtocol, affine: _Affine) -> Rows | None:
    """Rows of a Conv weight (out, in / group, ...) are output channels."""
    if weight.shape[0] != affine.channels:
        return None
    return lambda start, stop: _scaled(weight, start, stop, _along(affine.factor()[start:stop], weight, 0))


def _conv_transpose(linear: ir.Node, weight: ir.TensorProtocol, affine: _Affine) -> Rows | None:
    """Rows of a ConvTranspose weight (in, out / group, ...) are input channels, each with its group's outputs."""
    group = int_of(linear, "group", 1)
    inputs, each = dims_of(weight)[:2]
    if each * group != affine.channels or inputs % group:
        return None

    def rows(start: int, stop: int) -> torch.Tensor:
        by_group = affine.factor().reshape(group, each)
        factor = by_group[torch.arange(start, stop) // (inputs // group)]
        return _scaled(weight, start, stop, factor.reshape(stop - start, each, *[1] * (len(weight.shape) - 2)))

    return rows


def _gemm(linear: ir.Node, weight: ir.TensorProtocol, affine: _Affine) -> Rows | None:
    if int_of(linear, "transB", 0):
        return _conv(linear, weight, affine)
    return _columns(weight, affine)


def _matmul(linear: ir.Node, weight: ir.TensorProtocol, affine: _Affine) -> Rows | None:
    left = linear.inputs[0]
    if left is None or left.shape is None or len(left.shape) != 2:
        return None  # the channels of a normalisation are axis 1, which is the last only in two dimensions
    return _columns(weight, affine)


def _columns(weight: ir.TensorProtocol, affine: _Affine) -> Rows | None:
    if len(weight.shape) != 2 or weight.shape[1] != affine.channels:
        return None
    return lambda start, stop: _scaled(weight, start, stop, affine.factor())


_ROWS: dict[str, Callable[[ir.Node, ir.TensorProtocol, _Affine], Rows | None]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
}


def _parameter(tensor: ir.TensorProtocol) -> str | None:
    return tensor.view_name if isinstance(tensor, Weight) else getattr(tensor, "parameter", None)


def _fits(bias: ir.TensorProtocol, affine: _Affine) -> bool:
    """Whether a bias is one number for each channel, or one for all."""
    shape = tuple(bias.shape)
    return bias.size in (1, affine.channels) and all(size == 1 for size in shape[:-1])


def _along(factor: torch.Tensor, weight: ir.TensorProtocol, axis: int) -> torch.Tensor:
    shape = [1] * len(weight.shape)
    shape[axis] = -1
    return factor.reshape(shape)


def _scaled(weight: ir.TensorProtocol, start: int, stop: int, factor: torch.Tensor) -> torch.Tensor:
    part = _as_torch(weight, start, stop)
    return (part.double() * factor).to(part.dtype)


def _doubles(tensor: ir.TensorProtocol) -> torch.Tensor:
    return _as_torch(tensor, 0, None).double()


def _as_torch(tensor: ir.TensorProtocol, start: int, stop: int | None) -> torch.Tensor:
    if isinstance(tensor, Weight):
        whole = tensor.data()
        return (whole[start:stop] if whole.dim() else whole).cpu()
    array = tensor.numpy()
    if tensor.dtype == ir.DataType.BFLOAT16:
        array = array.astype("float32")
    found = torch.from_numpy(array.copy()).to(_torch(tensor.dtype))
    return found[start:stop] if found.dim() else found


def _torch(dtype: ir.DataType) -> torch.dtype:
    from lading.passes.weights import torch_dtype

    return torch_dtype(dtype)
