# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import onnx
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
from support.calls import Call, agrees, call, operators, spread, tensor
from support.operator_check import NEWEST

import lading

OPSETS = (7, 10, 13, 21, NEWEST)

D = torch.ops.quantized_decomposed
X = tensor(2, 3, 5, 6) * 3
SCALE, ZERO = tensor(3).abs() * 0.05 + 0.01, torch.tensor([3, 0, 1])
BYTES = (tensor(2, 3, 4, seed=1).abs() * 50).to(torch.uint8)
INTS = tensor(2, 3, 4, dtype=torch.int64, seed=1)
LOW, HIGH = torch.tensor(-100), torch.tensor(120)

ROWS, ROW_SCALE, ROW_ZERO = tensor(3, 8), tensor(3, 1).abs() + 0.1, torch.tensor([[1.0], [0.0], [-2.0]])
GROUPED, GROUP_SCALE, GROUP_ZERO = tensor(3, 8), tensor(3, 2).abs() + 0.1, torch.tensor([[1, 0], [0, 2], [-3, 1]])
QUARTERS = (tensor(3, 8, seed=2) * 3).round().clamp(-8, 7).to(torch.int8)

CALLS = [
    call(D.quantize_per_tensor.default, X, 0.05, 3, 0, 255, torch.uint8),
    call(D.quantize_per_tensor.default, X, 0.05, 3, -127, 127, torch.int8),
    call(D.quantize_per_tensor.default, X, 0.001, 3, -30000, 30000, torch.int32),
    call(D.quantize_per_tensor.default, X, 0.001, 3, -32768, 32767, torch.int16),
    call(D.quantize_per_tensor.default, X, 0.001, 30000, 0, 65535, torch.uint16),
    call(D.quantize_per_tensor.default, X.bfloat16(), 0.05, 3, 0, 255, torch.uint8, floor=13),
    call(D.quantize_per_tensor.tensor, X, SCALE[0], ZERO[0], 0, 255, torch.uint8),
    call(D.quantize_per_tensor.tensor2, X, SCALE[0], ZERO[0], LOW, HIGH, torch.int8),
    call(D.quantize_per_channel.default, X, SCALE, ZERO, 1, -128, 127, torch.int8),
    call(D.quantize_per_channel.default, X.half(), SCALE, ZERO, 1, -128, 127, torch.int8),
    call(D.quantize_per_channel.default, X, SCALE * 0.01, ZERO, 1, -32768, 32767, torch.int16),
    call(D.dequantize_per_tensor.default, BYTES, 0.05, 3, 0, 255, torch.uint8),
    call(D.dequantize_per_tensor.default, BYTES, 0.05, 3, 0, 255, torch.uint8, out_dtype=torch.float16),
    call(D.dequantize_per_tensor.default, INTS.to(torch.int16), 0.05, 3, -32768, 32767, torch.int16),
    call(D.dequantize_per_tensor.default, INTS.to(torch.int32), 0.05, 0, -(2**31), 2**31 - 1, torch.int32),
    call(D.dequantize_per_tensor.default, INTS.to(torch.int32), 0.05, 2, -(2**31), 2**31 - 1, torch.int32),
    call(D.dequantize_per_tensor.tensor, BYTES, SCALE[0], ZERO[0], 0, 255, torch.uint8),
    call(D.dequantize_per_tensor.tensor2, INTS.to(torch.int8), SCALE[0], ZERO[0], LOW, HIGH, torch.int8),
    call(D.dequantize_per_channel.default, BYTES, SCALE, ZERO, 1, 0, 255, torch.uint8),
    call(D.dequantize_per_channel.default, BYTES, SCALE, None, 1, 0, 255, torch.uint8),
    call(D.dequantize_per_channel.default, INTS.to(torch.int32), SCALE, None, 1, -(2**31), 2**31 - 1, torch.int32),
    call(D.fake_quant_per_channel.default, X, SCALE, ZERO.int(), 1, -127, 127),
    call(D.convert_element_type.no_fuse, X, torch.float16),
    call(D.quantize_per_token.default, ROWS, ROW_SCALE, ROW_ZERO, -128, 127, torch.int8),
    call(D.dequantize_per_token.default, QUARTERS, ROW_SCALE, ROW_ZERO, -128, 127, torch.int8, torch.float32),
    call(D.quantize_per_channel_group.default, GROUPED, GROUP_SCALE, GROUP_ZERO, -8, 7, torch.int8, 4, free=False),
    call(
        D.dequantize_per_channel_group.default,
        QUARTERS,
        GROUP_SCALE,
        GROUP_ZERO,
        -8,
        7,
        torch.int8,
        4,
        torch.float32,
        free=False,
    ),
    call(
        D.dequantize_per_channel_group.default,
        QUARTERS,
        GROUP_SCALE,
        None,
        -8,
        7,
        torch.int8,
        4,
        torch.float16,
        free=False,
    ),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_quantization_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("item", "opset", "expected"),
    [
        (CALLS[0], 10, ["QuantizeLinear"]),
        (CALLS[8], 13, ["Cast", "QuantizeLinear"]),
        (CALLS[3], 21, ["QuantizeLinear"]),
        (CALLS[11], 10, ["DequantizeLinear"]),
        (CALLS[14], 10, ["DequantizeLinear"]),
        (CALLS[20], 13, ["DequantizeLinear"]),
    ],
    ids=lambda value: str(getattr(value, "overload", "")),
)
def test_the_operators_of_onnx_do_it_where_they_take_the_type(item: Call, opset: int, expected: list[str]) -> None:
    assert expected == operators(agrees(item, opset, False))


