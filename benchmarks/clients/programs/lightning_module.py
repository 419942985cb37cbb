# SPDX-License-Identifier: Apache-2.0
"""`LightningModule.to_onnx` of lightning: `python lightning_module.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = {"static": {}, "dynamic": {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}}


def main(case: str) -> None:
    watch.begin()
    import lightning
    import torch

    class Classifier(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.example_input_array = torch.randn(4, 1, 28, 28)
            self.body = torch.nn.Sequential(
                torch.nn.Conv2d(1, 8, 3),
                torch.nn.BatchNorm2d(8),
                torch.nn.ReLU(),
                torch.nn.Flatten(),
                torch.nn.Dropout(0.1),
                torch.nn.Linear(8 * 26 * 26, 10),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.log_softmax(self.body(x), dim=1)

    torch.manual_seed(0)
    Classifier().to_onnx("classifier.onnx", export_params=True, **CASES[case])


if __name__ == "__main__":
    main(sys.argv[1])
