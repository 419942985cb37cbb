# SPDX-License-Identifier: Apache-2.0
"""The networks of pytorch-tabnet with `torch.onnx.export`, random weights: `python tabnet.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("sparsemax", "entmax", "pretraining")


def main(case: str) -> None:
    watch.begin()
    import torch
    from pytorch_tabnet.tab_network import TabNet, TabNetPretraining

    torch.manual_seed(0)
    groups = torch.eye(6)
    if case == "pretraining":
        model = TabNetPretraining(6, group_attention_matrix=groups)
    else:
        # Two of the six columns hold categories.
        categories = {"cat_idxs": [0, 1], "cat_dims": [3, 4], "cat_emb_dim": [2, 2]}
        model = TabNet(6, 3, mask_type=case, group_attention_matrix=groups, **categories)
    x = torch.cat([torch.randint(0, 3, (8, 2)).float(), torch.randn(8, 4)], dim=1)
    torch.onnx.export(
        model.eval(), (x,), "tabnet.onnx", input_names=["x"], dynamic_axes={"x": {0: "batch"}}, opset_version=17
    )


if __name__ == "__main__":
    main(sys.argv[1])
