# SPDX-License-Identifier: Apache-2.0
"""Layers of torch.nn stay the operators that they are, with free axes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

BATCH = {"x": {0: "batch"}}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_stay_whole(captured, kind, batch_first, bidirectional):
    layer = getattr(nn, kind)(3, 4, num_layers=2, batch_first=batch_first, bidirectional=bidirectional)
    result = captured(layer, torch.randn(5, 2, 3), dynamic_axes={"input": {0: "a", 1: "b"}})
    assert 1 == result.ops()[f"aten::{ {'RNN': 'rnn_tanh'}.get(kind, kind.lower()) }"]
    assert () == result.capture.specialisations
    assert result.same_as_eager(torch.randn(4, 6, 3))


def test_recurrent_weights_have_their_names(captured):
    layer = nn.LSTM(3, 4)
    result = captured(layer, torch.randn(5, 2, 3))
    assert set(layer.state_dict()) <= set(result.graph.initializers)


def test_projected_lstm_with_a_state_of_the_user(captured):
    layer = nn.LSTM(3, 4, proj_size=2)
    state = (torch.randn(1, 2, 2), torch.randn(1, 2, 4))
    assert captured(layer, (torch.randn(5, 2, 3), state)).same_as_eager()


def test_recurrent_relu(captured):
    assert captured(nn.RNN(3, 4, nonlinearity="relu"), torch.randn(5, 2, 3)).same_as_eager()


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}], ids=str)
def test_attention_stays_whole(captured, options):
    def model(x, y, z):
        return F.scaled_dot_product_attention(x, y, z, **options)

    tensors = (torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 6))
    axes = {name: {0: "batch", 2: "length"} for name in "xyz"}
    result = captured(model, tensors, dynamic_axes=axes)
    assert {"aten::scaled_dot_product_attention": 1} == result.ops()
    assert result.same_as_eager(*(torch.randn(3, 3, 7, t.shape[-1]) for t in tensors))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.LayerNorm(4), (2, 3, 4)),
        (nn.GroupNorm(2, 4), (2, 4, 5)),
        (nn.InstanceNorm2d(4, affine=True), (2, 4, 5, 5)),
        (nn.BatchNorm2d(4), (2, 4, 5, 5)),
        (nn.RMSNorm(4), (2, 3, 4)),
        (nn.Linear(4, 3), (2, 5, 4)),
        (nn.Softmax(-1), (2, 4)),
        (nn.LogSoftmax(1), (2, 4)),
        (nn.PReLU(4), (2, 4)),
        (nn.LogSigmoid(), (2, 4)),
        (nn.MaxPool1d(2), (2, 3, 8)),
        (nn.MaxPool2d(3, 2, 1), (2, 3, 8, 8)),
        (nn.MaxPool2d(3, 2, ceil_mode=True), (2, 3, 8, 8)),
        (nn.MaxPool3d(2), (2, 3, 4, 4, 4)),
        (nn.AvgPool1d(2), (2, 3, 8)),
        (nn.AdaptiveAvgPool1d(2), (2, 3, 8)),
        (nn.AdaptiveAvgPool2d((1, None)), (2, 3, 8, 6)),
        (nn.AdaptiveAvgPool3d(1), (2, 3, 4, 4, 4)),
        (nn.Upsample(scale_factor=2), (2, 3, 4, 4)),
        (nn.Upsample(size=(5, 7), mode="bilinear"), (2, 3, 4, 4)),
        (nn.Upsample(scale_factor=1.5, mode="bicubic", align_corners=True), (2, 3, 4, 4)),
        (nn.Upsample(scale_factor=(1.5, 3), mode="nearest-exact"), (2, 3, 4, 5)),
        (nn.ReflectionPad2d(1), (2, 3, 4, 4)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layers_stay_one_operator(captured, layer, shape):
    (name,) = [p for p in ("x", "input") if p in layer.forward.__code__.co_varnames][:1]
    result = captured(layer.eval(), torch.randn(shape), dynamic_axes={name: {0: "batch"}})
    assert 1 == len(result.graph)
    assert result.same_as_eager(torch.randn(3, *shape[1:]))


def test_one_hot_of_known_classes(captured):
    result = captured(lambda x: F.one_hot(x, 5), torch.tensor([1, 4]), dynamic_axes=BATCH)
    assert {"aten::one_hot": 1} == result.ops()
    assert result.same_as_eager(torch.tensor([1, 2, 3]))


def test_multi_head_attention_is_captured_inside_out(captured):
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    model = lambda x: layer(x, x, x)  # noqa: E731
    result = captured(model, torch.randn(2, 5, 8), dynamic_axes={"x": {0: "batch", 1: "length"}})
    assert () == result.capture.specialisations
    assert result.same_as_eager(torch.randn(3, 4, 8))


@pytest.mark.parametrize("masked", [False, True])
def test_transformer_of_torch(captured, masked):
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(4) if masked else None
    axes = {"src": {0: "batch", 1: "source"}, "tgt": {0: "batch"}}
    result = captured(model, (torch.randn(2, 5, 8), torch.randn(2, 4, 8)), {"tgt_mask": mask}, dynamic_axes=axes)
    assert () == result.capture.specialisations
    assert result.same_as_eager(torch.randn(3, 6, 8), torch.randn(3, 4, 8), *([mask] if masked else []))


def test_padding_mask_of_an_encoder(captured):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()

    def masked(batch, length):
        mask = torch.zeros(batch, length, dtype=torch.bool)
        mask[-1, length // 2 :] = True
        return torch.randn(batch, length, 8), mask

    x, mask = masked(2, 5)
    axes = {name: {0: "batch", 1: "length"} for name in ("src", "src_key_padding_mask")}
    result = captured(model, (x,), {"src_key_padding_mask": mask}, dynamic_axes=axes)
    assert () == result.capture.specialisations
    assert result.same_as_eager(*masked(3, 7))


def test_embedding_bag_and_losses(captured):
    def model(x, target):
        return F.cross_entropy(x, target), F.nll_loss(F.log_softmax(x, 1), target, reduction="none")

    result = captured(model, (torch.randn(4, 3), torch.tensor([0, 2, 1, 1])))
    assert result.same_as_eager()


def test_short_time_fourier_transform(captured):
    def model(x):
        return torch.view_as_real(torch.stft(x, 8, 4, window=torch.hann_window(8), return_complex=True))

    result = captured(model, torch.randn(2, 32), dynamic_axes=BATCH)
    assert () == result.capture.specialisations
    assert result.same_as_eager(torch.randn(3, 32))


WINDOW = torch.hann_window(6)


@pytest.mark.parametrize(
    "options",
    [
        {"hop_length": 4},
        {"hop_length": 3, "window": torch.hann_window(8), "normalized": True},
        {"hop_length": 2, "window": WINDOW, "win_length": 6, "center": False, "onesided": False},
        {"hop_length": 4, "win_length": 5, "pad_mode": "constant"},
    ],
)
def test_short_time_fourier_transform_of_signals_of_any_length(agrees, options):
    def model(x):
        return torch.view_as_real(torch.stft(x, 8, return_complex=True, **options))

    agrees(model, (torch.randn(2, 32),), (torch.randn(3, 47),), axes={"x": {0: "batch", 1: "time"}})
    agrees(model, (torch.randn(33),))


def test_long_frames_take_the_transform_of_onnx(agrees):
    def model(x):
        return torch.stft(x, 600, 200, center=False, return_complex=True).abs()

    agrees(model, (torch.randn(2, 1000),))


def test_autocast_casts_as_eager_does(captured):
    layer = nn.Linear(4, 3)

    def model(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return layer(x) @ x.new_ones(3, 2)

    assert captured(model, torch.randn(2, 4)).same_as_eager()
