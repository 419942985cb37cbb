# SPDX-License-Identifier: Apache-2.0
"""The parts of pipelines of diffusers, as its scripts for ONNX export them: `python diffusers_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("UNet2DCondition", "VAE decoder", "VAE encoder", "DiT", "UNet2D", "ControlNet")


def main(case: str) -> None:
    watch.begin()
    import torch
    from diffusers import AutoencoderKL, ControlNetModel, DiTTransformer2DModel, UNet2DConditionModel, UNet2DModel

    torch.manual_seed(0)
    conditional = {
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": 24,
        "attention_head_dim": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    }
    latents, step, states = torch.randn(2, 4, 16, 16), torch.randint(0, 10, (2,)), torch.randn(2, 7, 24)
    size = {0: "batch", 1: "channels", 2: "height", 3: "width"}
    axes = {"sample": size, "timestep": {0: "batch"}, "encoder_hidden_states": {0: "batch", 1: "sequence"}}
    options = {}
    if case == "UNet2DCondition":
        model = UNet2DConditionModel(up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **conditional)
        args = (latents, step, states)
        options = {"return_dict": False}
    elif case == "ControlNet":
        model = ControlNetModel(conditioning_embedding_out_channels=(4, 8), **conditional)
        args = (latents, step, states, torch.rand(2, 3, 32, 32))
        # The size of the condition is twice that of the sample, which axes by name cannot say.
        axes = {name: {0: "batch"} for name in (*axes, "controlnet_cond")}
        options = {"return_dict": False}
    elif case == "UNet2D":
        model = UNet2DModel(
            sample_size=16,
            in_channels=4,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=(16, 32),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        )
        args, axes = (latents, step), {"sample": size, "timestep": {0: "batch"}}
    elif case == "DiT":
        model = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=2, sample_size=16, norm_num_groups=4
        )
        model.config.num_embeds_ada_norm = 10
        args = (latents, step, torch.randint(0, 10, (2,)))
        axes = {"sample": {0: "batch"}, "timestep": {0: "batch"}, "class_labels": {0: "batch"}}
    else:
        whole = AutoencoderKL(
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
        )
        model = whole.eval()
        # The scripts put the half that they export into the place of forward.
        if case == "VAE decoder":
            model.forward = lambda latent: whole.decode(latent, return_dict=False)[0]
            args, axes = (latents,), {"sample": size}
        else:
            model.forward = lambda image: whole.encode(image, return_dict=False)[0].mode()
            args, axes = (torch.randn(2, 3, 32, 32),), {"sample": size}
    named = ["sample", "timestep", "encoder_hidden_states", "controlnet_cond"]
    if case == "DiT":
        named[2] = "class_labels"
    torch.onnx.export(
        model.eval(),
        (*args, options) if options else args,
        "part.onnx",
        export_params=True,
        input_names=named[: len(args)],
        output_names=["out_sample"],
        dynamic_axes=axes,
        do_constant_folding=True,
        opset_version=17,
    )


if __name__ == "__main__":
    main(sys.argv[1])
