# SPDX-License-Identifier: Apache-2.0
"""Models of pretrainedmodels with `torch.onnx.export`, random weights: `python pretrained_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = {"bninception": 224, "dpn68": 224, "se_resnext50_32x4d": 224, "xception": 96}


def main(case: str) -> None:
    watch.begin()
    import pretrainedmodels
    import torch

    torch.manual_seed(0)
    model = getattr(pretrainedmodels, case)(num_classes=1000, pretrained=None)
    size = CASES[case]
    torch.onnx.export(
        model.eval(),
        torch.randn(2, 3, size, size),
        "pretrained.onnx",
        input_names=["image"],
        dynamic_axes={"image": {0: "batch"}},
    )


if __name__ == "__main__":
    main(sys.argv[1])
