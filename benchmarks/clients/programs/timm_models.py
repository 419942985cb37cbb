# SPDX-License-Identifier: Apache-2.0
"""`timm.utils.onnx_export` of timm, with random weights: `python timm_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = {
    "resnet18": {},
    "resnet18, dynamic": {"dynamic_size": True},
    "mobilenetv3_small_100": {},
    "vit_tiny_patch16_224": {},
    "vit_tiny_patch16_224, dynamic": {"dynamic_size": True},
    "convnext_atto": {},
}


def main(case: str) -> None:
    watch.begin()
    import timm
    import torch
    from timm.utils.onnx import onnx_export

    torch.manual_seed(0)
    model = timm.create_model(case.partition(",")[0], pretrained=False, exportable=True)
    onnx_export(model, "timm.onnx", batch_size=2, input_size=(3, 224, 224), **CASES[case])


if __name__ == "__main__":
    main(sys.argv[1])
