# SPDX-License-Identifier: Apache-2.0
"""`monai.networks.utils.convert_to_onnx` of monai, random weights: `python monai_networks.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("UNet", "SegResNet", "DynUNet", "DenseNet121", "SwinUNETR", "UNETR", "AttentionUnet")


def main(case: str) -> None:
    watch.begin()
    import torch
    from monai.networks import nets
    from monai.networks.utils import convert_to_onnx

    torch.manual_seed(0)
    volume = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2}
    channels = {"channels": (4, 8, 16), "strides": (2, 2)}
    models = {
        "UNet": lambda: nets.UNet(**volume, **channels, num_res_units=1),
        "SegResNet": lambda: nets.SegResNet(**volume, init_filters=8, blocks_down=(1, 1, 1), blocks_up=(1, 1)),
        "DynUNet": lambda: nets.DynUNet(
            **volume, kernel_size=[3, 3, 3], strides=[1, 2, 2], upsample_kernel_size=[2, 2], filters=[4, 8, 16]
        ),
        "DenseNet121": lambda: nets.DenseNet121(**volume, init_features=8, growth_rate=4),
        "SwinUNETR": lambda: nets.SwinUNETR(in_channels=1, out_channels=2, feature_size=12),
        "UNETR": lambda: nets.UNETR(
            in_channels=1,
            out_channels=2,
            img_size=(32, 32, 32),
            feature_size=4,
            hidden_size=48,
            mlp_dim=96,
            num_heads=4,
        ),
        "AttentionUnet": lambda: nets.AttentionUnet(**volume, **channels),
    }
    convert_to_onnx(
        models[case](),
        [torch.randn(1, 1, 64, 64, 64) if case == "SwinUNETR" else torch.randn(2, 1, 32, 32, 32)],
        input_names=["image"],
        output_names=["label"],
        dynamic_axes={"image": {0: "batch"}, "label": {0: "batch"}},
        filename="monai.onnx",
    )


if __name__ == "__main__":
    main(sys.argv[1])
