# SPDX-License-Identifier: Apache-2.0
"""Architectures of spandrel with `torch.onnx.export`, random weights: `python spandrel_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("ESRGAN", "Compact", "SPAN", "SwinIR", "NAFNet")


def main(case: str) -> None:
    watch.begin()
    import torch
    from spandrel.architectures import ESRGAN, SPAN, Compact, NAFNet, SwinIR

    torch.manual_seed(0)
    models = {
        "ESRGAN": lambda: ESRGAN.ESRGAN(num_filters=8, num_blocks=1, scale=2),
        "Compact": lambda: Compact.Compact(num_feat=8, num_conv=2, upscale=2),
        "SPAN": lambda: SPAN.SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2),
        "SwinIR": lambda: SwinIR.SwinIR(
            window_size=8, depths=[2], embed_dim=12, num_heads=[2], upscale=2, upsampler="pixelshuffledirect"
        ),
        "NAFNet": lambda: NAFNet.NAFNet(width=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
    }
    axes = {0: "batch_size", 2: "height", 3: "width"}
    torch.onnx.export(
        models[case]().eval(),
        torch.rand(1, 3, 24, 24),
        "upscale.onnx",
        opset_version=17,
        verbose=False,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": axes, "output": axes},
    )


if __name__ == "__main__":
    main(sys.argv[1])
