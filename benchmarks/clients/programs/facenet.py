# SPDX-License-Identifier: Apache-2.0
"""Models of facenet-pytorch with `torch.onnx.export`, random weights: `python facenet.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("InceptionResnetV1", "PNet", "RNet", "ONet")


def main(case: str) -> None:
    watch.begin()
    import torch
    from facenet_pytorch import InceptionResnetV1
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

    torch.manual_seed(0)
    models = {
        "InceptionResnetV1": lambda: (InceptionResnetV1(), (2, 3, 96, 96)),
        "PNet": lambda: (PNet(pretrained=False), (2, 3, 40, 40)),
        "RNet": lambda: (RNet(pretrained=False), (2, 3, 24, 24)),
        "ONet": lambda: (ONet(pretrained=False), (2, 3, 48, 48)),
    }
    model, size = models[case]()
    axes = {0: "batch", 2: "height", 3: "width"} if case == "PNet" else {0: "batch"}
    torch.onnx.export(model.eval(), torch.randn(size), "face.onnx", input_names=["image"], dynamic_axes={"image": axes})


if __name__ == "__main__":
    main(sys.argv[1])
