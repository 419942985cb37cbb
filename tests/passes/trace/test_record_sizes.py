# SPDX-License-Identifier: Apache-2.0
"""Operators whose own code reads sizes as plain numbers keep free axes free."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torch.onnx.operators
from torch import nn

EXAMPLE = {"b": 2, "h": 6, "w": 4}
OTHER = {"b": 3, "h": 8, "w": 10}

LSTM_CELL, GRU_CELL, RNN_CELL = nn.LSTMCell(4, 3), nn.GRUCell(4, 3), nn.RNNCell(4, 3)


def window(x):
    return x.view(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2).transpose(2, 3).reshape(-1, 2, 2)


def grid(x):
    theta = torch.ones(x.shape[0], 2, 3)
    return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


def scatter(x):
    y = torch.zeros_like(x)
    y[torch.arange(x.shape[0]), x.argmax(1)] = 1.0
    y[y > 3] = 0
    y[:, 1:] *= 2
    return y.index_add_(0, torch.arange(2), x[:2])


def reshaped_by_tensors(x):
    shape = torch.onnx.operators.shape_as_tensor(x)
    flat = torch.onnx.operators.reshape_from_tensor_shape(x, torch.stack([shape[0] * shape[1]]))
    return (
        flat,
        x.new_zeros(shape[0], 3),
        torch.arange(shape[1]),
        F.interpolate(x[None, None], size=(shape[0], shape[1] * 2)),
    )


def windows(x):
    makers = (
        torch.hann_window,
        torch.hamming_window,
        torch.blackman_window,
        torch.bartlett_window,
        torch.kaiser_window,
    )
    odd = torch.hamming_window(x.shape[0], False, 0.6, beta=0.3, dtype=torch.float64)
    one = torch.hann_window(x.shape[0] // x.shape[0], periodic=False)
    return (*(make(x.shape[0], periodic) for make in makers for periodic in (True, False)), odd, one)


CASES = {
    "sizes that are tensors": (reshaped_by_tensors, ("b", "h")),
    "adaptive pooling": (lambda x: (F.adaptive_avg_pool2d(x, (3, 2)), F.adaptive_max_pool2d(x, 2)), ("b", 3, "h", "w")),
    "affine grid": (grid, ("b", 3, "h", "w")),
    "arange": (lambda x: torch.arange(0, 2 * x.shape[0], 2), ("b", 4)),
    "bilinear": (lambda x: F.bilinear(x, x, torch.ones(2, 4, 4)), ("b", 4)),
    "cdist": (lambda x: torch.cdist(x, x + 1), ("b", 3, 4)),
    "chunk of the axis": (lambda x: x.chunk(2, 1)[0] + 1, ("b", "h")),
    "clamp in place": (lambda x: x.clamp(-1, 1).clamp_(min=0), ("b", 4)),
    "cosine similarity": (lambda x: F.cosine_similarity(x, x, dim=1), ("b", 3, 4)),
    "cross entropy": (lambda x: F.cross_entropy(x, x.argmax(1), label_smoothing=0.1), ("b", 4, "h", "w")),
    "eye": (lambda x: torch.eye(x.shape[0], x.shape[1]), ("b", "h")),
    "fold": (lambda x: F.fold(x, (4, 5), 2), ("b", 12, 12)),
    "fourier": (lambda x: torch.view_as_real(torch.fft.fft2(x)), ("b", 8, 8)),
    "gathered": (lambda x: torch.take_along_dim(x, x.argsort(1), 1), ("b", 4)),
    "gru cell": (lambda x: GRU_CELL(x), ("b", 4)),
    "index": (lambda x: (x[:, [0, 2]], x[torch.tensor([1, 0])], x[..., None, -1]), ("b", 3, "h")),
    "linspace": (lambda x: torch.linspace(0, 1, x.shape[0]) * 2, ("b", 4)),
    "lstm cell": (lambda x: LSTM_CELL(x), ("b", 4)),
    "meshgrid": (lambda x: torch.meshgrid(torch.arange(x.shape[0]), torch.arange(3), indexing="ij"), ("b", 4)),
    "norms": (lambda x: (x.norm(dim=1), torch.linalg.norm(x), x.std(1), x.var()), ("b", 5)),
    "pixel shuffle": (lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), ("b", 4, "h", "w")),
    "quantile": (lambda x: x.quantile(0.3, dim=1), ("b", 5)),
    "repeat": (lambda x: (x.repeat(2, 1, 3), torch.repeat_interleave(x, 2, 1), x.tile(2)), ("b", "h", 4)),
    "rnn cell": (lambda x: RNN_CELL(x), ("b", 4)),
    "roll": (lambda x: (torch.roll(x, (1, 2), (0, 1)), torch.rot90(x), x.flip(0)), ("b", "h", 4)),
    "scatter": (scatter, ("b", "h")),
    "transposed convolution": (lambda x: F.conv_transpose2d(x, torch.ones(3, 2, 3, 3), stride=2), ("b", 3, "h", "w")),
    "triplet loss": (lambda x: F.triplet_margin_loss(x, x + 1, x * 2), ("b", 4)),
    "unfold": (lambda x: (F.unfold(x, 2), x.unfold(2, 2, 1)), ("b", 3, "h", "w")),
    "window functions": (windows, ("b", 4)),
    "window partition": (window, ("b", "h", "w")),
}


@pytest.mark.parametrize("case", CASES)
def test_free_axes_stay_free(captured, case):
    model, shape = CASES[case]
    axes = {"x": {axis: size for axis, size in enumerate(shape) if isinstance(size, str)}}
    example, other = (torch.randn([sizes.get(size, size) for size in shape]) for sizes in (EXAMPLE, OTHER))
    result = captured(model, example, dynamic_axes=axes, strategy="record")
    assert () == result.capture.specialisations
    assert result.same_as_eager(other)
