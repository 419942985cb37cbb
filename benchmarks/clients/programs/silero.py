# SPDX-License-Identifier: Apache-2.0
"""The TorchScript model of silero-vad with its real weights, exported as its users do: `python silero.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("16 kHz",)


def main(case: str) -> None:
    watch.begin()
    import torch
    from silero_vad import load_silero_vad

    model = load_silero_vad(onnx=False)
    wave = torch.randn(1, 512, generator=torch.Generator().manual_seed(0)) / 10
    torch.onnx.export(model, (wave, 16000), "silero.onnx", input_names=["wave"], output_names=["speech"])


if __name__ == "__main__":
    main(sys.argv[1])
