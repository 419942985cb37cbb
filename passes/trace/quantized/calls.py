# SPDX-License-Identifier: Apache-2.0
"""Calls with quantized tensors, made on the numbers that they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from lading.passes import torch_private
from lading.passes.trace.quantized.operators import OPERATORS, Operator
from lading.passes.trace.quantized.packed import Packed, integers_of, unpacked
from lading.passes.trace.quantized.tensors import Grid, QuantizedTensor, members, replaced
from lading.pipeline.errors import CaptureError

if TYPE_CHECKING:
    from lading.passes.trace.recorder import Recorder

# Whose result holds numbers of its arguments alone (or the zero, or an end, of the grid): the grid stays.
_MOVE = frozenset(
    {"__getitem__", "alias", "amax", "amin", "channel_shuffle", "chunk", "clone", "contiguous", "detach", "dropout",
     "expand", "feature_dropout", "flatten", "flip", "identity", "index_select", "max", "max_pool1d", "max_pool2d",
     "max_pool3d", "min", "movedim", "narrow", "permute", "pixel_shuffle", "pixel_unshuffle", "relu", "relu_", "repeat",
     "reshape", "select", "slice", "split", "squeeze", "t", "topk", "transpose", "unbind", "unflatten", "unsqueeze",
     "view", "_unsafe_view", "sort", "max_pool1d_with_indices", "max_pool2d_with_indices", "to", "cpu", "pad",
     "masked_fill", "unfold", "swapaxes", "tile", "view_as", "reshape_as", "expand_as"}
)  # fmt: skip

# Whose result is new numbers, which PyTorch puts on the grid of the (first) argument.
_STAY_ON_GRID = frozenset(
    {"_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
     "adaptive_avg_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "cat", "clamp", "clip", "concat", "elu",
     "hardtanh", "hardtanh_", "interpolate", "leaky_relu", "leaky_relu_", "mean", "relu6", "stack", "threshold",
     "upsample_bilinear2d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample"}
)  # fmt: skip

# Whose results have a grid that PyTorch fixes, by type: aten/src/ATen/native/quantized/cpu/qsigmoid.cpp and its kin.
_FIXED: dict[str, dict[torch.dtype, tuple[float, int]]] = {
    "sigmoid": {torch.quint8: (1 / 256, 0), torch.qint8: (1 / 256, -128)},
    "hardsigmoid": {torch.quint8: (1 / 256, 0), torch.qint8: (1 / 256, -128)},
    "tanh": {torch.quint8: (2 / 256, 128), torch.qint8: (2 / 256, 0)},
}


class Quantization:
    """Makes and computes with the quantized tensors of one recording."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.mode: Any = None
        """The mode that keeps composites whole; calls on numbers are made under it."""
        self._packed: dict[int, tuple[Any, Packed]] = {}
        self._asked: dict[str, Callable[..., Any]] = {
            "dequantize": lambda x: x.values,
            "int_repr": lambda x: x.ints,
            "q_scale": lambda x: x.grid.scale,
            "q_zero_point": lambda x: x.grid.zero_point,
            "q_per_channel_scales": lambda x: x.grid.scale,
            "q_per_channel_zero_points": lambda x: x.grid.zero_point,
            "q_per_channel_axis": lambda x: x.grid.axis,
            "qscheme": lambda x: torch.per_tensor_affine if x.grid.axis is None else torch.per_channel_affine,
        }

    # ---- calls -------------------------------------------------------------------------------------------------------

    def method(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Make a call as the user's code writes it."""
        return self.call(func, args, kwargs)

    def concerns(self, operator: Any, args: Any) -> bool:
        """Whether a call of an operator takes or makes quantized tensors."""
        domain, _, name = torch_private.operator_name(operator).partition("::")
        return domain == "quantized" or name in _MAKERS or bool(members(args))

    def call(self, func: Any, args: Any, kwargs: Any, run: Callable[..., Any] | None = None) -> Any:
        """Make a call of a function or an operator that takes or makes quantized tensors.

        Args:
            func: the function, method or operator.
            args: its positional arguments.
            kwargs: its keyword arguments.
            run: makes the call on numbers, where that is not simply calling `func`.

        Raises:
            CaptureError: it is not known what the call means for quantized tensors.
        """
        if self.mode is None:
            from lading.passes.trace.composites import Composites

            self.mode = Composites(self.recorder)
        args, kwargs = replaced(args, self._adopted), replaced(kwargs, self._adopted)
        with self.mode:
            if torch_private.is_operator(func):
                domain, _, name = torch_private.operator_name(func).partition("::")
                if domain == "quantized":
                    return self._operator(name)(self, *args, **kwargs)
            else:
                name = getattr(func, "__name__", str(func))
            maker = _MAKERS.get(name)
            if maker is not None:
                return maker(self, *args, **kwargs)
            return self._function(run or func, name, args, kwargs)

    def _adopted(self, item: Any) -> Any:
        """Take a quantized tensor that the model holds as one of the capture's."""
        if not isinstance(item, torch.Tensor) or not item.is_quantized:
            return item
        known = self._packed.get(id(item))
        if known is None:
            known = self._packed[id(item)] = (item, integers_of(self, item))
        found = known[1]
        if found.ints is None or found.grid is None or found.weight is item:
            raise self.cannot(f"a tensor quantized by {item.qscheme()} has no form in a graph")
        return QuantizedTensor(self, found.ints, found.weight, found.grid)

    def _operator(self, name: str) -> Operator:
        found = OPERATORS.get(name)
        if found is None:
            raise self.cannot(f"the operator quantized::{name} has no form in a graph")
        return found

    def _function(self, run: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
        first = members((args, kwargs))[0]
        asked = self._asked.get(name)
        if asked is not None:
            return asked(first)
        if name not in _MOVE and name not in _STAY_ON_GRID and name not in _FIXED:
            raise self.cannot(f"it is not known what {name} makes of a quantized tensor")
        result = run(*replaced(args, _values), **replaced(kwargs, _values))
        if name in _FIXED:
            scale, zero_point = _FIXED[name][first.dtype]
            return self.quantized(result, Grid(first.dtype, scale, zero_point))
        if name in _STAY_ON_GRID:
            return self.quantized(result, first.grid)
        # A grid for each channel belongs to an axis, which such a function may move.
        if first.grid.axis is not None and name not in ("clone", "detach", "contiguous", "to", "cpu", "alias"):
            raise self.cannot(f"{name} of a tensor that is quantized by channels has no form in a graph")
        return self._on_grid(result, first.grid)

    def _on_grid(self, result: Any, grid: Grid) -> Any:
        """Take numbers that lie on a grid already as a quantized tensor; what are no numbers (positions) stay."""
        if isinstance(result, torch.Tensor):
            return self.quantized(result, grid) if result.is_floating_point() else result
        if isinstance(result, (tuple, list)):
            items = [self._on_grid(item, grid) for item in result]
            return type(result)(items) if type(result) in (tuple, list) else tuple(items)
        return result

    def cannot(self, what: str) -> CaptureError:
        """Return the error for a call that cannot be captured."""
        where = self.recorder.places.line() or None
        return CaptureError(what, where=where, hint="dequantize before the call and quantize after it")

    # ---- quantized tensors -------------------------------------------------------------------------------------------

    def number(self, value: Any) -> Any:
        """Return a number that is given as a number or as a tensor of one element whose value is known."""
        if not isinstance(value, torch.Tensor):
            return value
        known = self.recorder.known(value)
        if known is None:
            return value.reshape(())
        with torch_private.unseen():
            return known.item()

    def quantized(self, values: torch.Tensor, grid: Grid) -> QuantizedTensor:
        """Put numbers on a grid."""
        operators, storage = torch_private.quantized_decomposed(), grid.storage
        bounds = (storage.low, storage.high, storage.dtype)
        scale, zero_point = grid.scale, grid.zero_point
        if grid.axis is not None:
            ints = operators.quantize_per_channel.default(values, scale, zero_point, grid.axis, *bounds)
        elif isinstance(scale, torch.Tensor) or isinstance(zero_point, torch.Tensor):
            scale, zero_point = torch.as_tensor(scale), torch.as_tensor(zero_point)
            ints = operators.quantize_per_tensor.tensor(values, scale, zero_point, *bounds)
        else:
            ints = operators.quantize_per_tensor.default(values, float(scale), int(zero_point), *bounds)
        return QuantizedTensor(self, ints, self.dequantized(ints, grid), grid)

    def dequantized(self, ints: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Return the numbers that integers on a grid mean."""
        operators, storage = torch_private.quantized_decomposed(), grid.storage
        bounds = (storage.low, storage.high, storage.dtype)
        scale, zero_point = grid.scale, grid.zero_point
        if grid.axis is not None:
            return operators.dequantize_per_channel.default(ints, scale, zero_point, grid.axis, *bounds)
        if isinstance(scale, torch.Tensor) or isinstance(zero_point, torch.Tensor):
            scale, zero_point = torch.as_tensor(scale), torch.as_tensor(zero_point)
            return operators.dequantize_per_tensor.tensor(ints, scale, zero_point, *bounds)
        return operators.dequantize_per_tensor.default(ints, float(scale), int(zero_point), *bounds)

    def requantized(self, values: torch.Tensor, like: Any, scale: Any, zero_point: Any) -> QuantizedTensor:
        """Put a result on a grid of its own, of the type of an argument."""
        dtype = like.dtype if isinstance(like, QuantizedTensor) else torch.quint8
        return self.quantized(values, Grid(dtype, self.number(scale), self.number(zero_point)))

    def on_the_fly(self, values: torch.Tensor, reduce_range: bool) -> tuple[torch.Tensor, Grid]:
        """Quantize by the range that a tensor turns out to have: the numbers that the integers mean, and their grid.

        An observer that has seen nothing takes the range of the first tensor, by the rule of PyTorch's dynamic kernels.
        """
        with torch_private.unseen():
            on, unseen = torch.ones(1, dtype=torch.int64), torch.full([1], torch.inf)
            scale, zero_point = torch.ones(1), torch.zeros(1, dtype=torch.int32)
            parameters = (on, on.clone(), unseen, -unseen, scale, zero_point)
        high = 127 if reduce_range else 255
        observed = torch_private.observed_fake_quantization()
        numbers, _, _, _, scale, zero_point = observed(values, *parameters, 1.0, 0, high, -1, False, False)
        return numbers, Grid(torch.quint8, scale.reshape(()), zero_point.reshape(()))

    # ---- weights -----------------------------------------------------------------------------------------------------

    def weight(self, packed: Any, axes: int | None = None) -> Packed:
        """Return what a packed parameter holds, with its weight as the numbers that its integers mean.

        `axes` says how many spatial axes a convolution has.
        """
        if isinstance(packed, Packed):
            return packed
        known = self._packed.get(id(packed))
        if known is None:
            # The object is kept with it: a freed one's id is used again.
            known = self._packed[id(packed)] = (packed, unpacked(self, packed, axes))
        return known[1]

    def named(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """Let a tensor be a weight of the module that runs."""
        path = f"{self.recorder.places.module}.{name}".lstrip(".")
        count, unique = 0, path
        while unique in self.recorder.initializers:
            count += 1
            unique = f"{path}_{count}"
        self.recorder.bind_weight(tensor, unique, tensor)
        return tensor


def _values(item: Any) -> Any:
    return item.values if isinstance(item, QuantizedTensor) else item


# ---- functions that make quantized tensors ---------------------------------------------------------------------------


def _per_tensor(q: Quantization, input: Any, scale: Any, zero_point: Any, dtype: torch.dtype) -> Any:
    return q.quantized(input, Grid(dtype, q.number(scale), q.number(zero_point)))


def _per_channel(q: Quantization, input: Any, scales: Any, zero_points: Any, axis: int, dtype: torch.dtype) -> Any:
    if zero_points.is_floating_point():
        raise q.cannot("a tensor quantized with zero points that are no integers has no form in a graph")
    return q.quantized(input, Grid(dtype, scales, zero_points, axis))


def _dequantize(q: Quantization, input: Any) -> Any:
    if isinstance(input, (tuple, list)):
        return tuple(_dequantize(q, item) for item in input)
    return input.values if isinstance(input, QuantizedTensor) else input


_MAKERS: dict[str, Callable[..., Any]] = {
    "quantize_per_tensor": _per_tensor,
    "quantize_per_channel": _per_channel,
    "dequantize": _dequantize,
}


def _recurrent(q: Quantization, *args: Any, **kwargs: Any) -> Any:
    where = q.recorder.places.line() or None
    raise CaptureError(
        "a recurrent layer that is quantized on the fly quantizes at every step, which has no form in a graph",
        where=where,
        hint="leave recurrent layers out of quantize_dynamic, or write the loop with cells",
    )


_MAKERS |= {"quantized_lstm": _recurrent, "quantized_gru": _recurrent}

MAKERS = frozenset({torch.quantize_per_tensor, torch.quantize_per_channel, torch.quantized_lstm, torch.quantized_gru})
"""The functions whose arguments need not be quantized for them to concern quantization."""
