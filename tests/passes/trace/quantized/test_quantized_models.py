# SPDX-License-Identifier: Apache-2.0
"""Models quantized by torch.ao in eager and graph mode, dynamically, and in training that is aware of it."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.ao.quantization as tq
import torch.nn.functional as F
from lading.pipeline.errors import CaptureError, UsageError
from support.calls import tensor
from torch import nn
from torch.ao.quantization.quantize_fx import convert_fx, convert_to_reference_fx, prepare_fx

import lading

X = tensor(2, 3, 12, 12)
STEP = 1 / 256


class Blocks(nn.Module):
    """Convolutions, sums, products, joins and views between a quantizer and a dequantizer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.quant, self.dequant = tq.QuantStub(), tq.DeQuantStub()
        self.first, self.norm, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.plus, self.times, self.join = (torch.ao.nn.quantized.FloatFunctional() for _ in range(3))
        self.swish, self.leaky, self.pool = nn.Hardswish(), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d((2, 3))
        self.head, self.sigmoid = nn.Linear(16, 5), nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.norm(self.first(self.quant(x))))
        z = self.times.mul_scalar(self.plus.add_relu(self.second(y), y), 0.5)
        z = F.max_pool2d(self.leaky(self.swish(self.join.cat([z, y], 1))), 2)
        z = self.head(self.pool(z).flatten(2).permute(0, 2, 1))
        return self.dequant(self.sigmoid(z).reshape(z.shape[0], -1)[:, 1:])


def _calibrated(model: nn.Module) -> nn.Module:
    for seed in range(3):
        model(tensor(2, 3, 12, 12, seed=seed))
    return model


@pytest.fixture(scope="module")
def converted() -> nn.Module:
    model = Blocks().eval()
    model.qconfig = tq.get_default_qconfig("fbgemm")
    model = tq.fuse_modules(model, [["first", "norm", "relu"]])
    return tq.convert(_calibrated(tq.prepare(model)))


def _assert_near(exported: Any, model: nn.Module, *inputs: torch.Tensor, steps: float = 3, step: float = STEP) -> None:
    expected, got = model(*inputs), torch.as_tensor(exported(*inputs)[0])
    assert expected.shape == got.shape
    assert (got - expected).abs().max() <= steps * step


def _initializers(exported: Any) -> dict[str, np.ndarray]:
    graph = onnx.load_from_string(exported.model_proto.SerializeToString()).graph
    return {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}


@pytest.mark.parametrize("opset", [7, 11, 13, 21])
def test_a_model_of_eager_mode(converted: nn.Module, opset: int) -> None:
    _assert_near(lading.export(converted, (X,), None, opset_version=opset), converted, X)


def test_its_batch_may_be_free(converted: nn.Module) -> None:
    exported = lading.export(converted, (X,), None, opset_version=13, dynamic_axes={"x": {0: "batch"}})
    _assert_near(exported, converted, tensor(5, 3, 12, 12, seed=9))


@pytest.mark.parametrize(
    "scripted", [torch.jit.script, lambda model: torch.jit.trace(model, X)], ids=["script", "trace"]
)
def test_as_torchscript(converted: nn.Module, scripted: Any) -> None:
    exported = lading.export(scripted(converted), (X,), None, opset_version=13)
    _assert_near(exported, converted, X)


def test_weights_stay_integers_under_the_names_of_their_modules(converted: nn.Module) -> None:
    weights = _initializers(lading.export(converted, (X,), None, opset_version=13))
    assert {"int8"} == {str(weights[f"{name}.weight"].dtype) for name in ("first", "second", "head")}
    assert np.array_equal(converted.second.weight().int_repr().numpy(), weights["second.weight"])
    assert {"first.bias", "second.bias", "head.bias"} <= weights.keys()


def test_the_model_is_left_as_it_was(converted: nn.Module) -> None:
    before = converted(X)
    lading.export(converted, (X,), None, opset_version=13)
    assert torch.equal(before, converted(X))


def _network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(200, 5)]
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("convert", [convert_fx, convert_to_reference_fx], ids=lambda function: function.__name__)
@pytest.mark.parametrize("opset", [11, 13])
def test_a_model_of_graph_mode(convert: Any, opset: int) -> None:
    prepared = prepare_fx(_network(), tq.get_default_qconfig_mapping("x86"), (X,))
    model = convert(_calibrated(prepared))
    exported = lading.export(model, (X,), None, opset_version=opset)
    _assert_near(exported, model, X, step=0.02)
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= {node.op_type for node in exported.model.graph}


@pytest.fixture(scope="module")
def aware() -> nn.Module:
    model = nn.Sequential(
        tq.QuantStub(), nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(800, 5), tq.DeQuantStub()
    )
    model.qconfig = tq.get_default_qat_qconfig("x86")
    return _calibrated(tq.prepare_qat(model.train()))


@pytest.mark.parametrize("opset", [7, 13, 21])
def test_fake_quantization_of_training(aware: nn.Module, opset: int) -> None:
    model = copy.deepcopy(aware).apply(tq.disable_observer).eval()
    exported = lading.export(model, (X,), None, opset_version=opset)
    _assert_near(exported, model, X, step=0.02)


