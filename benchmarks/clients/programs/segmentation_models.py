# SPDX-License-Identifier: Apache-2.0
"""The export of segmentation-models-pytorch's documentation, random weights: `python segmentation_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = {
    "Unet": {"encoder_name": "resnet18"},
    "FPN": {"encoder_name": "mobilenet_v2"},
    "DeepLabV3Plus": {"encoder_name": "resnet18"},
    "Segformer": {"encoder_name": "mit_b0"},
    "UPerNet": {"encoder_name": "resnet18"},
}


def main(case: str) -> None:
    watch.begin()
    import segmentation_models_pytorch as smp
    import torch

    torch.manual_seed(0)
    model = smp.create_model(case, encoder_weights=None, in_channels=3, classes=2, **CASES[case]).eval()
    axes = {0: "batch_size", 2: "height", 3: "width"}
    torch.onnx.export(
        model,
        torch.randn(1, 3, 64, 64),
        "segmentation.onnx",
        export_params=True,
        opset_version=17,
        do_constant_folding=True,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": axes, "output": axes},
    )


if __name__ == "__main__":
    main(sys.argv[1])
