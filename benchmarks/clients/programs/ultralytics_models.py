# SPDX-License-Identifier: Apache-2.0
"""`YOLO(...).export(format="onnx")` of ultralytics, with random weights: `python ultralytics_models.py CASE`."""

from __future__ import annotations

import os
import sys

import watch

CASES = {
    "detect": ("yolo11n.yaml", {}),
    "detect, dynamic": ("yolo11n.yaml", {"dynamic": True}),
    "detect, nms": ("yolo11n.yaml", {"nms": True}),
    "segment": ("yolo11n-seg.yaml", {}),
    "segment, dynamic": ("yolo11n-seg.yaml", {"dynamic": True}),
    "pose": ("yolo11n-pose.yaml", {}),
    "RT-DETR": ("rtdetr-l.yaml", {}),
    "RT-DETR, dynamic": ("rtdetr-l.yaml", {"dynamic": True}),
}


def main(case: str) -> None:
    os.environ["YOLO_AUTOINSTALL"] = "False"
    watch.begin()
    import torch
    from ultralytics import RTDETR, YOLO

    torch.manual_seed(0)
    name, options = CASES[case]
    library = RTDETR if name.startswith("rtdetr") else YOLO
    library(name).export(format="onnx", simplify=False, imgsz=160, **options)


if __name__ == "__main__":
    main(sys.argv[1])
