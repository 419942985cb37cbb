# SPDX-License-Identifier: Apache-2.0
"""`to_onnx` of kornia's image modules: `python kornia_modules.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("GaussianBlur2d", "Sobel", "Canny", "RgbToHsv", "RgbToLab", "Normalize", "DexiNed")


def main(case: str) -> None:
    watch.begin()
    import kornia
    import torch

    torch.manual_seed(0)
    models = {
        "GaussianBlur2d": lambda: kornia.filters.GaussianBlur2d((3, 3), (1.5, 1.5)),
        "Sobel": lambda: kornia.filters.Sobel(),
        "Canny": lambda: kornia.filters.Canny(),
        "RgbToHsv": lambda: kornia.color.RgbToHsv(),
        "RgbToLab": lambda: kornia.color.RgbToLab(),
        "Normalize": lambda: kornia.enhance.Normalize(torch.full((3,), 0.5), torch.full((3,), 0.25)),
        "DexiNed": lambda: kornia.models.DexiNed(pretrained=False),
    }
    models[case]().to_onnx("kornia.onnx", input_shape=[-1, 3, -1, -1])


if __name__ == "__main__":
    main(sys.argv[1])
