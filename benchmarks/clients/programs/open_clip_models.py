# SPDX-License-Identifier: Apache-2.0
"""Models of open_clip_torch with `torch.onnx.export`, random weights: `python open_clip_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("ViT", "ViT, image", "ResNet", "CoCa, text")


def main(case: str) -> None:
    watch.begin()
    import torch
    from open_clip.coca_model import CoCa, MultimodalCfg
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    torch.manual_seed(0)
    text = CLIPTextCfg(context_length=16, vocab_size=100, width=32, heads=2, layers=2)
    if case == "ResNet":
        vision = CLIPVisionCfg(layers=(1, 1, 1, 1), width=16, image_size=64)
    else:
        vision = CLIPVisionCfg(layers=2, width=32, head_width=16, patch_size=16, image_size=64)
    images, tokens = torch.randn(2, 3, 64, 64), torch.randint(1, 100, (2, 16))
    args = {"images": images, "text": tokens}
    if case.startswith("CoCa"):
        more = MultimodalCfg(context_length=16, vocab_size=100, width=32, heads=2, layers=1)
        model = CoCa(32, multimodal_cfg=more, text_cfg=text, vision_cfg=vision)
        model.forward = model.encode_text
        args = {"text": tokens}
    else:
        model = CLIP(32, vision, text)
        if case.endswith("image"):
            model, args = model.visual, {"images": images}
    torch.onnx.export(
        model.eval(),
        tuple(args.values()),
        "clip.onnx",
        input_names=list(args),
        dynamic_axes={name: {0: name} for name in args},
        opset_version=17,
    )


if __name__ == "__main__":
    main(sys.argv[1])
