# SPDX-License-Identifier: Apache-2.0
"""The operators of PyTorch's quantized library, one by one: the exported file and eager differ by one step at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lading.pipeline.errors import CaptureError
from support.calls import tensor
from torch import nn

import lading

Q = torch.ops.quantized
STEP, ZERO = 0.0517, 100


def quantized(x: torch.Tensor, scale: float = STEP, zero_point: int = ZERO) -> torch.Tensor:
    return torch.quantize_per_tensor(x, scale, zero_point, torch.quint8)


def _weight(*shape: int, by_channel: bool = True, axis: int = 0) -> torch.Tensor:
    weight = tensor(*shape, seed=7) * 0.3
    if not by_channel:
        return torch.quantize_per_tensor(weight, 0.01, 0, torch.qint8)
    count = shape[axis]
    scales, zeros = torch.linspace(0.005, 0.02, count), torch.zeros(count, dtype=torch.int64)
    return torch.quantize_per_channel(weight, scales, zeros, axis, torch.qint8)


class Call(nn.Module):
    """A function of quantized tensors as a module that takes and gives floats."""

    def __init__(self, function: Callable[..., Any], quantize: bool = True) -> None:
        super().__init__()
        self.function, self.quantize = function, quantize

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        y = self.function(*(quantized(x) for x in tensors) if self.quantize else tensors)
        return y.dequantize()


def _close(
    function: Callable[..., Any], *inputs: torch.Tensor, step: float, quantize: bool = True, **options: Any
) -> Any:
    model = Call(function, quantize)
    exported = lading.export(model, inputs, None, **options)
    got, expected = torch.as_tensor(exported(*inputs)[0]), model(*inputs)
    assert expected.dtype == got.dtype
    assert expected.shape == got.shape
    # Kernels and float arithmetic may round a number between two steps either way.
    assert (got - expected).abs().max() <= 1.01 * step
    assert ((got - expected).abs() > step / 2).float().mean() <= 0.15
    return exported


ROWS, IMAGE, LINE, SPACE = tensor(3, 8), tensor(2, 4, 6, 7), tensor(2, 4, 9), tensor(1, 4, 5, 6, 4)
OUT = (0.0391, 90)
BIAS = tensor(6, seed=5)

# oneDNN keeps the kernel of the first call of a packed weight, with or without ReLU, and its transposed convolution in
# three dimensions differs from its own definition where the processor has VNNI.
_ENGINE = torch.backends.quantized.engine
if "fbgemm" in torch.backends.quantized.supported_engines:
    torch.backends.quantized.engine = "fbgemm"

CONV1 = Q.conv1d_prepack(_weight(6, 4, 3), BIAS, [2], [1], [1], 1)
CONV2 = Q.conv2d_prepack(_weight(6, 2, 3, 2), BIAS, [2, 1], [1, 0], [1, 2], 2)
CONV2_SAME = Q.conv2d_prepack(_weight(4, 4, 3, 3), None, [1, 1], [1, 1], [1, 1], 1)
CONV3 = Q.conv3d_prepack(_weight(6, 4, 2, 3, 2), BIAS, [1, 1, 1], [0, 1, 0], [1, 1, 1], 1)
BACK1 = Q.conv_transpose1d_prepack(_weight(4, 6, 3, by_channel=False), BIAS, [2], [1], [1], [1], 1)
BACK2 = Q.conv_transpose2d_prepack(_weight(4, 6, 3, 3, by_channel=False), BIAS, [2, 2], [1, 1], [1, 0], [1, 1], 1)
BACK3 = Q.conv_transpose3d_prepack(
    _weight(4, 6, 2, 2, 2, by_channel=False), BIAS, [2, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1], 1
)
WEIGHT = _weight(6, 8)
LINEAR = Q.linear_prepack(WEIGHT, BIAS)
LINEAR_BY_TENSOR = Q.linear_prepack(_weight(6, 8, by_channel=False), None)
HALVES = Q.linear_prepack_fp16(tensor(6, 8), BIAS)
torch.backends.quantized.engine = _ENGINE
SLOPE = torch.quantize_per_tensor(torch.tensor([0.25]), 0.01, 0, torch.quint8)
GAIN, SHIFT, MEAN, SPREAD = (
    tensor(4).abs() + 0.5,
    tensor(4, seed=1),
    tensor(4, seed=2) * 0.1,
    tensor(4, seed=3).abs() + 1,
)

CASES: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...], float]] = {
    "conv1d": (lambda x: Q.conv1d(x, CONV1, *OUT), (LINE,), OUT[0]),
    "conv1d_relu": (lambda x: Q.conv1d_relu(x, CONV1, *OUT), (LINE,), OUT[0]),
    "conv2d": (lambda x: Q.conv2d(x, CONV2, *OUT), (IMAGE,), OUT[0]),
    "conv2d_relu": (lambda x: Q.conv2d_relu(x, CONV2, *OUT), (IMAGE,), OUT[0]),
    "conv3d": (lambda x: Q.conv3d(x, CONV3, *OUT), (SPACE,), OUT[0]),
    "conv3d_relu": (lambda x: Q.conv3d_relu(x, CONV3, *OUT), (SPACE,), OUT[0]),
    "conv_transpose1d": (lambda x: Q.conv_transpose1d(x, BACK1, *OUT), (LINE,), OUT[0]),
    "conv_transpose2d": (lambda x: Q.conv_transpose2d(x, BACK2, *OUT), (IMAGE,), OUT[0]),
    "conv_transpose3d": (lambda x: Q.conv_transpose3d(x, BACK3, *OUT), (SPACE,), OUT[0]),
    "linear": (lambda x: Q.linear(x, LINEAR, *OUT), (ROWS,), OUT[0]),
    "linear-by-tensor": (lambda x: Q.linear(x, LINEAR_BY_TENSOR, *OUT), (ROWS,), OUT[0]),
    "linear_relu": (lambda x: Q.linear_relu(x, LINEAR, *OUT), (ROWS,), OUT[0]),
    "add": (lambda a, b: Q.add(a, b, *OUT), (ROWS, tensor(3, 8, seed=1)), OUT[0]),
    "add_relu": (lambda a, b: Q.add_relu(a, b, *OUT), (ROWS, tensor(3, 8, seed=1)), OUT[0]),
    "mul": (lambda a, b: Q.mul(a, b, *OUT), (ROWS, tensor(3, 8, seed=1)), OUT[0]),
    "mul_relu": (lambda a, b: Q.mul_relu(a, b, *OUT), (ROWS, tensor(3, 8, seed=1)), OUT[0]),
    "add_scalar": (lambda x: Q.add_scalar(x, 0.7), (ROWS,), STEP),
    "add_scalar-beyond": (lambda x: Q.add_scalar(x, 9.0), (ROWS,), 0.1),
    "add_scalar-below": (lambda x: Q.add_scalar(x, -11.0), (ROWS,), 0.1),
    "add_scalar_relu": (lambda x: Q.add_scalar_relu(x, 0.7), (ROWS,), STEP),
    "mul_scalar": (lambda x: Q.mul_scalar(x, 1.5), (ROWS,), STEP * 1.5),
    "mul_scalar-negative": (lambda x: Q.mul_scalar(x, -1.5), (ROWS,), STEP * 1.5),
    "mul_scalar-zero": (lambda x: Q.mul_scalar(x, 0.0), (ROWS,), STEP),
    "mul_scalar_relu": (lambda x: Q.mul_scalar_relu(x, 1.5), (ROWS,), STEP * 1.5),
    "matmul": (lambda a, b: Q.matmul(a, b, *OUT), (ROWS, tensor(8, 3, seed=1)), OUT[0]),
    "cat": (lambda a, b: Q.cat([a, b], 1, *OUT), (ROWS, ROWS), OUT[0]),
    "cat_relu": (lambda a, b: Q.cat_relu([a, b], 0, *OUT), (ROWS, ROWS), OUT[0]),
    "hardswish": (lambda x: Q.hardswish(x, *OUT), (ROWS * 3,), OUT[0]),
    "elu": (lambda x: Q.elu(x, *OUT), (ROWS,), OUT[0]),
    "celu": (lambda x: Q.celu(x, *OUT, 0.7), (ROWS,), OUT[0]),
    "leaky_relu": (lambda x: Q.leaky_relu(x, 0.2, False, *OUT), (ROWS,), OUT[0]),
    "prelu": (lambda x: Q.prelu(x, SLOPE, *OUT), (ROWS,), OUT[0]),
    "sigmoid": (lambda x: Q.sigmoid(x, 1 / 128, 3), (ROWS,), 1 / 128),
    "softmax": (lambda x: Q.softmax(x, 1, 1 / 256, 0), (ROWS,), 1 / 256),
    "relu6": (lambda x: Q.relu6(x), (ROWS * 4,), STEP),
    "clamp": (lambda x: Q.clamp(x, -0.52, 0.7), (ROWS,), STEP),
    "threshold": (lambda x: Q.threshold(x, 0.2, -0.1), (ROWS,), STEP),
    "max_pool1d": (lambda x: Q.max_pool1d(x, [3], [2], [1], [1], False), (LINE,), STEP),
    "max_pool2d": (lambda x: Q.max_pool2d(x, [3, 2], [2, 1], [1, 0], [1, 1], False), (IMAGE,), STEP),
    "batch_norm1d": (lambda x: Q.batch_norm1d(x, GAIN, SHIFT, MEAN, SPREAD, 1e-5, *OUT), (LINE,), OUT[0]),
    "batch_norm2d": (lambda x: Q.batch_norm2d(x, GAIN, SHIFT, MEAN, SPREAD, 1e-5, *OUT), (IMAGE,), OUT[0]),
    "batch_norm3d_relu": (lambda x: Q.batch_norm3d_relu(x, GAIN, SHIFT, MEAN, SPREAD, 1e-5, *OUT), (SPACE,), OUT[0]),
    "layer_norm": (lambda x: Q.layer_norm(x, [7], None, None, 1e-5, *OUT), (IMAGE,), OUT[0]),
    "group_norm": (lambda x: Q.group_norm(x, 2, GAIN, SHIFT, 1e-5, *OUT), (IMAGE,), OUT[0]),
    "instance_norm": (lambda x: Q.instance_norm(x, GAIN, SHIFT, 1e-5, *OUT), (IMAGE,), OUT[0]),
    "relu": (lambda x: torch.relu(x), (ROWS,), STEP),
    "views": (lambda x: x.permute(0, 2, 3, 1).reshape(2, -1)[:, 3:].unsqueeze(1).flatten(0, 1), (IMAGE,), STEP),
    "chunk": (lambda x: x.chunk(2, 1)[1].contiguous(), (IMAGE,), STEP),
    "torch-cat": (lambda a, b: torch.cat([a, b]), (ROWS, ROWS), STEP),
    "max_pool-function": (lambda x: F.max_pool2d(x, 2), (IMAGE,), STEP),
    "avg_pool": (lambda x: F.avg_pool2d(x, 2), (IMAGE,), STEP),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, 1), (IMAGE,), STEP),
    "mean": (lambda x: x.mean([2, 3]), (IMAGE,), STEP),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2.0), (IMAGE,), STEP),
    "bilinear": (lambda x: F.interpolate(x, size=[9, 5], mode="bilinear"), (IMAGE,), STEP),
    "torch-sigmoid": (lambda x: torch.sigmoid(x), (ROWS,), 1 / 256),
    "torch-tanh": (lambda x: torch.tanh(x), (ROWS,), 1 / 128),
    "hardsigmoid": (lambda x: F.hardsigmoid(x), (ROWS,), 1 / 256),
    "hardtanh": (lambda x: F.hardtanh(x), (ROWS,), STEP),
    "quantized-anew": (lambda x: quantized(x.dequantize() * 2, 0.1, 128), (ROWS,), 0.1),
    "questions": (lambda x: quantized(x.int_repr().float() * x.q_scale(), 0.1, x.q_zero_point()), (ROWS,), 0.1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_agrees_within_one_step(name: str) -> None:
    function, inputs, step = CASES[name]
    _close(function, *inputs, step=step, opset_version=13)


@pytest.mark.parametrize("opset", [7, 10, 11, 21])
@pytest.mark.parametrize("name", ["add", "leaky_relu", "sigmoid", "views"])
def test_every_opset_has_a_form(name: str, opset: int) -> None:
    function, inputs, step = CASES[name]
    _close(function, *inputs, step=step, opset_version=opset)


WHOLE: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "linear_dynamic": (lambda x: Q.linear_dynamic(x, LINEAR), (ROWS,)),
    "linear_dynamic-reduced": (lambda x: Q.linear_dynamic(x, LINEAR, reduce_range=True), (ROWS,)),
    "linear_relu_dynamic": (lambda x: Q.linear_relu_dynamic(x, LINEAR, reduce_range=True), (ROWS,)),
    "linear_dynamic_fp16": (lambda x: Q.linear_dynamic_fp16(x, HALVES), (ROWS,)),
    "packed-while-it-runs": (lambda x: Q.linear_dynamic(x, Q.linear_prepack(WEIGHT, BIAS)), (ROWS,)),
    "a-quantized-constant": (lambda x: x + SLOPE.dequantize(), (ROWS,)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_quantization_on_the_fly_agrees(name: str) -> None:
    function, inputs = WHOLE[name]
    exported = lading.export(Call(function, False), inputs, None, opset_version=13)
    others = tuple(item.flip(0) * 1.7 for item in inputs)
    torch.testing.assert_close(torch.as_tensor(exported(*others)[0]), function(*others), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize(
    ("convolve", "packed", "x"), [(Q.conv1d_dynamic, CONV1, LINE), (Q.conv2d_dynamic, CONV2, IMAGE)], ids=["1d", "2d"]
)
def test_convolutions_quantized_on_the_fly_give_numbers_on_the_grid_of_the_input(
    convolve: Any, packed: Any, x: torch.Tensor, reduced: bool
) -> None:
    exported = lading.export(Call(lambda x: convolve(x, packed, reduced), False), (x,), None, opset_version=13)
    other = x.flip(0) * 1.7
    step = float(other.max() - other.min()) / (127 if reduced else 255)
    wrong = (torch.as_tensor(exported(other)[0]) - convolve(other, packed, reduced)).abs()
    assert wrong.max() <= 1.01 * step
    # A number halfway between two of the grid may be rounded either way.
    assert (wrong > step / 2).float().mean() <= 0.05


def test_what_is_not_known_is_refused_with_the_line() -> None:
    with pytest.raises(CaptureError, match="it is not known what cumsum makes of a quantized tensor") as caught:
        lading.export(Call(lambda x: x.cumsum(0)), (ROWS,), None)
    assert "test_quantized_operators.py" in str(caught.value)
