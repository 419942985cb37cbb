# SPDX-License-Identifier: Apache-2.0
"""Short-time Fourier transforms and their inverse, whole models at free lengths, against PyTorch."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest
import torch

import lading

NEWEST = onnx.defs.onnx_opset_version()
AXES = {"x": {0: "batch", 1: "samples"}}
OPSETS = [9, 13, 17, NEWEST]


def worst_difference(model, opset, example, *others, axes=AXES):
    """Return the largest difference from eager, as a share of the largest value, over inputs."""
    exported = lading.export(model, example, dynamic_axes=axes, opset_version=opset)
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString())
    worst = 0.0
    for x in (example, *others):
        expected = model(x)
        (got,) = session.run(None, {"x": x.numpy()})
        assert tuple(expected.shape) == got.shape
        worst = max(worst, float((torch.from_numpy(got) - expected).abs().max() / expected.abs().max()))
    return worst


def spectrum(**options):
    def model(x):
        return torch.view_as_real(torch.stft(x, 32, return_complex=True, **options))

    return model


WINDOW, SHORT = torch.hann_window(32), torch.hamming_window(20)
TRANSFORMS = {
    "plain": {},
    "window": {"window": WINDOW, "hop_length": 8},
    "short window": {"window": SHORT, "win_length": 20, "hop_length": 5},
    "short frame without window": {"win_length": 20},
    "from the first sample": {"center": False, "window": WINDOW},
    "both sides": {"onesided": False, "window": WINDOW},
    "normalized": {"normalized": True, "window": WINDOW},
    "padded with zeros": {"pad_mode": "constant", "window": WINDOW},
}


@pytest.mark.filterwarnings("ignore:A window was not provided")
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("options", TRANSFORMS.values(), ids=TRANSFORMS)
def test_spectra_are_those_of_pytorch(options, opset):
    others = [torch.randn(1, 101), torch.randn(3, 64)]
    assert worst_difference(spectrum(**options), opset, torch.randn(2, 90), *others) < 1e-5


def test_one_signal_without_a_batch():
    axes = {"x": {0: "samples"}}
    assert worst_difference(spectrum(window=WINDOW), 17, torch.randn(90), torch.randn(70), axes=axes) < 1e-5


def back(**options):
    transform = {key: value for key, value in options.items() if key != "length"}

    def model(x):
        numbers = torch.stft(x, 32, return_complex=True, **transform)
        return torch.istft(numbers * torch.exp(-numbers.abs()), 32, **options)

    return model


INVERSES = {
    "window": {"window": WINDOW, "hop_length": 8},
    "length": {"window": WINDOW, "hop_length": 8, "length": 70},
    "length behind the frames": {"window": WINDOW, "hop_length": 8, "length": 120},
    "short window": {"window": SHORT, "win_length": 20, "hop_length": 5},
    "both sides": {"onesided": False, "window": WINDOW, "hop_length": 8},
    "normalized": {"normalized": True, "window": WINDOW, "hop_length": 8},
    "from the first sample": {"center": False, "window": torch.hamming_window(32), "hop_length": 8},
}


@pytest.mark.filterwarnings("ignore:The length of signal is shorter")
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("options", INVERSES.values(), ids=INVERSES)
def test_signals_of_spectra_are_those_of_pytorch(options, opset):
    example, *others = (torch.randn(batch, samples) for batch, samples in ((2, 96), (1, 104), (3, 128)))
    assert worst_difference(back(**options), opset, example, *others) < 1e-4


def test_a_length_that_is_a_free_size():
    def model(x):
        numbers = torch.stft(x, 32, hop_length=8, window=WINDOW, return_complex=True)
        return torch.istft(numbers, 32, hop_length=8, window=WINDOW, length=x.shape[-1])

    assert worst_difference(model, 17, torch.randn(2, 90), torch.randn(1, 67), torch.randn(1, 128)) < 1e-5


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_a_real_transform_back_to_a_free_length(norm):
    def model(x):
        numbers = torch.fft.rfft(x, dim=1)
        return torch.fft.irfft(numbers * (1 + numbers.abs()), n=x.shape[1], dim=1, norm=norm)

    assert worst_difference(model, 17, torch.randn(2, 12), torch.randn(1, 7), torch.randn(3, 2)) < 1e-5


@pytest.mark.parametrize("ord", [2, 1, float("inf"), 3])
def test_norms_of_complex_numbers(ord):
    def model(x):
        return torch.linalg.vector_norm(torch.complex(x[..., ::2], x[..., 1::2]), ord, dim=-1)

    assert worst_difference(model, 13, torch.randn(2, 3, 8), torch.randn(1, 5, 8)) < 1e-5


def test_a_definition_gets_complex_numbers_as_complex_numbers():
    def model(x):
        numbers = torch.complex(x[..., ::2], x[..., 1::2])
        return torch.linalg.norm(numbers, dim=-1) + torch.view_as_real(numbers.roll(1, -1)).sum((-1, -2))

    assert worst_difference(model, 13, torch.randn(2, 3, 8), torch.randn(1, 5, 8)) < 1e-5


def test_doubles_keep_their_digits_there_and_back():
    window = torch.hann_window(16, dtype=torch.float64) + 0.1

    def model(x):
        return torch.istft(torch.stft(x, 16, 5, window=window, return_complex=True) ** 2, 16, 5, window=window)

    x, other = torch.randn(2, 40, dtype=torch.float64), torch.randn(3, 65, dtype=torch.float64)
    assert worst_difference(model, 13, x, other) < 1e-12