def test_its_scales_are_constants_where_nothing_is_observed(aware: nn.Module) -> None:
    model = copy.deepcopy(aware).apply(tq.disable_observer).eval()
    counts = Counter(node.op_type for node in lading.export(model, (X,), None, opset_version=13).model.graph)
    assert 5 == counts["QuantizeLinear"] == counts["DequantizeLinear"]
    assert not counts["ReduceMin"]


def test_observers_that_go_on_start_from_what_they_have_seen(aware: nn.Module) -> None:
    model = copy.deepcopy(aware).eval()
    exported = lading.export(model, (X,), None, opset_version=13)
    _assert_near(exported, copy.deepcopy(model), X * 1.5, step=0.02)


def test_fake_quantization_that_is_off_leaves_nothing(aware: nn.Module) -> None:
    model = copy.deepcopy(aware).apply(tq.disable_observer).apply(tq.disable_fake_quant).eval()
    exported = lading.export(model, (X,), None, opset_version=13)
    assert ["Conv", "Relu", "Reshape", "Gemm"] == [node.op_type for node in exported.model.graph]


class Learned(nn.Module):
    """Fake quantization whose scale is a parameter."""

    def __init__(self, channels: int | None) -> None:
        super().__init__()
        from torch.ao.quantization._learnable_fake_quantize import _LearnableFakeQuantize as Learnable

        if channels is None:
            self.fake = Learnable(tq.MovingAverageMinMaxObserver, scale=0.03, zero_point=2.6, quant_max=255)
        else:
            observer = tq.MovingAveragePerChannelMinMaxObserver
            self.fake = Learnable(observer, scale=0.03, zero_point=2.6, quant_max=255, channel_len=channels, ch_axis=1)
        self.fake.enable_param_learning()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fake(x)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("opset", [7, 13])
def test_learned_scales(channels: int | None, opset: int) -> None:
    model = Learned(channels).eval()
    exported = lading.export(model, (X,), None, opset_version=opset)
    _assert_near(exported, model, X, steps=1, step=0.03)


class Cells(nn.Module):
    """One step of each recurrent cell, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.gru, self.rnn, self.head = (
            nn.LSTMCell(4, 6),
            nn.GRUCell(6, 5),
            nn.RNNCell(5, 5),
            nn.Linear(5, 3),
        )

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        h, c = self.lstm(x, (h, c))
        return self.head(self.rnn(self.gru(h, k))) + c[:, :3]


DYNAMIC = {nn.Linear, nn.LSTMCell, nn.GRUCell, nn.RNNCell}


@pytest.mark.parametrize("opset", [11, 13, 21])
def test_layers_and_cells_quantized_on_the_fly(opset: int) -> None:
    model = tq.quantize_dynamic(Cells().eval(), DYNAMIC, dtype=torch.qint8)
    args = tensor(3, 4), tensor(3, 6, seed=1), tensor(3, 6, seed=2), tensor(3, 5, seed=3)
    exported = lading.export(model, args, None, opset_version=opset)
    others = tuple(item * 2 for item in args)
    torch.testing.assert_close(torch.as_tensor(exported(*others)[0]), model(*others), rtol=1e-3, atol=2e-3)


def test_layers_of_halves() -> None:
    model = tq.quantize_dynamic(nn.Sequential(nn.Linear(8, 4)).eval(), {nn.Linear}, dtype=torch.float16)
    exported = lading.export(model, (tensor(3, 8),), None)
    torch.testing.assert_close(torch.as_tensor(exported(tensor(3, 8))[0]), model(tensor(3, 8)), rtol=1e-3, atol=1e-3)


def test_a_recurrent_layer_quantized_on_the_fly_is_refused() -> None:
    model = tq.quantize_dynamic(nn.Sequential(nn.LSTM(4, 6)).eval(), {nn.LSTM}, dtype=torch.qint8)
    with pytest.raises(CaptureError, match="leave recurrent layers out of quantize_dynamic"):
        lading.export(model, (tensor(5, 2, 4),), None)


class Tables(nn.Module):
    """A table of vectors, and one whose rows are summed by bags."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.bags = nn.Embedding(20, 8), nn.EmbeddingBag(20, 8, mode="sum")

    def forward(self, words: torch.Tensor, bagged: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return self.table(words).sum(1) + self.bags(bagged, offsets)


@pytest.mark.parametrize("opset", [7, 11, 13, 21])
def test_tables(opset: int) -> None:
    model = Tables().eval()
    model.qconfig = tq.float_qparams_weight_only_qconfig
    model = tq.convert(tq.prepare(model))
    args = torch.randint(0, 20, (2, 3)), torch.randint(0, 20, (5,)), torch.tensor([0, 2])
    exported = lading.export(model, args, None, opset_version=opset)
    torch.testing.assert_close(torch.as_tensor(exported(*args)[0]), model(*args), rtol=1e-4, atol=1e-5)
    assert "uint8" == str(_initializers(exported)["table.weight"].dtype)


def test_a_quantized_input_is_refused() -> None:
    x = torch.quantize_per_tensor(tensor(2, 3), 0.1, 3, torch.quint8)
    with pytest.raises(UsageError, match="quint8"):
        lading.export(nn.ReLU(), (x,), None)