def test_groups_are_blocks_of_the_operator() -> None:
    model = agrees(CALLS[-1], 21, False)
    assert 4 == next(
        _attributes_of(node)["block_size"] for node in model.graph.node if node.op_type == "DequantizeLinear"
    )


def _attributes_of(node: onnx.NodeProto) -> dict[str, int]:
    return {attribute.name: attribute.i for attribute in node.attribute}


FLOAT8 = [torch.float8_e4m3fn, torch.float8_e5m2]


@pytest.mark.parametrize("dtype", FLOAT8, ids=str)
@pytest.mark.parametrize("opset", [19, 21, NEWEST])
def test_float8_agrees(dtype: torch.dtype, opset: int) -> None:
    class Narrow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            bound = int(torch.finfo(dtype).max)
            narrow = D.quantize_per_tensor(x, 0.05, 0, -bound, bound, dtype)
            return D.dequantize_per_tensor(narrow, 0.05, 0, -bound, bound, dtype)

    import lading

    exported = lading.export(Narrow(), (X,), None, opset_version=opset)
    torch.testing.assert_close(torch.as_tensor(exported(X)[0]), Narrow()(X))


class QuantizedByRange(torch.nn.Module):
    """A tensor that is quantized by its own range and dequantized again, as PT2E's dynamic quantization does it."""

    def __init__(self, low: int, high: int, dtype: torch.dtype, eps: float) -> None:
        super().__init__()
        self.bounds, self.dtype, self.eps = (low, high), dtype, eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale, zero = D.choose_qparams.tensor(x, *self.bounds, self.eps, self.dtype)
        y = D.quantize_per_tensor.tensor(x, scale, zero, *self.bounds, self.dtype)
        return D.dequantize_per_tensor.tensor(y, scale, zero, *self.bounds, self.dtype)


SMALLEST = torch.finfo(torch.float32).eps
ONE_OPERATOR = ["DynamicQuantizeLinear", "DequantizeLinear"]


@pytest.mark.parametrize("opset", [11, 21])
@pytest.mark.parametrize(("low", "high", "dtype"), [(0, 255, torch.uint8), (-128, 127, torch.int8)])
def test_quantizing_by_the_range_is_one_operator(low: int, high: int, dtype: torch.dtype, opset: int) -> None:
    model = QuantizedByRange(low, high, dtype, SMALLEST)
    exported = lading.export(model, (X,), None, opset_version=opset)
    assert ONE_OPERATOR == [node.op_type for node in exported.model_proto.graph.node]
    for x in (X, X * 0.01 - 5, X.abs() + 2, X * 0, X * 1e-7):
        torch.testing.assert_close(torch.from_numpy(exported(x)[0]), model(x))


@pytest.mark.parametrize(
    ("bounds", "eps", "opset"), [((0, 255), 2**-12, 13), ((0, 127), SMALLEST, 13), ((0, 255), SMALLEST, 10)]
)
def test_what_the_operator_would_choose_otherwise_is_written_out(
    bounds: tuple[int, int], eps: float, opset: int
) -> None:
    model = QuantizedByRange(*bounds, torch.uint8, eps)
    exported = lading.export(model, (X,), None, opset_version=opset)
    assert "DynamicQuantizeLinear" not in [node.op_type for node in exported.model_proto.graph.node]
    for x in (X, X * 1e-3):
        torch.testing.assert_close(torch.from_numpy(exported(x)[0]), model(x))
