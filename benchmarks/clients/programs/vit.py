# SPDX-License-Identifier: Apache-2.0
"""Models of vit-pytorch with `torch.onnx.export`, random weights: `python vit.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("ViT", "SimpleViT", "CCT", "CrossViT", "MobileViT", "CvT", "MaxViT")


def main(case: str) -> None:
    watch.begin()
    import torch
    from vit_pytorch import SimpleViT, ViT
    from vit_pytorch.cct import CCT
    from vit_pytorch.cross_vit import CrossViT
    from vit_pytorch.cvt import CvT
    from vit_pytorch.max_vit import MaxViT
    from vit_pytorch.mobile_vit import MobileViT

    torch.manual_seed(0)
    plain = {"image_size": 64, "patch_size": 16, "num_classes": 10, "dim": 32, "depth": 2, "heads": 2, "mlp_dim": 64}
    models = {
        "ViT": lambda: ViT(**plain),
        "SimpleViT": lambda: SimpleViT(**plain),
        "CCT": lambda: CCT(
            (64, 64), embedding_dim=32, n_conv_layers=2, num_layers=2, num_heads=2, mlp_ratio=2, num_classes=10
        ),
        "CrossViT": lambda: CrossViT(
            image_size=64, num_classes=10, depth=1, sm_dim=32, lg_dim=48, sm_patch_size=8, lg_patch_size=16
        ),
        "MobileViT": lambda: MobileViT(
            image_size=(64, 64),
            dims=[64, 80, 96],
            channels=[16, 16, 24, 24, 48, 48, 64, 64, 80, 80, 320],
            num_classes=10,
        ),
        "CvT": lambda: CvT(num_classes=10, s1_emb_dim=16, s2_emb_dim=32, s3_emb_dim=48, s3_heads=2, s3_depth=1),
        "MaxViT": lambda: MaxViT(
            num_classes=10, dim_conv_stem=16, dim=16, dim_head=8, depth=(1, 1), window_size=4, mbconv_expansion_rate=2
        ),
    }
    torch.onnx.export(
        models[case]().eval(),
        (torch.randn(2, 3, 64, 64),),
        "vit.onnx",
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )


if __name__ == "__main__":
    main(sys.argv[1])
