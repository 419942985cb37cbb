# SPDX-License-Identifier: Apache-2.0
"""kornia's modules with `torch.onnx.export`, and its own `to_onnx` of a model: `python kornia_modules.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("GaussianBlur2d", "Sobel", "Canny", "RgbToHsv", "RgbToLab", "Normalize", "DexiNed")


def main(case: str) -> None:
    watch.begin()
    import kornia
    import torch
    from kornia.models.dexined import DexiNed

    torch.manual_seed(0)
    models = {
        "GaussianBlur2d": lambda: kornia.filters.GaussianBlur2d((3, 3), (1.5, 1.5)),
        "Sobel": lambda: kornia.filters.Sobel(),
        "Canny": lambda: kornia.filters.Canny(),
        "RgbToHsv": lambda: kornia.color.RgbToHsv(),
        "RgbToLab": lambda: kornia.color.RgbToLab(),
        "Normalize": lambda: kornia.enhance.Normalize(torch.full((3,), 0.5), torch.full((3,), 0.25)),
        "DexiNed": lambda: DexiNed(pretrained=False),
    }
    model = models[case]().eval()
    if hasattr(model, "to_onnx"):
        model.to_onnx("kornia.onnx", input_shape=[-1, 3, -1, -1], pseudo_shape=[2, 3, 64, 64])
        return
    axes = {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        model,
        torch.rand(2, 3, 32, 32),
        "kornia.onnx",
        input_names=["input"],
        dynamic_axes={"input": axes},
        opset_version=17,
    )


if __name__ == "__main__":
    main(sys.argv[1])
