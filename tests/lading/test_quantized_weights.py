# SPDX-License-Identifier: Apache-2.0
"""What a file holds of weights that a model stores quantized: their own type and packing, and no copy of floats."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.ao.quantization.fx import _decomposed  # noqa: F401  it defines the operators

import lading

ROWS, COLUMNS = 64, 48


class ByChannel(nn.Module):
    """A Linear of int8 with a scale for each row, as PyTorch's export flow of quantization leaves it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 128, (ROWS, COLUMNS)).to(torch.int8))
        self.register_buffer("scale", 0.01 + torch.rand(ROWS))
        self.register_buffer("zero_point", torch.zeros(ROWS, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = torch.ops.quantized_decomposed.dequantize_per_channel(
            self.weight, self.scale, self.zero_point, 0, -127, 127, torch.int8
        )
        return nn.functional.linear(x, weight)


class Eight(nn.Module):
    """A Linear whose weight is an 8-bit float with one scale."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(ROWS, COLUMNS).to(dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight.to(torch.float32) * 0.5)


class Halves(nn.Module):
    """A Linear whose weight has two integers of four bits in each byte."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randint(0, 256, (ROWS, COLUMNS // 2), dtype=torch.uint8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low, high = (self.weight & 15).to(torch.int8) - 8, (self.weight >> 4).to(torch.int8) - 8
        weight = torch.stack([low, high], -1).reshape(ROWS, COLUMNS)
        return nn.functional.linear(x, weight.to(torch.float32) * 0.1)


MODELS = {
    "int8": ByChannel,
    "float8_e4m3fn": lambda: Eight(torch.float8_e4m3fn),
    "float8_e5m2": lambda: Eight(torch.float8_e5m2),
    "two int4 in a byte": Halves,
}


@pytest.mark.parametrize("opset", [9, 13, 21])
@pytest.mark.parametrize("kind", MODELS)
def test_the_weight_is_stored_as_it_is(kind: str, opset: int) -> None:
    if opset < 19 and "float8" in kind:
        pytest.skip("ONNX has these types from opset 19 on")
    torch.manual_seed(0)
    model, x = MODELS[kind](), torch.randn(3, COLUMNS)
    result = lading.export(model, (x,), None, opset_version=opset)
    (stored,) = [each for each in result.model_proto.graph.initializer if each.name == "weight"]
    tensor = ir.from_proto(stored)
    assert (model.weight.nbytes, list(model.weight.shape)) == (tensor.nbytes, list(stored.dims))
    held = sum(ir.from_proto(each).nbytes for each in result.model_proto.graph.initializer)
    assert held < 1.5 * sum(each.nbytes for each in model.buffers())
    torch.testing.assert_close(torch.as_tensor(result(x)[0]), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["int8", "float8_e4m3fn"])
def test_so_it_is_in_external_data(tmp_path, kind: str) -> None:
    torch.manual_seed(0)
    model, x = MODELS[kind](), torch.randn(3, COLUMNS)
    overrides = {"serialize.external_data_threshold": 1024}
    lading.export(model, (x,), tmp_path / "model.onnx", opset_version=21, overrides=overrides, verify=True)
    proto = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    (place,) = [
        {entry.key: entry.value for entry in each.external_data}
        for each in proto.graph.initializer
        if each.data_location == onnx.TensorProto.EXTERNAL
    ]
    assert model.weight.nbytes == int(place["length"])
