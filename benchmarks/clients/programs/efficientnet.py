# SPDX-License-Identifier: Apache-2.0
"""The export in efficientnet-pytorch's documentation, random weights: `python efficientnet.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = {"efficientnet-b0": 224, "efficientnet-b0, features": 64}


def main(case: str) -> None:
    watch.begin()
    import torch
    from efficientnet_pytorch import EfficientNet

    torch.manual_seed(0)
    size = CASES[case]
    model = EfficientNet.from_name(case.partition(",")[0])
    # The memory-efficient one is an autograd.Function, which the documentation says cannot be exported.
    model.set_swish(memory_efficient=False)
    if case.endswith("features"):
        model.forward = model.extract_features
    torch.onnx.export(model.eval(), torch.randn(2, 3, size, size), "efficientnet.onnx")


if __name__ == "__main__":
    main(sys.argv[1])
