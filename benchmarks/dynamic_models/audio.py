# SPDX-License-Identifier: Apache-2.0
"""Speech and sound of any length."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from dynamic_models.registry import Call, dynamic, sizes

EXAMPLE, *OTHERS = sizes(batch=(2, 1, 3, 2, 1, 4), samples=(400, 1600, 777, 1000, 2401, 640))
_LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_FRONT = {
    "conv_dim": [16, 16],
    "conv_stride": [5, 2],
    "conv_kernel": [10, 3],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def sound(batch: int, samples: int) -> Call:
    return (), {"input_values": torch.randn(batch, samples)}


def heard(name: str, kind: str, **more: Any) -> None:
    @dynamic("audio", sound, EXAMPLE, *OTHERS, name=name)
    def build() -> nn.Module:
        config = getattr(transformers, kind.removesuffix("ForCTC").removesuffix("Model") + "Config")
        return getattr(transformers, kind)(config(**{**_LAYERS, **_FRONT, "vocab_size": 20, **more}))


heard("wav2vec2", "Wav2Vec2Model")
heard("hubert_ctc", "HubertForCTC")
heard("wav2vec2_conformer", "Wav2Vec2ConformerModel", position_embeddings_type="relative", max_source_positions=600)
heard(
    "sew",
    "SEWModel",
    conv_dim=(16, 16),
    conv_stride=(5, 2),
    conv_kernel=(10, 3),
    squeeze_factor=2,
)


def masked(batch: int, samples: int) -> Call:
    mask = torch.ones(batch, samples, dtype=torch.int64)
    return (), {"input_values": torch.randn(batch, samples), "attention_mask": mask}


@dynamic("audio", masked, EXAMPLE, *OTHERS)
def wav2vec2_masked() -> nn.Module:
    return transformers.Wav2Vec2Model(
        transformers.Wav2Vec2Config(**_LAYERS, **_FRONT, feat_extract_norm="layer", do_stable_layer_norm=True)
    )


class Spectrum(nn.Module):
    """Logarithms of a mel-like filter bank over a short-time Fourier transform."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.filters = nn.Parameter(torch.rand(8, 33))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(x, 64, hop_length=16, window=self.window, return_complex=True)
        return (self.filters @ spectrum.abs().square()).clamp(min=1e-6).log()


def wave(batch: int, samples: int) -> Call:
    return (torch.randn(batch, samples),), {}


@dynamic("audio", wave, EXAMPLE, *OTHERS)
def spectrum() -> nn.Module:
    return Spectrum()


class Denoiser(nn.Module):
    """A mask on the spectrum, and back to samples."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.gain = nn.Linear(33, 33)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(x, 64, hop_length=16, window=self.window, return_complex=True)
        gain = self.gain(spectrum.abs().transpose(1, 2)).sigmoid().transpose(1, 2)
        return torch.istft(spectrum * gain, 64, hop_length=16, window=self.window, length=x.shape[-1])


@dynamic("audio", wave, EXAMPLE, *OTHERS)
def denoiser() -> nn.Module:
    return Denoiser()


class DilatedStack(nn.Module):
    """Causal convolutions with growing dilation, padded on the left."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(4 if i else 1, 4, 3, dilation=2**i) for i in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.unsqueeze(1)
        for i, layer in enumerate(self.layers):
            y = torch.tanh(layer(nn.functional.pad(y, (2 * 2**i, 0))))
        return y.mean(1)


@dynamic("audio", wave, EXAMPLE, *OTHERS)
def dilated_stack() -> nn.Module:
    return DilatedStack()


class CutToWindow(nn.Module):
    """The first 1024 samples, or fewer where there are fewer, padded to a multiple of 32 and framed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] > 1024:
            x = x[:, :1024]
        x = nn.functional.pad(x, (0, -x.shape[1] % 32))
        return self.layer(x.unfold(1, 32, 16))


@dynamic("audio", wave, EXAMPLE, *OTHERS)
def cut_to_window() -> nn.Module:
    return CutToWindow()


def features(batch: int, frames: int) -> Call:
    mask = torch.ones(batch, frames, dtype=torch.int64)
    ids = torch.randint(3, 30, (batch, 4))
    return (), {"input_features": torch.randn(batch, frames, 8), "attention_mask": mask, "decoder_input_ids": ids}


@dynamic("audio", features, *sizes(batch=(2, 1, 3, 2, 1, 4), frames=(40, 33, 64, 17, 80, 50)))
def speech_to_text() -> nn.Module:
    config = transformers.Speech2TextConfig(
        vocab_size=30,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        input_feat_per_channel=8,
        conv_channels=16,
        max_source_positions=100,
        max_target_positions=64,
        use_cache=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    return transformers.Speech2TextForConditionalGeneration(config)


heard("wavlm", "WavLMModel")
heard("data2vec_audio", "Data2VecAudioModel")
