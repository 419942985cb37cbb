# SPDX-License-Identifier: Apache-2.0
"""Networks of nnU-Net (dynamic-network-architectures) with `torch.onnx.export`: `python nnunet_networks.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("PlainConvUNet", "ResidualEncoderUNet", "ResEnc, 3D")


def main(case: str) -> None:
    watch.begin()
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
    from torch import nn

    torch.manual_seed(0)
    volume = case.endswith("3D")
    kind = PlainConvUNet if case.startswith("Plain") else ResidualEncoderUNet
    blocks = {"n_conv_per_stage": 1} if kind is PlainConvUNet else {"n_blocks_per_stage": 1}
    model = kind(
        1,
        3,
        (4, 8, 16),
        nn.Conv3d if volume else nn.Conv2d,
        3,
        (1, 2, 2),
        **blocks,
        num_classes=2,
        n_conv_per_stage_decoder=1,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d if volume else nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=False,
    )
    size = (2, 1, 16, 16, 16) if volume else (2, 1, 32, 32)
    axes = {0: "batch", **{axis: f"size{axis}" for axis in range(2, len(size))}}
    torch.onnx.export(model.eval(), torch.randn(size), "unet.onnx", input_names=["image"], dynamic_axes={"image": axes})


if __name__ == "__main__":
    main(sys.argv[1])
