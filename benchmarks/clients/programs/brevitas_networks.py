# SPDX-License-Identifier: Apache-2.0
"""`export_onnx_qcdq` of brevitas on quantized layers with random weights: `python brevitas_networks.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("linear", "convolutions", "weights only")


def main(case: str) -> None:
    watch.begin()
    import brevitas.nn as qnn
    import torch
    from brevitas.export import export_onnx_qcdq
    from brevitas.quant import Int8ActPerTensorFloat

    torch.manual_seed(0)
    quantized = {} if case == "weights only" else {"input_quant": Int8ActPerTensorFloat}
    if case == "convolutions":
        layers = [
            qnn.QuantConv2d(3, 4, 3, weight_bit_width=4, **quantized),
            qnn.QuantReLU(bit_width=8),
            qnn.QuantConv2d(4, 4, 3, weight_bit_width=8),
            torch.nn.Flatten(),
        ]
        x = torch.randn(2, 3, 10, 10)
    else:
        layers = [
            qnn.QuantLinear(8, 16, bias=True, weight_bit_width=4, **quantized),
            torch.nn.ReLU(),
            qnn.QuantLinear(16, 4, bias=True, weight_bit_width=8, **quantized),
        ]
        x = torch.randn(2, 8)
    model = torch.nn.Sequential(*layers)
    model(x)  # takes the ranges of the activations
    export_onnx_qcdq(model.eval(), args=x, export_path="quantized.onnx", opset_version=17)


if __name__ == "__main__":
    main(sys.argv[1])
