# SPDX-License-Identifier: Apache-2.0
"""What `export_onnx_model.py` of segment-anything exports, a small one: `python segment_anything_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = {
    "masks": {},
    "single mask": {"return_single_mask": True},
    "metrics": {"use_stability_score": True, "return_extra_metrics": True},
    "image encoder": {},
}


def main(case: str) -> None:
    watch.begin()
    import torch
    from segment_anything.build_sam import _build_sam
    from segment_anything.utils.onnx import SamOnnxModel

    torch.manual_seed(0)
    sam = _build_sam(32, 2, 2, [1]).eval()
    if case == "image encoder":
        encoder = sam.image_encoder
        torch.onnx.export(encoder, torch.randn(1, 3, 1024, 1024), "encoder.onnx", opset_version=17)
        return
    model = SamOnnxModel(sam, **{"return_single_mask": False, **CASES[case]})
    inputs = {
        "image_embeddings": torch.randn(1, 256, 64, 64),
        "point_coords": torch.randint(0, 1024, (1, 5, 2)).float(),
        "point_labels": torch.randint(0, 4, (1, 5)).float(),
        "mask_input": torch.randn(1, 1, 256, 256),
        "has_mask_input": torch.tensor([1.0]),
        "orig_im_size": torch.tensor([150.0, 225.0]),
    }
    torch.onnx.export(
        model,
        tuple(inputs.values()),
        "masks.onnx",
        export_params=True,
        verbose=False,
        opset_version=17,
        do_constant_folding=True,
        input_names=list(inputs),
        output_names=["masks", "iou_predictions", "low_res_masks"],
        dynamic_axes={"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
    )


if __name__ == "__main__":
    main(sys.argv[1])
