# SPDX-License-Identifier: Apache-2.0
"""Complex numbers through whole models, at any length."""

from __future__ import annotations

import torch
import transformers
from torch import nn

from dynamic_models.attention import EXAMPLE, OTHERS, vectors
from dynamic_models.decoding import SMALL, VOCABULARY
from dynamic_models.registry import Call, dynamic


class RotaryByPolar(nn.Module):
    """Rotary positions as products of complex numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rates = 0.1 ** torch.linspace(0, 2, 8)
        angles = torch.outer(torch.arange(x.shape[1]).float(), rates)
        turn = torch.polar(torch.ones_like(angles), angles)
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
        return torch.view_as_real(pairs * turn).flatten(-2)


@dynamic("complex", vectors, EXAMPLE, *OTHERS)
def rotary_by_polar() -> nn.Module:
    return RotaryByPolar()


class SpectralMixing(nn.Module):
    """A filter of learned complex numbers on the lowest frequencies."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, 1, 16, dtype=torch.complex64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
        return torch.fft.irfft(spectrum * self.weight, n=x.shape[1], dim=1, norm="ortho")


@dynamic("complex", vectors, EXAMPLE, *OTHERS)
def spectral_mixing() -> nn.Module:
    return SpectralMixing()


class Magnitudes(nn.Module):
    """Norms, angles, sums and conjugates of complex numbers."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        numbers = torch.complex(x[..., :8], x[..., 8:])
        total = numbers.sum(1)
        energy = (numbers * numbers.conj()).real.mean(1)
        return total.abs(), torch.angle(total), energy, torch.linalg.vector_norm(numbers, dim=-1)


@dynamic("complex", vectors, EXAMPLE, *OTHERS)
def magnitudes() -> nn.Module:
    return Magnitudes()


def words(batch: int, length: int) -> Call:
    return (), {"input_ids": torch.randint(3, VOCABULARY, (batch, length))}


@dynamic("complex", words, EXAMPLE, *OTHERS)
def fnet() -> nn.Module:
    settings = {key: SMALL[key] for key in SMALL if key not in ("num_attention_heads", "num_key_value_heads")}
    return transformers.FNetModel(transformers.FNetConfig(**settings))


class PhaseVocoder(nn.Module):
    """The spectrum of frames at doubled speed, as magnitudes with phases added up."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.fft(x, dim=-1)
        steps = torch.angle(spectrum[:, 1:] / (spectrum[:, :-1] + 1e-3))
        phase = torch.cat([torch.angle(spectrum[:, :1]), steps], 1).cumsum(1)
        return torch.fft.ifft(torch.polar(spectrum.abs(), phase), dim=-1).real


@dynamic("complex", vectors, EXAMPLE, *OTHERS)
def phase_vocoder() -> nn.Module:
    return PhaseVocoder()
